import { type DescMessage, type DescMethod, type DescService, create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { once } from 'node:events';
import {
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex, Readable } from 'node:stream';
import { EngineError, errorCode } from '../../base/errors.ts';
import { timerMs } from '../../base/time.ts';
import { Deframer, frame } from './frames.ts';
import { errorTrailers, GRPC, GrpcError } from './status.ts';

/** What a handler knows of a call beside its message. */
export interface Call {
  readonly metadata: IncomingHttpHeaders;
  /** Fires when the client is gone, gave the call up, or its time is over. */
  readonly signal: AbortSignal;
}

/** An answer that was encoded before. */
export class EncodedMessage {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

type Handler<M extends DescMethod> = M['methodKind'] extends 'unary'
  ? (request: MessageShape<M['input']>, call: Call) => Promise<MessageInitShape<M['output']>>
  : M['methodKind'] extends 'server_streaming'
    ? (request: MessageShape<M['input']>, call: Call) => AsyncIterable<MessageInitShape<M['output']> | EncodedMessage>
    : (requests: AsyncIterable<MessageShape<M['input']>>, call: Call) => AsyncIterable<MessageInitShape<M['output']>>;

/** An implementation of a service: methods that are left out are answered with UNIMPLEMENTED. */
export type Handlers<S extends DescService> = { readonly [K in keyof S['method']]?: Handler<S['method'][K]> };

interface Entry {
  readonly method: DescMethod;
  readonly handle: (input: never, call: Call) => unknown;
}

const MAX_SESSION_STREAMS = 256;
/** How much may be on its way before a reader has taken it: the default of 64 KiB makes file transfers slow. */
export const WINDOW = 1 << 20;
export const SESSION_WINDOW = 8 << 20;
/** Node's own limit for what a connection keeps is less than one large message. */
export const SESSION_MEMORY_MB = 64;

/** Serves gRPC over HTTP/2 on connections that others have accepted. */
export class GrpcServer {
  readonly #methods = new Map<string, Entry>();
  readonly #services = new Set<string>();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #report: (message: string) => void;
  readonly #maxStreams: number;

  /**
   * @param report gets a line for each failure that is ours
   * @param maxStreams calls of one connection that are answered at the same time; others wait at their client
   */
  constructor(report: (message: string) => void, { maxStreams = MAX_SESSION_STREAMS } = {}) {
    this.#report = report;
    this.#maxStreams = maxStreams;
  }

  add<S extends DescService>(service: S, handlers: Handlers<S>): this {
    this.#services.add(service.typeName);
    for (const [name, handle] of Object.entries(handlers)) {
      const method = service.method[name]!;
      this.#methods.set(`/${service.typeName}/${method.name}`, { method, handle: handle as Entry['handle'] });
    }
    return this;
  }

  /** Speaks HTTP/2 on the connection, from its first byte on, until either side ends it. */
  accept(socket: Duplex): void {
    const session = performServerHandshake(socket, {
      maxSessionMemory: SESSION_MEMORY_MB,
      settings: { initialWindowSize: WINDOW, maxConcurrentStreams: this.#maxStreams, enablePush: false },
    });
    this.#sessions.add(session);
    // Garbage in place of HTTP/2 ends its own connection and nothing else.
    session.on('error', () => session.destroy());
    session.on('close', () => {
      this.#sessions.delete(session);
      socket.destroy();
    });
    // HTTP/1.1's sockets stay open for writing when the other side has ended; here that is the end of all.
    socket.once('end', () => session.destroy());
    session.setLocalWindowSize(SESSION_WINDOW);
    session.on(
      'stream',
      (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void this.#serve(stream, headers),
    );
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    stream.on('error', () => {});
    const path = headers[':path'] ?? '';
    if (headers[':method'] !== 'POST' || !headers['content-type']?.startsWith('application/grpc')) {
      stream.respond({ ':status': 415, 'content-type': 'text/plain' });
      stream.end('this connection speaks gRPC only\n');
      return;
    }
    const controller = new AbortController();
    const gone = (): void => controller.abort(new EngineError('cancelled', 'the client is gone'));
    stream.once('aborted', gone).once('close', gone);
    const deadline = timeoutOf(headers['grpc-timeout']);
    const timer =
      deadline === undefined
        ? undefined
        : setTimeout(
            () => controller.abort(new EngineError('timeout', 'context deadline exceeded')),
            timerMs(deadline),
          ).unref();
    try {
      const entry = this.#methods.get(path);
      if (!entry) throw new GrpcError(GRPC.unimplemented, this.#unknown(path));
      await this.#answer(stream, entry, { metadata: headers, signal: controller.signal });
      finish(stream, { 'grpc-status': '0' });
    } catch (error) {
      const code = errorCode(error);
      if ((code === 'internal' || code === 'corrupt') && !controller.signal.aborted)
        this.#report(`${path}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      finish(stream, errorTrailers(error));
    } finally {
      clearTimeout(timer);
      stream.off('aborted', gone).off('close', gone);
    }
  }

  async #answer(stream: ServerHttp2Stream, { method, handle }: Entry, call: Call): Promise<void> {
    const requests = readMessages(stream, method.input);
    const encode = (message: unknown): Buffer =>
      frame(
        message instanceof EncodedMessage
          ? message.bytes
          : toBinary(method.output, create(method.output, message as MessageInitShape<DescMessage>)),
      );
    if (method.methodKind === 'unary') {
      const answer = await (handle as (input: unknown, call: Call) => Promise<unknown>)(await single(requests), call);
      const bytes = encode(answer);
      if (stream.destroyed) return;
      respond(stream);
      stream.write(bytes);
      return;
    }
    const input = method.methodKind === 'server_streaming' ? await single(requests) : requests;
    const answers = (handle as (input: unknown, call: Call) => AsyncIterable<unknown>)(input, call);
    if (stream.destroyed) return;
    respond(stream);
    for await (const answer of answers) {
      if (stream.destroyed) return;
      if (!stream.write(encode(answer))) await drained(stream);
    }
  }

  #unknown(path: string): string {
    const [, service = '', method = ''] = path.split('/');
    return this.#services.has(service)
      ? `unknown method ${method} for service ${service}`
      : `unknown service ${service}`;
  }
}

function respond(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
}

/** Ends the call; a client that is gone hears nothing. */
function finish(stream: ServerHttp2Stream, trailers: Record<string, string>): void {
  if (stream.destroyed || stream.closed) return;
  if (!stream.headersSent) respond(stream);
  stream.once('wantTrailers', () => {
    if (!stream.destroyed) stream.sendTrailers(trailers);
  });
  stream.end();
  // The rest of a request is not wanted any more; the stream is over when the client has ended it too.
  stream.resume();
}

/** Resolves when the stream takes more, or is gone. */
export async function drained(stream: Duplex): Promise<void> {
  if (stream.destroyed || !stream.writableNeedDrain) return;
  const stop = new AbortController();
  const { signal } = stop;
  try {
    await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]);
  } catch {
    // An error of the stream is followed by its close.
  } finally {
    stop.abort();
  }
}

/** The messages of a stream in order. */
export async function* readMessages<M extends DescMessage>(
  stream: Readable,
  schema: M,
): AsyncGenerator<MessageShape<M>> {
  const deframer = new Deframer();
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)
    for (const bytes of deframer.push(chunk)) {
      try {
        yield fromBinary(schema, bytes);
      } catch (error) {
        if (error instanceof EngineError) throw error;
        throw new GrpcError(GRPC.invalidArgument, `not a ${schema.typeName}: ${(error as Error).message}`, {
          cause: error,
        });
      }
    }
  if (deframer.torn) throw new GrpcError(GRPC.invalidArgument, 'the stream ends in the middle of a message');
}

async function single<T>(messages: AsyncIterable<T>): Promise<T> {
  for await (const message of messages) return message;
  throw new GrpcError(GRPC.invalidArgument, 'the call has no message');
}

const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

function timeoutOf(header: string | string[] | undefined): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(typeof header === 'string' ? header : '');
  // Timers of Node end at 24 days; who waits longer waits for ever.
  const milliseconds = match ? Number(match[1]) * UNITS[match[2]!]! : undefined;
  return milliseconds === undefined || milliseconds > 2 ** 31 - 1 ? undefined : Math.ceil(milliseconds);
}

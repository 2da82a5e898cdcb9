import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { Duplex } from 'node:stream';
import { EngineError } from '../../base/errors.ts';
import { Deframer, frame } from './frames.ts';
import { drained, SESSION_MEMORY_MB, SESSION_WINDOW, WINDOW } from './server.ts';
import { streamChunks } from './stream-chunks.ts';
import { detailsOf, GRPC, GrpcError, unescape } from './status.ts';

/** Patterns of a context are headers, and may be many. */
const MAX_HEADERS = 1 << 20;

type MethodOf<S extends DescService, K extends keyof S['method']> = S['method'][K];
type Metadata = Readonly<Record<string, string | readonly string[]>>;

export interface CallOptions {
  readonly metadata?: Metadata;
  readonly signal?: AbortSignal | undefined;
}

/** The client's end of gRPC on a connection that was opened by the other side: a session, where the client serves. */
export class GrpcClient {
  readonly #session: ClientHttp2Session;
  /** Fires when the connection has ended. */
  readonly closed: AbortSignal;

  constructor(socket: Duplex) {
    const closed = new AbortController();
    this.closed = closed.signal;
    this.#session = connect('http://localhost', {
      createConnection: () => socket,
      maxSessionMemory: SESSION_MEMORY_MB,
      maxSendHeaderBlockLength: MAX_HEADERS,
      settings: { initialWindowSize: WINDOW, enablePush: false },
    });
    this.#session.on('error', () => this.#session.destroy());
    this.#session.on('close', () => {
      socket.destroy();
      closed.abort(new EngineError('cancelled', 'the client is gone'));
    });
    socket.once('end', () => this.#session.destroy());
    this.#session.once('connect', () => {
      if (!this.#session.destroyed) this.#session.setLocalWindowSize(SESSION_WINDOW);
    });
  }

  close(): void {
    this.#session.close();
    this.#session.destroy();
  }

  /** A call with one message each way. Throws a GrpcError with the other side's status. */
  async unary<S extends DescService, K extends keyof S['method']>(
    service: S,
    name: K,
    request: MessageInitShape<MethodOf<S, K>['input']>,
    options: CallOptions = {},
  ): Promise<MessageShape<MethodOf<S, K>['output']>> {
    const method = service.method[name as string]!;
    const call = this.open(service, method.name, options);
    await call.send(toBinary(method.input, create(method.input, request)));
    call.end();
    let answer: Buffer | undefined;
    for await (const bytes of call.messages()) answer ??= Buffer.from(bytes);
    if (!answer) throw new GrpcError(GRPC.internal, `${service.typeName}/${method.name} answered nothing`);
    return fromBinary(method.output, answer) as MessageShape<MethodOf<S, K>['output']>;
  }

  /** Opens a call whose messages are encoded by the caller. */
  open(service: DescService, method: string, options: CallOptions = {}): RawCall {
    if (this.#session.destroyed || this.#session.closed) throw new EngineError('cancelled', 'the client is gone');
    options.signal?.throwIfAborted();
    return new RawCall(
      this.#session.request(
        {
          ':method': 'POST',
          ':path': `/${service.typeName}/${method}`,
          'content-type': 'application/grpc',
          te: 'trailers',
          'user-agent': 'gantry',
          ...(options.metadata as Record<string, string | string[]> | undefined),
        },
        { endStream: false },
      ),
      options.signal,
    );
  }
}

export type { DescMethod };

/** One call as encoded messages in both directions. */
export class RawCall {
  readonly #stream: ClientHttp2Stream;
  readonly #status: Promise<void>;
  readonly #abort: () => void;

  constructor(stream: ClientHttp2Stream, signal: AbortSignal | undefined) {
    this.#stream = stream;
    this.#abort = () => stream.close(constants.NGHTTP2_CANCEL);
    signal?.addEventListener('abort', this.#abort, { once: true });
    stream.on('error', () => {});
    this.#status = new Promise((resolve, reject) => {
      // The other side's status ends the call, also while it is still told things.
      const read = (headers: Record<string, unknown>): void => {
        const code = headers['grpc-status'];
        if (typeof code !== 'string') return;
        const message = typeof headers['grpc-message'] === 'string' ? unescape(headers['grpc-message']) : '';
        if (code === '0') resolve();
        else reject(new GrpcError(Number(code), message, { details: detailsOf(headers) }));
        if (!stream.writableEnded) stream.end();
      };
      stream.on('response', read);
      stream.on('trailers', read);
      stream.on('close', () => {
        signal?.removeEventListener('abort', this.#abort);
        // Nothing, when there was a status.
        reject(signal?.aborted ? (signal.reason as Error) : new EngineError('cancelled', 'the client is gone'));
      });
    });
    this.#status.catch(() => {});
  }

  /** Resolves when more can be sent. After the other side's end it does nothing. */
  async send(...messages: readonly Uint8Array[]): Promise<void> {
    if (this.#stream.destroyed || this.#stream.writableEnded) return;
    const bytes = messages.length === 1 ? frame(messages[0]!) : Buffer.concat(messages.map(frame));
    if (!this.#stream.write(bytes)) await drained(this.#stream);
  }

  /** No more from this side. */
  end(): void {
    if (!this.#stream.destroyed) this.#stream.end();
  }

  /** All is said from both sides: what still comes is nobody's business. */
  finish(): void {
    if (this.#stream.destroyed) return;
    this.#stream.end();
    this.#stream.resume();
  }

  /** Ends the call at once, from both sides. */
  cancel(): void {
    this.#abort();
  }

  /** The chunks of the other side as they come, for those who cut them elsewhere; ends or throws with its status. */
  async *chunks(): AsyncGenerator<Buffer> {
    try {
      yield* streamChunks(this.#stream);
    } catch (error) {
      await this.#status;
      throw error;
    }
    await this.#status;
  }

  /** The messages of the other side; ends or throws with its status. */
  async *messages(): AsyncGenerator<Buffer> {
    const deframer = new Deframer();
    for await (const chunk of this.chunks()) yield* deframer.push(chunk);
  }

  /** Resolves with the other side's end. Throws its status. */
  get ended(): Promise<void> {
    return this.#status;
  }
}

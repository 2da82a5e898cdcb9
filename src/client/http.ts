/**
 * HTTP/1.1 over one connection, as the Engine API uses it: a request at a time, bodies that stream both ways, and
 * connections that stop being HTTP (attach, exec). Written for this because loading `node:http` takes longer
 * than all else a short command does (35 ms of its 45), and because a hijacked stream must keep its half-close.
 */
import type { Duplex } from 'node:stream';
import { EngineError } from '../base/errors.ts';

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: ReadonlyMap<string, string>;
  /** A stream is sent chunked. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** Asks the server to leave HTTP after its answer. */
  readonly upgrade?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** To be read to its end, or given up with `return()`, which closes the connection. */
  readonly body: AsyncGenerator<Buffer, void, void>;
}

const HEAD_LIMIT = 256 * 1024;
const CRLF = Buffer.from('\r\n');

/** One connection. `send` must not be called before the last response's body ended. */
export class HttpConnection {
  readonly socket: Duplex;
  readonly #source: AsyncIterator<Buffer>;
  #buffer: Buffer = Buffer.alloc(0);
  #reusable = true;
  #used = false;

  constructor(socket: Duplex) {
    this.socket = socket;
    // Every error is seen by whoever reads or writes; one that comes in between must not end the program.
    socket.on('error', () => {});
    this.#source = socket.iterator({ destroyOnReturn: false });
  }

  /** Whether another request may be sent when the last body has ended. */
  get reusable(): boolean {
    return this.#reusable && !this.socket.destroyed && this.socket.writable;
  }

  /** Whether a request was answered here before: then a closed connection may only mean that it was idle for too long. */
  get used(): boolean {
    return this.#used;
  }

  async send(request: HttpRequest): Promise<HttpResponse> {
    const abort = (): void => void this.socket.destroy(new EngineError('cancelled', 'the request was cancelled'));
    if (request.signal?.aborted) abort();
    request.signal?.addEventListener('abort', abort, { once: true });
    const done = (): void => request.signal?.removeEventListener('abort', abort);
    try {
      const sending = this.#write(request);
      // An engine may refuse a long body before it has read it: its answer counts, not the broken pipe. The pipe's
      // error counts only when no answer came.
      let failure: unknown;
      const sent = sending.catch((error: unknown) => (failure = error));
      let head;
      try {
        head = await this.#readHead();
        while (head.status >= 100 && head.status < 200 && head.status !== 101) head = await this.#readHead();
      } catch (error) {
        await Promise.race([sent, new Promise((resolve) => setImmediate(resolve))]);
        throw failure instanceof EngineError ? failure : error;
      }
      this.#used = true;
      return { ...head, body: this.#body(request, head, done) };
    } catch (error) {
      this.#reusable = false;
      this.socket.destroy();
      done();
      throw error;
    }
  }

  close(): void {
    this.socket.destroy();
  }

  async #write(request: HttpRequest): Promise<void> {
    const { body } = request;
    if (this.socket.destroyed) return;
    const lines = [`${request.method} ${request.path} HTTP/1.1`];
    for (const [name, value] of request.headers) lines.push(`${name}: ${value.replace(/[\r\n]/g, ' ')}`);
    if (request.upgrade === true) lines.push('Connection: Upgrade', 'Upgrade: tcp');
    if (body instanceof Uint8Array) {
      lines.push(`Content-Length: ${body.byteLength}`, '', '');
      this.socket.write(Buffer.concat([Buffer.from(lines.join('\r\n')), body]));
      return;
    }
    if (body === undefined) {
      if (request.method === 'POST' || request.method === 'PUT') lines.push('Content-Length: 0');
      this.socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      return;
    }
    this.socket.write(`${lines.join('\r\n')}\r\nTransfer-Encoding: chunked\r\n\r\n`);
    for await (const chunk of body) {
      if (chunk.byteLength === 0) continue;
      if (this.socket.destroyed) return;
      this.socket.cork();
      this.socket.write(`${chunk.byteLength.toString(16)}\r\n`);
      this.socket.write(chunk);
      const room = this.socket.write(CRLF);
      this.socket.uncork();
      if (!room) await drained(this.socket);
    }
    this.socket.write('0\r\n\r\n');
  }

  async #readHead(): Promise<{ status: number; headers: Map<string, string> }> {
    for (;;) {
      const end = this.#buffer.indexOf('\r\n\r\n');
      if (end >= 0) {
        const text = this.#buffer.toString('latin1', 0, end);
        this.#buffer = this.#buffer.subarray(end + 4);
        return parseHead(text);
      }
      if (this.#buffer.length > HEAD_LIMIT)
        throw new EngineError('unavailable', 'the answer is not from an engine: its head has no end');
      const more = await this.#more();
      if (!more)
        throw new EngineError(
          'unavailable',
          'error during connect: the engine closed the connection before it answered',
        );
      this.#buffer = this.#buffer.length === 0 ? more : Buffer.concat([this.#buffer, more]);
    }
  }

  async *#body(
    request: HttpRequest,
    head: { status: number; headers: Map<string, string> },
    done: () => void,
  ): AsyncGenerator<Buffer, void, void> {
    let whole = false;
    try {
      const length = head.headers.get('content-length');
      if (request.method === 'HEAD' || head.status === 204 || head.status === 304) {
        // no body
      } else if (head.headers.get('transfer-encoding')?.toLowerCase() === 'chunked') {
        yield* this.#chunked();
      } else if (length !== undefined && head.status !== 101) {
        yield* this.#counted(Number(length));
      } else {
        this.#reusable = false;
        yield* this.#untilClosed();
      }
      whole = true;
    } finally {
      done();
      if (head.headers.get('connection')?.toLowerCase() === 'close') this.#reusable = false;
      if (!whole || !this.#reusable) {
        this.#reusable = false;
        if (!request.upgrade) this.socket.destroy();
      }
    }
  }

  async *#counted(length: number): AsyncGenerator<Buffer, void, void> {
    for (let left = length; left > 0;) {
      if (this.#buffer.length === 0) await this.#must();
      const part = this.#buffer.subarray(0, left);
      this.#buffer = this.#buffer.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }

  /** Gives all the chunks that came together as one buffer: an engine that sends a line a chunk costs no turn a line. */
  async *#chunked(): AsyncGenerator<Buffer, void, void> {
    let left = 0;
    let between = false; // after a chunk's data, before its CRLF
    for (;;) {
      const parts: Buffer[] = [];
      let at = 0;
      let ended = false;
      const buffer = this.#buffer;
      while (at < buffer.length) {
        if (left > 0) {
          const part = buffer.subarray(at, at + left);
          parts.push(part);
          at += part.length;
          left -= part.length;
          between = left === 0;
          continue;
        }
        if (between) {
          if (buffer.length - at < 2) break;
          at += 2;
          between = false;
          continue;
        }
        const end = buffer.indexOf('\r\n', at);
        if (end < 0) {
          if (buffer.length - at > 1024)
            throw new EngineError('unavailable', 'the answer is damaged: a chunk has no length');
          break;
        }
        const size = Number.parseInt(buffer.toString('latin1', at, end), 16);
        if (!(size >= 0)) throw new EngineError('unavailable', 'the answer is damaged: a chunk has no length');
        if (size === 0) {
          // The trailer part ends with an empty line; without trailers that is the next one.
          const last = buffer.indexOf('\r\n', end + 2);
          if (last < 0) break;
          if (last === end + 2) {
            at = last + 2;
            ended = true;
            break;
          }
          const trailers = buffer.indexOf('\r\n\r\n', end);
          if (trailers < 0) break;
          at = trailers + 4;
          ended = true;
          break;
        }
        left = size;
        at = end + 2;
      }
      this.#buffer = buffer.subarray(at);
      if (parts.length > 0) yield parts.length === 1 ? parts[0]! : Buffer.concat(parts);
      if (ended) return;
      await this.#must();
    }
  }

  async *#untilClosed(): AsyncGenerator<Buffer, void, void> {
    if (this.#buffer.length > 0) {
      const first = this.#buffer;
      this.#buffer = Buffer.alloc(0);
      yield first;
    }
    for (let more = await this.#more(); more; more = await this.#more()) yield more;
  }

  async #must(): Promise<void> {
    const more = await this.#more();
    if (!more)
      throw new EngineError(
        'unavailable',
        'unexpected EOF: the engine closed the connection in the middle of its answer',
      );
    this.#buffer = this.#buffer.length === 0 ? more : Buffer.concat([this.#buffer, more]);
  }

  async #more(): Promise<Buffer | undefined> {
    try {
      const next = await this.#source.next();
      return next.done === true ? undefined : next.value;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ECONNRESET' || code === 'EPIPE') return undefined;
      throw error;
    }
  }
}

function parseHead(text: string): { status: number; headers: Map<string, string> } {
  const [first, ...rest] = text.split('\r\n');
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(first!);
  if (!status) throw new EngineError('unavailable', 'the answer is not HTTP: is this the address of an engine?');
  const headers = new Map<string, string>();
  for (const line of rest) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { status: Number(status[1]), headers };
}

async function drained(socket: Duplex): Promise<void> {
  if (socket.destroyed || !socket.writableNeedDrain) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.once('drain', done);
    socket.once('close', done);
  });
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { EngineError } from '../base/errors.ts';
import { slabsOf } from '../base/slab-stream.ts';
import { parseDocument } from './json/parse.ts';
import type { Shape } from './json/shape.ts';
import type { Query } from './query.ts';
import { ready } from './ready.ts';
import type { ApiVersion } from './version.ts';

/** JSON bodies beyond this are refused, whatever their Content-Length says. */
const MAX_JSON_BYTES = 4 << 20;
/** A client that sends no more of its JSON for so long is let go. */
const BODY_TIMEOUT_MS = 30_000;

export interface ExchangeOptions {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly version: ApiVersion;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly signal: AbortSignal;
  /** Body bytes that arrived with an upgrade, where Node reads no body. */
  readonly early?: Buffer | undefined;
  readonly takeSocket: () => { readonly socket: Duplex; readonly head: Buffer };
}

/** One request and its answer. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly version: ApiVersion;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  /** Fires when the client is gone, or the daemon stops. What changes something once begun does not listen to it. */
  readonly signal: AbortSignal;
  readonly #response: ServerResponse;
  readonly #options: ExchangeOptions;

  constructor(options: ExchangeOptions) {
    this.request = options.request;
    this.version = options.version;
    this.params = options.params;
    this.query = options.query;
    this.signal = options.signal;
    this.#response = options.response;
    this.#options = options;
  }

  /** A parameter of the path. */
  param(name: string): string {
    return this.params[name]!;
  }

  /** True once part of an answer is out: an error can no longer be a status. */
  get answered(): boolean {
    return this.#response.headersSent;
  }

  header(name: string, value: string): void {
    this.#response.setHeader(name, value);
  }

  json(value: unknown, status = 200): void {
    const body = Buffer.from(`${JSON.stringify(value)}\n`);
    this.#response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length });
    this.#response.end(body);
  }

  text(body: string): void {
    this.#response.writeHead(200, {
      'Content-Type': 'text/plain; charset=utf-8',
      'Content-Length': this.request.method === 'HEAD' ? 0 : Buffer.byteLength(body),
    });
    this.#response.end(this.request.method === 'HEAD' ? undefined : body);
  }

  empty(status: number): void {
    this.#response.statusCode = status;
    if (status === 200) this.#response.setHeader('Content-Length', 0);
    this.#response.end();
  }

  /** Sends the headers of a streamed answer now. */
  begin(contentType: string): void {
    this.#response.writeHead(200, { 'Content-Type': contentType });
    this.#response.flushHeaders();
  }

  /** Resolves when the client's pace allows more. Throws `cancelled` when it is gone. */
  async write(chunk: string | Uint8Array): Promise<void> {
    if (this.signal.aborted || this.#response.destroyed) throw new EngineError('cancelled', 'the client is gone');
    if (this.#response.write(chunk)) return;
    await ready(this.#response);
  }

  /** For lines that may not slow the work they tell of. Gives the bytes that wait for the client. */
  push(chunk: string): number {
    if (!this.#response.destroyed) this.#response.write(chunk);
    return this.#response.writableLength;
  }

  end(): void {
    this.#response.end();
  }

  /** Cuts the answer off, so that the client sees that it is not whole. */
  abort(): void {
    this.#response.destroy();
  }

  /** Streams `body` at the client's pace; a failure midway cuts the answer off. */
  async stream(contentType: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const chunks = body[Symbol.asyncIterator]();
    // An error before the first byte can still be an honest status.
    let next = await chunks.next();
    this.begin(contentType);
    try {
      for (; !next.done; next = await chunks.next()) await this.write(next.value);
      this.end();
    } finally {
      await chunks.return?.();
    }
  }

  /** The JSON body; an absent one decodes as the empty document where `optional`. Throws `invalid-argument`, `too-large`. */
  async body<T>(shape: Shape<T>, options: { optional?: boolean } = {}): Promise<T> {
    const bytes = await this.bytes();
    if (bytes.length === 0 || (bytes.length < 64 && bytes.toString().trim() === '')) {
      if (options.optional) return shape.decode({}, goName(shape));
      throw new EngineError('invalid-argument', 'invalid JSON: got EOF while reading request body');
    }
    return parseDocument(bytes, shape, goName(shape));
  }

  /** The whole of a small body. Throws `too-large` before the memory is spent. */
  async bytes(): Promise<Buffer> {
    if (this.#options.early) return this.#options.early;
    const tooLarge = (): EngineError =>
      new EngineError('too-large', `request body too large: JSON bodies may have at most ${MAX_JSON_BYTES >> 20} MiB`);
    if (Number(this.request.headers['content-length'] ?? 0) > MAX_JSON_BYTES) throw tooLarge();
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(
      () => this.request.destroy(new EngineError('timeout', 'timed out while reading the request body')),
      BODY_TIMEOUT_MS,
    );
    try {
      for await (const chunk of this.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > MAX_JSON_BYTES) throw tooLarge();
        chunks.push(chunk);
      }
    } finally {
      clearTimeout(timer);
    }
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  /** True when the request has a body, of a length that is known or not. */
  get hasBody(): boolean {
    const length = this.request.headers['content-length'];
    return this.request.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
  }

  /** The body as it comes, for archives of any size. An absent body is an empty one. The pieces are the reader's alone. */
  upload(): AsyncIterable<Uint8Array> {
    return slabsOf(this.request);
  }

  /** Takes the connection out of HTTP's hands; `head` came with the request already. */
  takeSocket(): { readonly socket: Duplex; readonly head: Buffer } {
    return this.#options.takeSocket();
  }

  /** Changes the protocol of the connection to `h2c`. Throws `invalid-argument` when the client asked for another, or none. */
  upgradeToHttp2(): Duplex {
    const { upgrade } = this.request.headers;
    if (upgrade === undefined) throw new EngineError('invalid-argument', 'no upgrade proto in request');
    if (upgrade.toLowerCase() !== 'h2c') throw new EngineError('invalid-argument', `protocol ${upgrade} not supported`);
    const { socket, head } = this.takeSocket();
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
    if (head.length > 0) socket.unshift(head);
    return socket;
  }

  /**
   * Turns the connection into a raw one in both directions and sends its head: `101 UPGRADED` where the client asked
   * to upgrade, otherwise `200 OK`. `contentType` is what an upgraded client is told; others always get Docker's old word.
   */
  async hijack(contentType: string): Promise<{ readonly socket: Duplex; readonly head: Buffer }> {
    const upgrade = this.request.headers.upgrade !== undefined;
    if (!upgrade && this.request.headers['transfer-encoding'] !== undefined) {
      throw new EngineError('invalid-argument', 'a chunked body cannot become a raw stream: send Upgrade: tcp');
    }
    if (!upgrade && !this.request.complete) await this.bytes();
    const taken = this.takeSocket();
    taken.socket.write(
      upgrade
        ? `HTTP/1.1 101 UPGRADED\r\nContent-Type: ${contentType}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`
        : 'HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n',
    );
    return taken;
  }
}

/** Go shows the type without its package, and the create request, which embeds its configuration, with no name at all. */
function goName(shape: Shape<unknown>): string {
  return shape.type === 'container.CreateRequest' ? '' : shape.type.slice(shape.type.indexOf('.') + 1);
}

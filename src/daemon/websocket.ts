import { createHash } from 'node:crypto';
import { Duplex } from 'node:stream';
import { EngineError } from '../base/errors.ts';
import type { Exchange } from './exchange.ts';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
/** What a browser types comes in small frames; pasted text may be large. */
const MAX_FRAME = 1 << 20;

/** Answers a WebSocket handshake (RFC 6455) and gives the connection as a stream of bytes. Throws `invalid-argument`. */
export function websocketConnection(exchange: Exchange): { socket: Duplex; head: Buffer } {
  const { headers } = exchange.request;
  const key = headers['sec-websocket-key'];
  if (headers.upgrade?.toLowerCase() !== 'websocket' || !key || headers['sec-websocket-version'] !== '13') {
    throw new EngineError('invalid-argument', 'this path needs a WebSocket handshake (version 13)');
  }
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
  const protocol = headers['sec-websocket-protocol']?.split(',')[0]?.trim();
  const { socket, head } = exchange.takeSocket();
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${
      protocol !== undefined && /^[\w.-]+$/.test(protocol) ? `Sec-WebSocket-Protocol: ${protocol}\r\n` : ''
    }\r\n`,
  );
  return { socket: new WebsocketStream(socket, head), head: Buffer.alloc(0) };
}

/** Bytes in, as whatever the peer's data frames carry; bytes out, as binary frames. */
class WebsocketStream extends Duplex {
  readonly #socket: Duplex;
  #waiting: Buffer;

  constructor(socket: Duplex, head: Buffer) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#waiting = head;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('end', () => this.push(null));
    socket.on('close', () => this.destroy());
    socket.on('error', () => this.destroy());
    if (head.length > 0) queueMicrotask(() => this.#receive(Buffer.alloc(0)));
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send(BINARY, chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#send(CLOSE, Buffer.from([0x03, 0xe8]), () => {
      this.#socket.end();
      done();
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #send(opcode: number, payload: Buffer, done: (error?: Error | null) => void = () => {}): void {
    this.#socket.write(frameHead(opcode, payload.length));
    this.#socket.write(payload, done);
  }

  #receive(chunk: Buffer): void {
    this.#waiting = this.#waiting.length === 0 ? chunk : Buffer.concat([this.#waiting, chunk]);
    for (;;) {
      const frame = takeFrame(this.#waiting);
      if (frame === undefined) return;
      if (frame === 'broken') {
        this.destroy();
        return;
      }
      this.#waiting = this.#waiting.subarray(frame.size);
      if (frame.opcode === CLOSE) {
        this.push(null);
        return;
      }
      if (frame.opcode === PING) this.#send(PONG, frame.payload);
      else if (frame.opcode <= BINARY && frame.payload.length > 0 && !this.push(frame.payload)) this.#socket.pause();
    }
  }
}

function frameHead(opcode: number, length: number): Buffer {
  const head = Buffer.alloc(length < 126 ? 2 : length < 0x1_0000 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (length < 126) head[1] = length;
  else if (length < 0x1_0000) {
    head[1] = 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return head;
}

/** The first whole frame of `bytes`; undefined when more must come, `broken` when it can be none of a client's. */
function takeFrame(bytes: Buffer): { opcode: number; payload: Buffer; size: number } | 'broken' | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes[1]! & 0x7f;
  const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
  if (bytes.length < 2 + extra) return undefined;
  const length = extra === 0 ? short : extra === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  // A client masks what it sends (section 5.3).
  if ((bytes[1]! & 0x80) === 0 || length > MAX_FRAME) return 'broken';
  const start = 2 + extra + 4;
  if (bytes.length < start + length) return undefined;
  const mask = bytes.subarray(start - 4, start);
  const payload = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at++) payload[at] = bytes[start + at]! ^ mask[at & 3]!;
  return { opcode: bytes[0]! & 0x0f, payload, size: start + length };
}

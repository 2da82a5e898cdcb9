/**
 * A client that costs little: requests as bytes made beforehand, answers read only as far as their lengths. So that a
 * measurement is the server's and not the client's.
 */
import { connect, type Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly headers: string;
  /** Bytes of the body. */
  readonly size: number;
}

/** One connection, one request at a time. */
export class Connection {
  readonly #socket: Socket;
  #head: Buffer = Buffer.alloc(0);
  #left = 0;
  #answer: Answer | undefined;
  #waiting: PromiseWithResolvers<Answer> | undefined;
  #failure: Error | undefined;

  private constructor(port: number) {
    const buffer = Buffer.allocUnsafe(1 << 20);
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer,
        callback: (count, bytes) => {
          this.#take(Buffer.from(bytes.buffer, bytes.byteOffset, count));
          return true;
        },
      },
    });
    const fail = (error: Error): void => {
      this.#failure = error;
      this.#waiting?.reject(error);
    };
    this.#socket.on('error', fail).on('close', () => fail(new Error('the server closed the connection')));
  }

  static async open(port: number): Promise<Connection> {
    const connection = new Connection(port);
    await new Promise<void>((resolve, reject) => {
      connection.#socket.once('connect', resolve).once('error', reject);
    });
    return connection;
  }

  send(head: Buffer, body?: Buffer): Promise<Answer> {
    if (this.#failure) return Promise.reject(this.#failure);
    this.#waiting = Promise.withResolvers<Answer>();
    this.#socket.write(head);
    if (body) this.#socket.write(body);
    return this.#waiting.promise;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.#answer) return this.#takeBody(chunk.byteLength);
    const all = this.#head.byteLength > 0 ? Buffer.concat([this.#head, chunk]) : chunk;
    const end = all.indexOf('\r\n\r\n');
    if (end < 0) {
      this.#head = Buffer.from(all);
      return;
    }
    const headers = all.toString('latin1', 0, end);
    const status = Number(headers.slice(9, 12));
    const size = Number(/\r\ncontent-length: *(\d+)/i.exec(headers)?.[1] ?? 0);
    this.#head = Buffer.alloc(0);
    this.#answer = { status, headers, size };
    this.#left = status === 204 || status === 304 ? 0 : size;
    this.#takeBody(all.byteLength - end - 4);
  }

  #takeBody(count: number): void {
    this.#left -= count;
    if (this.#left > 0) return;
    const answer = this.#answer!;
    this.#answer = undefined;
    this.#waiting?.resolve(answer);
  }
}

export function requestHead(
  method: string,
  path: string,
  headers: Readonly<Record<string, string | number>> = {},
): Buffer {
  const lines = Object.entries({ host: 'bench', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1');
}

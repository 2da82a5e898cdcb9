import { createServer, type Server, type Socket } from 'node:net';

const END = Buffer.from('0\r\n\r\n');
const PING =
  'HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nBuilder-Version: 1\r\nOSType: linux\r\nServer: Docker/28.5.2 (linux)\r\nContent-Length: 0\r\n\r\n';
const BUILT = `{"stream":"sha256:${'1'.repeat(64)}\\n"}\r\n`;

/**
 * An engine that takes the context of a classic build, looks at none of it, and answers at once: what a build through
 * docker's classic path takes with it is the client's alone, and no engine's build takes less.
 */
export class SwallowingEngine implements AsyncDisposable {
  readonly #server: Server = createServer((socket) => new Connection(socket));

  async listen(path: string): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(path, resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

class Connection {
  readonly #socket: Socket;
  #head = '';
  #tail: Buffer = Buffer.alloc(0);
  #inBody = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => socket.destroy());
  }

  #take(chunk: Buffer): void {
    if (this.#inBody) return this.#takeBody(chunk);
    this.#head += chunk.toString('latin1');
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) return;
    const isBuild = this.#head.includes('/build?');
    const rest = Buffer.from(this.#head.slice(end + 4), 'latin1');
    this.#head = '';
    if (!isBuild) return void this.#socket.write(PING);
    this.#inBody = true;
    this.#takeBody(rest);
  }

  #takeBody(chunk: Buffer): void {
    this.#tail = Buffer.concat([this.#tail, chunk.subarray(-END.length)]).subarray(-END.length);
    if (!this.#tail.equals(END)) return;
    const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${BUILT.length}\r\nConnection: close\r\n\r\n`;
    this.#socket.end(head + BUILT);
  }
}

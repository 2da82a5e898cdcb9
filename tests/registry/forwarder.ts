import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Between a client and a registry: counts what is asked for, and fails when it is told to. */
export class Forwarder implements AsyncDisposable {
  /** `GET /v2/app/manifests/1`, in the order they came. */
  readonly asked: string[] = [];
  /** What every request gets instead. */
  refusal: { status: number; headers?: Record<string, string> } | undefined;
  /** Called with a request before it goes on. */
  before: (asked: string) => Promise<void> = async () => {};
  /** Changes the body of answers. */
  spoil: ((asked: string, chunk: Buffer) => Buffer) | undefined;
  readonly #server: Server;
  readonly #target: string;

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  static async open(target: string): Promise<Forwarder> {
    const forwarder = new Forwarder(target);
    await new Promise<void>((resolve) => forwarder.#server.listen(0, '127.0.0.1', resolve));
    return forwarder;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = `${incoming.method} ${incoming.url}`;
    this.asked.push(asked);
    await this.before(asked);
    if (this.refusal) {
      response.writeHead(this.refusal.status, this.refusal.headers ?? {}).end();
      return;
    }
    const [host, port] = this.#target.split(':');
    const { method, url, headers } = incoming;
    const outgoing = request({ host, port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      if (!this.spoil) return void answer.pipe(response);
      answer.on('data', (chunk: Buffer) => response.write(this.spoil!(asked, chunk))).on('end', () => response.end());
    });
    outgoing.on('error', () => response.destroy());
    incoming.pipe(outgoing);
  }

  /** Ends every connection to a client in the middle of whatever is sent. */
  breakConnections(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** An engine that answers just enough for one command line to be written down: the requests are what is looked at. */
import { createServer, type Server } from 'node:http';

export interface Recorded {
  readonly method: string;
  /** Without the version in front. */
  readonly path: string;
  readonly query: Readonly<Record<string, readonly string[]>>;
  readonly body: Buffer;
}

export class RecordingEngine {
  readonly requests: Recorded[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(socket: string): Promise<RecordingEngine> {
    const server = createServer();
    const engine = new RecordingEngine(server);
    server.on('request', (request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const url = new URL(request.url ?? '/', 'http://engine');
        const path = url.pathname.replace(/^\/v1\.\d+/, '');
        response.setHeader('Api-Version', '1.51');
        response.setHeader('Ostype', 'linux');
        response.setHeader('Content-Type', 'application/json');
        if (path === '/_ping') return void response.end('OK');
        const query: Record<string, string[]> = {};
        for (const [key, value] of url.searchParams) (query[key] ??= []).push(value);
        engine.requests.push({ method: request.method ?? '', path, query, body: Buffer.concat(parts) });
        response.statusCode = 418;
        response.end('{"message":"written down"}');
      });
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    return engine;
  }

  /** What came since the last call. */
  take(): Recorded[] {
    return this.requests.splice(0);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../log.ts';
import { routeTable } from '../routes/table.ts';
import { ApiServer, type Door } from '../server.ts';
import { fakeEngine, type Overrides } from './fake-engine.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** A server before a fake engine, on a socket of its own. */
export class TestServer implements AsyncDisposable {
  readonly socketPath: string;
  readonly server: ApiServer;
  readonly #directory: string;

  static async start(overrides: Overrides, door: Door = { plainTcp: false, hostNames: [] }): Promise<TestServer> {
    const directory = await mkdtemp(join(tmpdir(), 'gantry-api-'));
    const log = createLogger({ level: 'fatal' });
    const server = new ApiServer({ routes: routeTable(fakeEngine(overrides)), product: 'Gantry/test (linux)', log });
    const socketPath = join(directory, 'api.sock');
    const { promise, resolve } = Promise.withResolvers<void>();
    server.server(door).listen(socketPath, resolve);
    await promise;
    return new TestServer(directory, socketPath, server);
  }

  private constructor(directory: string, socketPath: string, server: ApiServer) {
    this.#directory = directory;
    this.socketPath = socketPath;
    this.server = server;
  }

  request(
    method: string,
    path: string,
    options: { body?: string | Buffer; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        { socketPath: this.socketPath, method, path, headers: options.headers ?? {}, agent: false },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () =>
            resolve({
              status: response.statusCode!,
              headers: response.headers,
              text: Buffer.concat(chunks).toString('latin1'),
            }),
          );
        },
      );
      request.on('error', reject);
      request.end(options.body);
    });
  }

  /** Sends bytes as they are, and gives all that comes back until the server ends. */
  async raw(bytes: string | Buffer, options: { end?: boolean } = {}): Promise<string> {
    const socket = connect({ path: this.socketPath, allowHalfOpen: true });
    socket.write(bytes);
    if (options.end) socket.end();
    let text = '';
    try {
      for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString('latin1');
    } finally {
      socket.destroy();
    }
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close(500);
    await rm(this.#directory, { recursive: true, force: true });
  }
}

import { createReadStream, existsSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { Duplex } from 'node:stream';
import { createGzip } from 'node:zlib';
import { type WebSocket, WebSocketServer } from 'ws';
import { errorMessage } from '../base/errors.ts';
import type { Requester } from '../client/requester.ts';
import { ResponseError } from '../client/response-error.ts';
import { Access } from './access.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Nothing from elsewhere: no script, no style, no connection but to this server. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

export interface DashboardOptions {
  /** The engine that is shown: Gantry's, or any that speaks Docker's API. */
  readonly requester: Requester;
  /** Folder of the page, as `tools/bundle.ts` built it. */
  readonly page: string;
  /** Repositories of the registry at an address that the user names, with their tags. */
  readonly repositories: (
    host: string,
  ) => Promise<readonly { readonly name: string; readonly tags: readonly string[] }[]>;
  /** 0: any that is free. */
  readonly port: number;
}

/** A page about one engine, on the loopback address: static files, and behind a secret the engine's API. */
export class Dashboard implements AsyncDisposable {
  readonly #options: DashboardOptions;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: 1 << 20 });
  #access!: Access;
  #port = 0;

  private constructor(options: DashboardOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => fail(response, error));
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Throws what `listen` throws (the port is taken). */
  static async start(options: DashboardOptions): Promise<Dashboard> {
    const dashboard = new Dashboard(options);
    await new Promise<void>((resolve, reject) => {
      dashboard.#server.once('error', reject);
      dashboard.#server.listen(options.port, '127.0.0.1', resolve);
    });
    dashboard.#port = (dashboard.#server.address() as AddressInfo).port;
    dashboard.#access = new Access(dashboard.#port);
    return dashboard;
  }

  /** The address to open, with the secret. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}/?token=${this.#access.token}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://x');
    response.setHeader('Content-Security-Policy', POLICY);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Referrer-Policy', 'no-referrer');
    if (!this.#access.local(request)) return refuse(response, 403, 'this page is for this machine only');
    const token = searchParams.get('token');
    if (pathname === '/' && token !== null && this.#access.holds(token)) {
      response.writeHead(303, {
        Location: '/',
        'Set-Cookie': this.#access.cookieFor(this.#port),
        'Cache-Control': 'no-store',
      });
      response.end();
      return;
    }
    if (!this.#access.allowed(request)) {
      return refuse(response, 401, 'open the address that `gantry dashboard` printed: it has the key');
    }
    if (pathname.startsWith('/api/')) return this.#forward(request, response);
    if (pathname.startsWith('/registry/')) {
      const host = decodeURIComponent(pathname.slice('/registry/'.length));
      const found = await this.#options.repositories(host);
      response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
      response.end(JSON.stringify(found));
      return;
    }
    this.#file(pathname === '/' ? '/index.html' : pathname, request, response);
  }

  #file(pathname: string, request: IncomingMessage, response: ServerResponse): void {
    const path = join(this.#options.page, normalize(pathname));
    const type = TYPES[extname(path)];
    if (request.method !== 'GET' || type === undefined || !path.startsWith(this.#options.page) || !existsSync(path)) {
      return refuse(response, 404, 'not here');
    }
    const gzip = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
    response.writeHead(200, {
      'Content-Type': type,
      'Cache-Control': 'no-cache',
      ...(gzip && { 'Content-Encoding': 'gzip' }),
    });
    const content = createReadStream(path);
    if (gzip) content.pipe(createGzip()).pipe(response);
    else content.pipe(response);
  }

  /** `/api/…` is the engine's `/v1.x/…`, streams included; leaving the page ends them. */
  async #forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const { 'content-type': type } = request.headers;
    const answer = await this.#options.requester.request(
      request.method ?? 'GET',
      (request.url ?? '').slice('/api'.length),
      {
        ...(request.method !== 'GET' && { body: request as AsyncIterable<Uint8Array> }),
        headers: type === undefined ? {} : { 'Content-Type': type },
        signal: gone.signal,
      },
    );
    response.writeHead(answer.status, {
      'Content-Type': answer.headers.get('content-type') ?? 'application/octet-stream',
      'Cache-Control': 'no-store',
    });
    response.flushHeaders();
    try {
      for await (const chunk of answer.body) {
        if (!response.write(chunk))
          await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
        if (response.destroyed) break;
      }
    } catch (error) {
      if (!gone.signal.aborted) throw error;
    }
    response.end();
  }

  /** `/terminal/{exec}`: the exec's terminal over a WebSocket, bytes both ways. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const exec = /^\/terminal\/([0-9a-f]{64})$/.exec(request.url ?? '')?.[1];
    // A browser always sends its origin here; without the page's own, it is another page.
    if (
      exec === undefined ||
      request.headers.origin === undefined ||
      !this.#access.local(request) ||
      !this.#access.allowed(request)
    ) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (client) => {
      this.#terminal(exec, client).catch((error: unknown) => client.close(1011, errorMessage(error).slice(0, 100)));
    });
  }

  async #terminal(exec: string, client: WebSocket): Promise<void> {
    const early: Buffer[] = [];
    const keep = (data: Buffer): void => void early.push(data);
    client.on('message', keep);
    const stream = await this.#options.requester.hijack(`/exec/${exec}/start`, { json: { Tty: true } });
    client.off('message', keep);
    for (const data of early) stream.write(data);
    client.on('message', (data: Buffer) => stream.write(data));
    client.once('close', () => stream.close());
    client.once('error', () => stream.close());
    try {
      for await (const chunk of stream.output) {
        await new Promise<void>((resolve) => client.send(chunk, () => resolve()));
        if (client.readyState !== client.OPEN) break;
      }
    } finally {
      stream.close();
      client.close(1000);
    }
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(`${message}\n`);
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const status = error instanceof ResponseError ? error.status : 502;
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ message: errorMessage(error) }));
}

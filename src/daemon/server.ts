import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import { EngineError, errorCode, errorMessage } from '../base/errors.ts';
import { onBehalfOf } from '../base/caller.ts';
import { callerOf, clientOf } from './caller.ts';
import { plainJson } from '../base/plain-json.ts';
import { splitEarlyBody } from './early-body.ts';
import { Exchange } from './exchange.ts';
import type { Logger } from './log.ts';
import { OutOfScope } from './scope/out-of-scope.ts';
import { checkOrigin } from './origin.ts';
import { Query } from './query.ts';
import { type Match, pageNotFound, type Route, Router } from './router.ts';
import { HTTP_STATUS } from './status.ts';
import { NEWEST, splitVersion } from './version.ts';

const MAX_HEADER_BYTES = 16 << 10;
const HEADERS_TIMEOUT_MS = 10_000;
/** Of one address to listen on. */
const MAX_CONNECTIONS = 2048;
/** Of one process, or of one host by TCP: the rest is for others. */
const MAX_CONNECTIONS_OF_ONE = 512;
/** How long a connection that is refused in the middle of its body may go on sending before it is cut. */
const LINGER_MS = 1000;
/** What is read of a refused body before the answer, and how long it is waited for. */
const REFUSED_BYTES = 256 << 10;
const REFUSED_MS = 300;

export interface ApiServerOptions {
  readonly routes: readonly Route[];
  /** The `Server` header: `Gantry/1.2.3 (linux)`. */
  readonly product: string;
  readonly log: Logger;
  /** Takes connections that speak HTTP/2 from their first byte on. */
  readonly http2?: ((socket: Duplex) => void) | undefined;
  /** What the holder of a token is let through to. Throws `unauthorized`. */
  readonly tokens?: ((token: string) => Limited) | undefined;
  /** A line for each call that came through something limited. */
  readonly audit?: ((line: string) => void) | undefined;
}

/** A part of the API: what its routes do not have is not there. */
export interface Limited {
  readonly name: string;
  readonly router: Router;
  /** Fires when it is no more; whoever is connected through it is cut off. */
  readonly ended: AbortSignal;
}

/** What is known of a request beside what it says. */
interface Call {
  limited: Limited | undefined;
  denied: boolean;
  told: boolean;
}

/** How requests reach a listener, for the checks that only some need. */
export interface Door {
  /** Anybody who can open a TCP connection comes in here, a browser's page included. */
  readonly plainTcp: boolean;
  /** Host names that are ours beside addresses and localhost. */
  readonly hostNames: readonly string[];
  readonly tls?: (TlsOptions & SecureContextOptions) | undefined;
  /** Only this much is behind it, whatever a request says. */
  readonly limited?: Limited | undefined;
  /** Clients are not known by where they come from or by a certificate: those without a token get nothing. */
  readonly tokensOnly?: boolean | undefined;
}

/** The Docker Engine API over HTTP/1.1: finds the route, answers errors, keeps the bounds. */
export class ApiServer {
  readonly #router: Router;
  readonly #options: ApiServerOptions;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Duplex>();
  readonly #running = new Set<Promise<void>>();
  readonly #connections = new Map<string, number>();
  readonly #stop = new AbortController();

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#router = new Router(options.routes);
  }

  /** A server for one listening address; the caller calls `listen` on it. */
  server(door: Door): Server {
    const options = {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      // Bodies and answers may take hours (build, load, events); JSON bodies have a limit of their own.
      requestTimeout: 0,
      keepAliveTimeout: 0,
      connectionsCheckingInterval: 5000,
      insecureHTTPParser: false,
      // Of TCP: a peer that vanished without a word is noticed.
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
      shouldUpgradeCallback: (request: IncomingMessage) => this.#upgrades(door, request),
    };
    const server = (
      door.tls
        ? createSecureServer({ ...options, handshakeTimeout: HEADERS_TIMEOUT_MS, ...door.tls })
        : createServer(options)
    ) as Server & {
      httpAllowHalfOpen: boolean;
    };
    // A client may send its request, shut its side, and still wants the answer.
    server.httpAllowHalfOpen = true;
    server.maxConnections = MAX_CONNECTIONS;
    server.on(door.tls ? 'secureConnection' : 'connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    });
    server.on('connection', (socket: Socket) => this.#count(socket, door.tls === undefined));
    server.on('request', (request, response) => this.#serve(door, request, response));
    server.on('upgrade', (request, socket, head) => this.#serveUpgrade(door, request, socket, head));
    server.on('clientError', (error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket) => {
      const { http2 } = this.#options;
      // The parser stops at the first line of HTTP/2, and gives back what it has read.
      const whole = !door.limited && !door.tokensOnly;
      if (error.code === 'HPE_PAUSED_H2_UPGRADE' && error.rawPacket && http2 && whole)
        takeFromParser(socket, error.rawPacket, http2);
      else refuseMalformed(error, socket);
    });
    this.#servers.push(server);
    return server;
  }

  /** Stops accepting, ends what streams, and lets what changes something finish, for at most `graceMs`. */
  async close(graceMs: number): Promise<void> {
    for (const server of this.#servers) server.close();
    this.#stop.abort(new EngineError('cancelled', 'the daemon is shutting down'));
    for (const server of this.#servers) server.closeIdleConnections();
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, graceMs);
    await Promise.race([Promise.allSettled(this.#running), late]);
    clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
  }

  /** One client does not take what others need: beyond its part it is told, and closed. */
  #count(socket: Socket, plain: boolean): void {
    const client = clientOf(socket);
    const count = (this.#connections.get(client) ?? 0) + 1;
    if (count > MAX_CONNECTIONS_OF_ONE) {
      socket.on('error', () => {});
      if (plain) socket.end(TOO_MANY_CONNECTIONS, () => socket.destroy());
      else socket.destroy();
      return;
    }
    this.#connections.set(client, count);
    socket.once('close', () => {
      const left = this.#connections.get(client)! - 1;
      if (left > 0) this.#connections.set(client, left);
      else this.#connections.delete(client);
    });
  }

  /** Throws `unauthorized`. */
  #limitOf(door: Door, request: IncomingMessage): Limited | undefined {
    if (door.limited) return door.limited;
    const token = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token !== undefined && this.#options.tokens) return this.#options.tokens(token);
    if (!door.tokensOnly) return undefined;
    throw new EngineError(
      'unauthorized',
      'a token of a scope is needed here (gantry scope create NAME --token), sent as Authorization: Bearer TOKEN',
    );
  }

  #upgrades(door: Door, request: IncomingMessage): boolean {
    try {
      return this.#find(request, this.#limitOf(door, request)).match?.route.hijacks === true;
    } catch {
      return false;
    }
  }

  #serve(door: Door, request: IncomingMessage, response: ServerResponse): void {
    const socket = request.socket;
    const take = (): { socket: Duplex; head: Buffer } => {
      // The parser reads on by these listeners, and would take the client's bytes for a next request.
      for (const event of ['data', 'end', 'readable']) socket.removeAllListeners(event);
      response.detachSocket(socket);
      return { socket, head: Buffer.alloc(0) };
    };
    this.#run(door, request, response, take);
  }

  #serveUpgrade(door: Door, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as Socket);
    response.on('finish', () => socket.end());
    void splitEarlyBody(request, socket, head).then(
      ({ body, rest }) => {
        const take = (): { socket: Duplex; head: Buffer } => {
          response.detachSocket(socket as Socket);
          return { socket, head: rest };
        };
        this.#run(door, request, response, take, body);
      },
      (error: unknown) => this.#answerError(request, response, error),
    );
  }

  #run(
    door: Door,
    request: IncomingMessage,
    response: ServerResponse,
    takeSocket: () => { socket: Duplex; head: Buffer },
    early?: Buffer,
  ): void {
    response.on('error', () => {});
    const { controller, release } = this.#abortOnDisconnect(request);
    const call: Call = { limited: undefined, denied: false, told: false };
    const running = this.#answer(door, request, response, { call, signal: controller.signal, takeSocket, early })
      .catch((error: unknown) => {
        const code = errorCode(error);
        call.denied = error instanceof OutOfScope || code === 'forbidden' || code === 'unauthorized';
        this.#answerError(request, response, error);
      })
      .finally(() => {
        release();
        // Nothing was answered: the client was gone before.
        this.#tell(call, request, response.statusCode);
      });
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  async #answer(
    door: Door,
    request: IncomingMessage,
    response: ServerResponse,
    {
      call,
      signal,
      takeSocket,
      early,
    }: {
      call: Call;
      signal: AbortSignal;
      takeSocket: () => { socket: Duplex; head: Buffer };
      early: Buffer | undefined;
    },
  ): Promise<void> {
    response.setHeader('Api-Version', `1.${NEWEST}`);
    response.setHeader('Docker-Experimental', 'false');
    response.setHeader('Ostype', 'linux');
    response.setHeader('Server', this.#options.product);
    checkOrigin(request, door);
    call.limited = this.#limitOf(door, request);
    if (call.limited) this.#watch(call, request, response);
    const { version, match, query } = this.#find(request, call.limited);
    if (!match) throw call.limited ? new OutOfScope('not-found', pageNotFound().message) : pageNotFound();
    this.#options.log.debug(`Calling ${request.method} ${request.url?.slice(0, 1024)}`);
    const { route, params } = match;
    const exchange = new Exchange({
      request,
      response,
      version,
      params,
      query: new Query(query),
      signal,
      takeSocket: () => {
        this.#tell(call, request, 101);
        return takeSocket();
      },
      early,
    });
    await onBehalfOf(
      () => callerOf(request),
      () => route.handle(exchange),
    );
  }

  /** Tells what becomes of a limited call when that is known, and ends it with what it came through. */
  #watch(call: Call, request: IncomingMessage, response: ServerResponse): void {
    const { ended } = call.limited!;
    const { socket } = request;
    const end = (): void => void socket.destroy();
    if (ended.aborted) end();
    ended.addEventListener('abort', end, { once: true });
    socket.once('close', () => ended.removeEventListener('abort', end));
    const writeHead = response.writeHead.bind(response) as (...parts: unknown[]) => ServerResponse;
    response.writeHead = ((status: number, ...parts: unknown[]) => {
      this.#tell(call, request, status);
      return writeHead(status, ...parts);
    }) as ServerResponse['writeHead'];
  }

  #tell(call: Call, request: IncomingMessage, status: number): void {
    const { audit } = this.#options;
    if (!audit || call.told || !call.limited) return;
    call.told = true;
    const { process: peer, address } = callerOf(request);
    audit(
      plainJson({
        scope: call.limited.name,
        from: peer ? { pid: peer.pid, uid: peer.uid, command: peer.command } : (address ?? null),
        method: request.method,
        path: request.url?.split('?')[0]?.slice(0, 1000),
        decision: call.denied ? 'denied' : 'allowed',
        status,
      }),
    );
  }

  #find(
    request: IncomingMessage,
    limited: Limited | undefined,
  ): { version: number; match: Match | undefined; query: string } {
    const target = request.url ?? '/';
    const cut = target.indexOf('?');
    const { version, path } = splitVersion(cut < 0 ? target : target.slice(0, cut));
    return {
      version,
      match: (limited?.router ?? this.#router).find(request.method ?? '', path),
      query: cut < 0 ? '' : target.slice(cut + 1),
    };
  }

  #abortOnDisconnect(request: IncomingMessage): { controller: AbortController; release: () => void } {
    const controller = new AbortController();
    const gone = (): void => controller.abort(new EngineError('cancelled', 'the client is gone'));
    const stop = (): void => controller.abort(this.#stop.signal.reason);
    const socket = request.socket;
    if (this.#stop.signal.aborted) stop();
    this.#stop.signal.addEventListener('abort', stop, { once: true });
    socket.on('close', gone);
    // A client of a stream that shuts its side is gone as far as we can tell; one whose connection is taken over is not.
    if (request.headers.upgrade === undefined) socket.on('end', gone);
    const release = (): void => {
      this.#stop.signal.removeEventListener('abort', stop);
      socket.off('close', gone);
      socket.off('end', gone);
    };
    return { controller, release };
  }

  #answerError(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const code = errorCode(error);
    const message = errorMessage(error);
    if (code === 'internal' || code === 'corrupt') {
      const stack = error instanceof Error && !(error instanceof EngineError) ? error.stack : undefined;
      this.#options.log.error(`Handler for ${request.method} ${request.url?.slice(0, 1024)}: ${message}`, { stack });
    } else {
      this.#options.log.debug(`Answer to ${request.method} ${request.url?.slice(0, 1024)}: ${message}`, { code });
    }
    if (response.headersSent || response.socket === null) {
      response.destroy();
      return;
    }
    const status = HTTP_STATUS[code];
    if (status === 304) {
      response.writeHead(304).end();
      return;
    }
    const body = Buffer.from(`${JSON.stringify({ message })}\n`);
    const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length };
    if (request.complete) {
      response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body);
      return;
    }
    response.statusCode = status;
    void readTheRest(request).then(() => {
      if (request.complete) return response.writeHead(status, headers).end(body);
      response.writeHead(status, { ...headers, Connection: 'close' });
      return answerWhileReading(request, response, body);
    });
  }
}

/**
 * A refused body is read to its end before the answer when it is short, as Go's servers do: clients give up sending when
 * they are answered in the middle of it, and some of them complain of that.
 */
async function readTheRest(request: IncomingMessage): Promise<void> {
  if (request.destroyed) return;
  await new Promise<void>((resolve) => {
    let left = REFUSED_BYTES;
    const done = (): void => {
      clearTimeout(timer);
      request.off('data', count).off('end', done).off('close', done).pause();
      resolve();
    };
    const count = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left <= 0) done();
    };
    const timer = setTimeout(done, REFUSED_MS);
    request.on('data', count).once('end', done).once('close', done);
  });
}

/**
 * The rest of a refused body is read and thrown away for a moment: a client that is still sending it reads the answer
 * only once it has sent. Ending the answer would close the connection under it.
 */
function answerWhileReading(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  response.write(body);
  const end = (): void => void response.end();
  request.once('end', end).resume();
  setTimeout(() => {
    end();
    request.socket.destroy();
  }, LINGER_MS).unref();
}

const TOO_MANY = `${JSON.stringify({ message: `too many connections: one client may have ${MAX_CONNECTIONS_OF_ONE}` })}\n`;
const TOO_MANY_CONNECTIONS = `HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${TOO_MANY.length}\r\n\r\n${TOO_MANY}`;

/** Hands a connection over with all that came on it. */
function takeFromParser(socket: Duplex, read: Buffer, take: (socket: Duplex) => void): void {
  // The parser takes bytes off the connection below Node's streams until somebody listens for them.
  socket.on('data', () => {});
  socket.pause();
  for (const event of ['data', 'end', 'drain', 'close', 'error', 'timeout', 'resume', 'pause'])
    socket.removeAllListeners(event);
  socket.on('error', () => {});
  socket.unshift(Buffer.from(read));
  take(socket);
}

function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const [status, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', `request headers larger than ${MAX_HEADER_BYTES >> 10} KiB`]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'timed out while reading the request headers']
        : ['400 Bad Request', `malformed HTTP request: ${error.message}`];
  const body = `${JSON.stringify({ message })}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\nApi-Version: 1.${NEWEST}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

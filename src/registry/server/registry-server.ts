import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { errorMessage } from '../../base/errors.ts';
import { plainJson } from '../../base/plain-json.ts';
import type { Access, Asking, Identity } from './access.ts';
import { handleBlob } from './blob-handler.ts';
import { answerJson, type Call } from './call.ts';
import { handleCatalog, handleReferrers, handleTags } from './list-handlers.ts';
import type { Metrics } from './metrics.ts';
import type { RegistryEvent } from './webhooks.ts';
import { ClientLimits, type LimitSettings } from './client-limits.ts';
import { handleManifest } from './manifest-handler.ts';
import type { PullThrough } from './pull-through.ts';
import { protocolError, ProtocolError } from './protocol-error.ts';
import type { Repositories } from './repositories.ts';
import { actionOf, parseTarget, type Target } from './routes.ts';
import { handleToken } from './token-handler.ts';
import { handleUpload } from './upload-handler.ts';
import { Uploads } from './uploads.ts';

export interface RegistryServerOptions {
  readonly repositories: Repositories;
  readonly access: Access;
  /** Repositories that are copies of others. */
  readonly cache?: PullThrough | undefined;
  /** PEM. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string | undefined } | undefined;
  /** Bytes of the largest blob; default 64 GiB. */
  readonly maxBlobBytes?: number | undefined;
  /** Manifests and blobs may be deleted; default true. */
  readonly deletes?: boolean | undefined;
  /** One line for each request that changed something or was refused, with who asked. */
  readonly audit?: ((line: string) => void) | undefined;
  /** Reads too. */
  readonly auditReads?: boolean | undefined;
  /** Is told of manifests that come, go out and are deleted. */
  readonly events?: ((event: RegistryEvent) => void) | undefined;
  readonly metrics?: Metrics | undefined;
  readonly limits?: LimitSettings | undefined;
  /** How clients reach this very server, for uploads; where they came to when nothing is said. */
  readonly uploadUrl?: string | undefined;
  /** What went wrong and is no client's fault. */
  readonly report?: ((message: string) => void) | undefined;
}

/** How long a refused client may go on sending. */
const DRAIN_MS = 1000;
const MAX_BLOB_BYTES = 64 * 2 ** 30;
/** Reads that are audited all the same: no login, no right, too many guesses. */
const AUDITED_REFUSALS: ReadonlySet<number> = new Set([401, 403, 429]);

/** Makes a socket that listens, where the server is not to do it itself; its descriptor is the server's then. */
export type BoundSocket = (host: string, port: number) => Promise<number>;

/** The distribution API (distribution-spec 1.1) over a set of repositories. */
export class RegistryServer implements AsyncDisposable {
  readonly #options: RegistryServerOptions;
  readonly #limits: ClientLimits;
  readonly #uploads: Uploads;
  readonly #server: Server;
  /** Bytes of each connection that are in the metrics already. */
  readonly #counted = new WeakMap<Socket, { received: number; sent: number }>();
  readonly #running = new Set<Promise<void>>();

  constructor(options: RegistryServerOptions) {
    this.#options = options;
    const maxBytes = options.maxBlobBytes ?? MAX_BLOB_BYTES;
    this.#limits = new ClientLimits(options.limits);
    this.#uploads = new Uploads(options.repositories.content, {
      maxBytes,
      perClient: this.#limits.uploadsPerClient,
    });
    const limits = { headersTimeout: 10_000, requestTimeout: 0, keepAliveTimeout: 60_000 };
    const handle = (request: IncomingMessage, response: ServerResponse): void => {
      const handled = this.#handle(request, response).finally(() => this.#running.delete(handled));
      this.#running.add(handled);
    };
    this.#server = options.tls
      ? createHttpsServer(
          { ...limits, ...options.tls, ...(options.tls.ca && { requestCert: true, rejectUnauthorized: false }) },
          handle,
        )
      : createHttpServer(limits, handle);
    this.#server.on('connection', (socket: Socket) => this.#limits.connected(socket));
    this.#server.on('clientError', ({ code }: NodeJS.ErrnoException, socket) => {
      const status = code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
      if (socket.writable && code !== 'ECONNRESET') socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`);
      else socket.destroy();
    });
  }

  get openUploads(): number {
    return this.#uploads.size;
  }

  /** Resolves to the address once it listens. Throws the system's error. */
  async listen(address: { host: string; port: number }, bound?: BoundSocket): Promise<{ host: string; port: number }> {
    const target = bound ? { fd: await bound(address.host, address.port) } : { ...address, backlog: 1024 };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(target, resolve);
    await promise;
    this.#server.off('error', reject);
    const { address: host, port } = this.#server.address() as AddressInfo;
    return { host, port };
  }

  /** Ends requests after `graceMs`. Uploads that were open are gone. */
  async close({ graceMs = 0 }: { graceMs?: number } = {}): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await closed;
    clearTimeout(timer);
    await this.#options.cache?.close();
    // What clients left goes on to its next step, and must not write after this.
    await Promise.all(this.#running);
    this.#limits.close();
    await this.#uploads.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('docker-distribution-api-version', 'registry/2.0');
    response.setHeader('x-content-type-options', 'nosniff');
    let subject: string | undefined;
    let kind = 'none';
    this.#limits.watch(request, response);
    if (this.#options.metrics) this.#measure(request, response, () => kind);
    const [path, search] = splitUrl(request.url ?? '/');
    const asking = askingOf(request);
    try {
      if (path === '/token') {
        subject = await handleToken(this.#options.access, { request, response, search, asking });
      } else {
        const query = new URLSearchParams(search);
        const target = this.#inNamespace(parseTarget(path), query);
        ({ kind } = target);
        const identity = await this.#options.access.identify(asking);
        ({ subject } = identity);
        await this.#answer(target, { request, response, query, identity, asking });
      }
    } catch (error) {
      this.#refuse(error, request, response);
    }
    const reads = (request.method === 'GET' || request.method === 'HEAD') && path !== '/token';
    const told = !reads || this.#options.auditReads === true || AUDITED_REFUSALS.has(response.statusCode);
    if (told) this.#audit(request, response, path, subject);
  }

  async #answer(
    target: Target,
    asked: {
      request: IncomingMessage;
      response: ServerResponse;
      query: URLSearchParams;
      identity: Identity;
      asking: Asking;
    },
  ): Promise<void> {
    const { request, response, query, identity, asking } = asked;
    const { access, repositories, cache, events, deletes = true } = this.#options;
    const { subject } = identity;
    const action = actionOf(target, request.method ?? 'GET');
    access.check(identity, action, 'repository' in target ? target.repository : undefined, asking);
    if (action === 'delete' && !deletes) {
      throw new ProtocolError(405, 'UNSUPPORTED', 'nothing is deleted in this registry');
    }
    const mayPull = (repository: string): boolean => access.mayDo(identity, 'pull', repository);
    const maySee = (repository: string): boolean => access.allows(subject, 'pull', repository);
    if (action === 'push' && 'repository' in target && cache?.isCopy(target.repository)) {
      throw new ProtocolError(405, 'UNSUPPORTED', `${target.repository} is a copy of another registry's: push there`);
    }
    const uploads = this.#uploads;
    const publish: Call['publish'] = (event) => events?.({ ...event, subject, from: asking.address });
    const uploadBase = this.#options.uploadUrl?.replace(/\/$/, '') ?? '';
    await dispatch(target, {
      request,
      response,
      query,
      subject,
      repositories,
      uploads,
      cache,
      publish,
      uploadBase,
      maySee,
      mayPull,
    });
  }

  /** `?ns=docker.io`: whoever asks a mirror says which registry it means. */
  #inNamespace(target: Target, query: URLSearchParams): Target {
    const namespace = query.get('ns');
    if (namespace === null || !('repository' in target)) return target;
    const repository = this.#options.cache?.localName(namespace, target.repository);
    return repository === undefined ? target : { ...target, repository };
  }

  #refuse(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    if (request.destroyed && !request.complete) return void response.destroy();
    const refusal = protocolError(error);
    if (refusal.status >= 500) this.#options.report?.(`${request.method} ${request.url}: ${errorMessage(error)}`);
    if (response.headersSent) return void response.destroy();
    // Docker takes an entry without details for a bare code, and loses the name of what it asked for in its own words.
    const body = JSON.stringify({ errors: [{ code: refusal.code, message: refusal.message, detail: {} }] });
    for (const name of ['content-length', 'content-type', 'etag', 'accept-ranges']) response.removeHeader(name);
    // A body that nobody reads would be taken for the next request.
    const unread = !request.complete && request.method !== 'GET' && request.method !== 'HEAD';
    response.writeHead(refusal.status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...(unread && { connection: 'close' }),
      ...refusal.headers,
    });
    if (!unread) return void response.end(request.method === 'HEAD' ? undefined : body);
    // A client that still sends reads the answer only afterwards, if the connection lives so long.
    response.write(body);
    const end = (): void => void response.end();
    const timer = setTimeout(end, DRAIN_MS).unref();
    request
      .once('close', () => clearTimeout(timer))
      .once('end', end)
      .resume();
  }

  #measure(request: IncomingMessage, response: ServerResponse, kind: () => string): void {
    const begun = performance.now();
    const { socket } = request;
    response.once('close', () => {
      const seconds = (performance.now() - begun) / 1000;
      const { statusCode: status } = response;
      this.#options.metrics?.request({ kind: kind(), method: request.method ?? '', status, seconds });
      const before = this.#counted.get(socket) ?? { received: 0, sent: 0 };
      const now = { received: socket.bytesRead, sent: socket.bytesWritten };
      this.#counted.set(socket, now);
      this.#options.metrics?.bytes({ received: now.received - before.received, sent: now.sent - before.sent });
    });
  }

  #audit(request: IncomingMessage, response: ServerResponse, path: string, subject: string | undefined): void {
    const { audit } = this.#options;
    if (!audit) return;
    const digest = response.getHeader('docker-content-digest');
    audit(
      plainJson({
        time: new Date().toISOString(),
        from: request.socket.remoteAddress,
        subject: subject ?? null,
        method: request.method,
        path: path.slice(0, 1000),
        status: response.statusCode,
        ...(typeof digest === 'string' && { digest }),
      }),
    );
  }
}

async function dispatch(target: Target, call: Call): Promise<void> {
  switch (target.kind) {
    case 'base':
      return answerJson(call, '{}');
    case 'catalog':
      return handleCatalog(call);
    case 'tags':
      return handleTags(call, target.repository);
    case 'manifest':
      return handleManifest(call, target);
    case 'blob':
      return handleBlob(call, target);
    case 'uploads':
    case 'upload':
      return handleUpload(call, target);
    case 'referrers':
      return handleReferrers(call, target);
  }
}

function splitUrl(url: string): [path: string, search: string] {
  const mark = url.indexOf('?');
  return mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
}

function askingOf(request: IncomingMessage): Asking {
  const { socket, headers } = request;
  const secure = socket instanceof TLSSocket;
  // Who shows none, or one that the authority did not sign, is nobody: a password is the other way in.
  const name = secure && socket.authorized ? socket.getPeerCertificate().subject?.CN : undefined;
  // A host that is none would get into the answer's header.
  const host = /^[A-Za-z0-9.:[\]-]{1,255}$/.test(headers.host ?? '') ? headers.host : 'localhost';
  return {
    authorization: headers.authorization,
    certificateName: typeof name === 'string' ? name : undefined,
    address: socket.remoteAddress ?? '',
    origin: `${secure ? 'https' : 'http'}://${host}`,
  };
}

import {
  Agent as HttpAgent,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { OnReadOpts, Socket } from 'node:net';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { EngineError, errorCode } from '../../base/errors.ts';
import { releaseBytes } from '../../base/release-bytes.ts';
import type { Bytes } from '../../content/content-store.ts';
import { isLinkLocal } from './addresses.ts';
import { type Pace, type PaceLimits, paceLimits, ResponseBody, TooSlowError } from './pace.ts';

const MAX_REDIRECTS = 5;
const READ_BYTES = 256 << 10;

export interface TlsTrust {
  /** Authorities of everybody's, read already; whoever adds none of their own shares what was made of them. */
  readonly common?: CommonTrust | undefined;
  /** PEM, beside those. */
  readonly ca?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
  /** False accepts any certificate: registries named as insecure. */
  readonly verify: boolean;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  /** `authorization` goes to this origin alone, whatever redirects say. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | Bytes | undefined;
  /** The pieces of a streamed body are nobody else's: their memory is given up as soon as they are sent. */
  readonly releaseBody?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for a connection and the answer's head; default 60 s. */
  readonly timeoutMs?: number | undefined;
}

export interface HttpResponse {
  readonly status: number;
  readonly statusMessage: string;
  readonly headers: IncomingHttpHeaders;
  /** Where the answer came from, after redirects. */
  readonly url: URL;
  /** To be read or destroyed by the caller. */
  readonly body: ResponseBody;
}

export interface TransportOptions extends PaceLimits {
  readonly maxSockets?: number;
  /** Makes connections instead of the system; to a name or an address. */
  readonly connect?: Connect | undefined;
}

/** The authorities that the host trusts. Reading hundreds of them into a context takes 30 ms of this thread: it is done once. */
export class CommonTrust {
  readonly authorities: readonly string[];
  #context: SecureContext | undefined;

  /** @param authorities PEM */
  constructor(authorities: readonly string[]) {
    this.authorities = authorities;
  }

  get context(): SecureContext {
    return (this.#context ??= createSecureContext({ ca: [...this.authorities] }));
  }

  /** What others compare of it: it is the same for all. */
  toJSON(): string {
    return 'common';
  }
}

function secretsOf({
  common,
  ca = [],
  cert,
  key,
  verify,
}: TlsTrust): SecureContextOptions & { secureContext?: SecureContext } {
  if (verify && common && ca.length === 0 && cert === undefined) return { secureContext: common.context };
  // Whom nobody checks need not be known by anybody.
  const authorities = verify ? [...(common?.authorities ?? []), ...ca] : [];
  return { ca: authorities, ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
}

export type Connect = (host: string, port: number) => Promise<Socket>;

function connectBy(agent: HttpAgent, connect: Connect): void {
  const plain = !(agent instanceof HttpsAgent);
  const upgrade = agent.createConnection.bind(agent);
  agent.createConnection = (options, done) => {
    connect(options.host ?? 'localhost', Number(options.port)).then(
      (socket) => done?.(null, plain ? socket : (upgrade({ ...options, socket } as typeof options) ?? socket)),
      (error: unknown) => done?.(error as Error, undefined as never),
    );
    return undefined;
  };
}

/** HTTP to one registry and to where it redirects: kept connections, limits in time, no credentials to others. */
export class HttpTransport {
  readonly #pace: Pace;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor(trust: TlsTrust, options: TransportOptions = {}) {
    this.#pace = paceLimits(options);
    const agent = {
      keepAlive: true,
      maxSockets: options.maxSockets ?? 16,
      maxFreeSockets: 8,
      scheduling: 'lifo',
      onread: intoSharedMemory(),
    } as const;
    this.#http = new HttpAgent(agent);
    this.#https = new HttpsAgent({
      ...agent,
      rejectUnauthorized: trust.verify,
      ...secretsOf(trust),
    });
    if (options.connect) {
      connectBy(this.#http, options.connect);
      connectBy(this.#https, options.connect);
    }
  }

  /** Follows redirects of reads. Throws `unavailable` when the other side cannot be reached, `cancelled`. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    let { url, headers = {} } = request;
    for (let redirects = 0; ; redirects++) {
      const message = await this.#once({ ...request, url, headers });
      const body = new ResponseBody(message, this.#pace, words({ ...request, url }));
      const { statusCode, statusMessage = '' } = message;
      const response = { status: statusCode!, statusMessage, headers: message.headers, url, body };
      const { location } = message.headers;
      const follow = request.method === 'GET' || request.method === 'HEAD';
      if (!follow || !isRedirect(response.status) || location === undefined) return response;
      body.destroy();
      if (redirects === MAX_REDIRECTS) {
        throw new EngineError('forbidden', `${words(request)}: stopped after ${MAX_REDIRECTS} redirects`);
      }
      const next = redirectTarget(url, location);
      if (next.origin !== url.origin) headers = withoutCredentials(headers);
      url = next;
    }
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  /** Sends a body at the pace of the connection. Ends quietly once there is an answer: that says what became of it. */
  async #sendBody(body: Bytes, message: ClientRequest, request: HttpRequest): Promise<void> {
    const { stallMs, minBytesPerSecond } = this.#pace;
    for await (const chunk of body) {
      if (message.destroyed) return;
      // Each piece has the time that it takes at the slowest.
      const longest = Math.max(stallMs, (chunk.byteLength / minBytesPerSecond) * 1000);
      const tooSlow = (): void => void message.destroy(new TooSlowError(words(request), 'takes', this.#pace));
      const timer = minBytesPerSecond > 0 ? setTimeout(tooSlow, longest) : undefined;
      try {
        await new Promise<void>((resolve, reject) => {
          message.write(chunk, (error) => (error ? reject(error) : resolve()));
        });
      } finally {
        clearTimeout(timer);
      }
      if (request.releaseBody === true) releaseBytes(chunk);
    }
    await new Promise<void>((resolve) => message.end(resolve));
  }

  async #once(request: HttpRequest): Promise<IncomingMessage> {
    const { method, url, headers, body, signal, timeoutMs = this.#pace.stallMs } = request;
    signal?.throwIfAborted();
    if (isLinkLocal(url.hostname)) {
      throw new EngineError('forbidden', `${words(request)}: addresses of the local link are not spoken to`);
    }
    const secure = url.protocol === 'https:';
    const fixed = body instanceof Uint8Array ? body : undefined;
    const message = (secure ? httpsRequest : httpRequest)(url, {
      method,
      agent: secure ? this.#https : this.#http,
      headers: { 'user-agent': 'gantry', ...headers, ...(fixed && { 'content-length': String(fixed.byteLength) }) },
      timeout: timeoutMs,
      signal,
    });
    const stalled = (): void =>
      void message.destroy(new EngineError('unavailable', `${words(request)}: the registry stalls`));
    message.on('timeout', stalled);
    let patience: NodeJS.Timeout | undefined;
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      message.once('response', resolve);
      message.once('error', reject);
      message.once('close', () => reject(new EngineError('unavailable', `${words(request)}: EOF`)));
    });
    answered.catch(() => {});
    try {
      if (body === undefined || body instanceof Uint8Array) message.end(body);
      else await Promise.race([answered, this.#sendBody(body, message, request)]);
      // A head that comes byte by byte is activity as well.
      patience = setTimeout(stalled, timeoutMs);
      const response = await answered;
      message.setTimeout(this.#pace.stallMs);
      return response;
    } catch (error) {
      message.destroy();
      throw requestError(error, request);
    } finally {
      clearTimeout(patience);
    }
  }
}

/**
 * Sockets are read into the same memory one after the other, and the body's part is copied out of it before the next read.
 * By itself each read leaves 64 KiB behind, for which the collector goes through the whole heap every few megabytes.
 */
function intoSharedMemory(): OnReadOpts {
  return {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback(this: Socket, count: number, bytes: Uint8Array) {
      this.emit('data', bytes.subarray(0, count));
      return true;
    },
  };
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/** Throws `forbidden` for a scheme that protects less, or none that is HTTP. */
export function redirectTarget(from: URL, location: string): URL {
  const next = URL.parse(location, from.href);
  if (!next || (next.protocol !== 'https:' && next.protocol !== from.protocol)) {
    throw new EngineError('forbidden', `${from.origin} redirects to ${location.slice(0, 200)}, which is not followed`);
  }
  next.username = '';
  next.password = '';
  return next;
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'));
}

/** `Get "https://host/v2/"`, without what a query may hold. */
function words({ method, url }: HttpRequest): string {
  return `${method[0]}${method.slice(1).toLowerCase()} "${url.origin}${url.pathname}"`;
}

function requestError(error: unknown, request: HttpRequest): unknown {
  if (error instanceof EngineError) return error;
  if (request.signal?.aborted && errorCode(error) === 'cancelled') return error;
  const { code, address, port, message } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  const where =
    address === undefined ? request.url.host : `${address.includes(':') ? `[${address}]` : address}:${port}`;
  const reasons: Readonly<Record<string, string>> = {
    ECONNREFUSED: `dial tcp ${where}: connect: connection refused`,
    EHOSTUNREACH: `dial tcp ${where}: connect: no route to host`,
    ENETUNREACH: `dial tcp ${where}: connect: network is unreachable`,
    ETIMEDOUT: `dial tcp ${where}: i/o timeout`,
    ENOTFOUND: `dial tcp: lookup ${request.url.hostname}: no such host`,
    EAI_AGAIN: `dial tcp: lookup ${request.url.hostname}: the name server does not answer`,
    ECONNRESET: 'connection reset by peer',
    EPROTO: 'http: server gave HTTP response to HTTPS client',
    ERR_SSL_WRONG_VERSION_NUMBER: 'http: server gave HTTP response to HTTPS client',
    ERR_SSL_PACKET_LENGTH_TOO_LONG: 'http: server gave HTTP response to HTTPS client',
  };
  const certificate = /CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(code ?? '');
  const reason = certificate ? `tls: failed to verify certificate: ${message}` : (code && reasons[code]) || message;
  return new EngineError('unavailable', `${words(request)}: ${reason}`, { cause: error });
}

import type { Duplex } from 'node:stream';
import { errorCode } from '../base/errors.ts';
import type { Endpoint } from './endpoint.ts';
import { HttpConnection, type HttpResponse } from './http.ts';
import { jsonLines } from './json-lines.ts';
import { collect, olderVersion, queryString, type QueryValue } from './query.ts';
import { ResponseError } from './response-error.ts';
import { connect } from './transport.ts';

/** The newest version of the Engine API this client writes. */
export const API_VERSION = '1.51';

export interface ClientOptions {
  readonly endpoint: Endpoint;
  /** Fixes the version instead of asking the engine for its own. */
  readonly apiVersion?: string | undefined;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly userAgent?: string;
}

export interface RequestOptions {
  /** `undefined` and empty lists are left out; filters go through `filtersQuery`. */
  readonly query?: Readonly<Record<string, QueryValue>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Without the `/v1.x` in front. */
  readonly unversioned?: boolean;
}

/** A connection that left HTTP: bytes in both directions, each with its own end. */
export interface HijackedStream {
  readonly contentType: string | undefined;
  readonly output: AsyncGenerator<Buffer, void, void>;
  readonly socket: Duplex;
  write(data: Uint8Array): void;
  /** No more input; output goes on. */
  endInput(): void;
  close(): void;
}

/** Sends requests to one engine over a few kept connections. Throws `ResponseError` for what the engine refuses, `EngineError` otherwise. */
export class Requester {
  readonly endpoint: Endpoint;
  readonly #options: ClientOptions;
  readonly #more = new Map<string, string>();
  readonly #idle: HttpConnection[] = [];
  #version: Promise<string> | undefined;

  constructor(options: ClientOptions) {
    this.endpoint = options.endpoint;
    this.#options = options;
    if (options.apiVersion !== undefined) this.#version = Promise.resolve(options.apiVersion.replace(/^v/, ''));
  }

  /** Sent with every request from now on. */
  setHeader(name: string, value: string): void {
    this.#more.set(name, value);
  }

  /** The API version spoken with this engine: the older of its newest and ours. Asked once, and again when nobody answered. */
  apiVersion(): Promise<string> {
    this.#version ??= this.#negotiate().catch((error: unknown) => {
      this.#version = undefined;
      throw error;
    });
    return this.#version;
  }

  /** Throws `ResponseError` for any status from 400. */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<HttpResponse> {
    if (options.unversioned === true) return this.#send(method, path, options);
    if (method !== 'GET' || this.#version) return this.#send(method, `/v${await this.apiVersion()}${path}`, options);
    // What only reads is asked in our newest version before the engine's is known: an older engine refuses that.
    try {
      const response = await this.#send(method, `/v${API_VERSION}${path}`, options);
      const newest = response.headers.get('api-version');
      if (newest !== undefined) this.#version ??= Promise.resolve(olderVersion(newest, API_VERSION));
      return response;
    } catch (error) {
      if (!(error instanceof ResponseError && error.status === 400)) throw error;
      const version = await this.apiVersion();
      if (version === API_VERSION) throw error;
      return this.#send(method, `/v${version}${path}`, options);
    }
  }

  async #send(method: string, path: string, options: RequestOptions): Promise<HttpResponse> {
    const headers = this.#headers(options);
    if (options.json !== undefined) headers.set('Content-Type', 'application/json');
    const body = options.json === undefined ? options.body : Buffer.from(JSON.stringify(options.json));
    const request = {
      method,
      path: `${path}${queryString(options.query)}`,
      headers,
      body,
      signal: options.signal,
    };
    const repeatable = method === 'GET' || method === 'HEAD';
    for (;;) {
      const connection = await this.#connection(options.signal);
      let response: HttpResponse;
      try {
        response = await connection.send(request);
      } catch (error) {
        // An idle connection that the engine closed meanwhile: a fresh one answers.
        if (connection.used && repeatable && errorCode(error) === 'unavailable') continue;
        throw error;
      }
      const answered = { ...response, body: this.#returning(connection, response.body) };
      if (response.status >= 400) throw await refusal(answered);
      return answered;
    }
  }

  /** The answer's JSON value. */
  async json<T>(method: string, path: string, options?: RequestOptions): Promise<T> {
    return JSON.parse((await this.bytes(method, path, options)).toString('utf8')) as T;
  }

  /** The answer, whole. */
  async bytes(method: string, path: string, options?: RequestOptions): Promise<Buffer> {
    return collect((await this.request(method, path, options)).body);
  }

  /** For requests whose answer is only that they succeeded. Gives the status. */
  async call(method: string, path: string, options?: RequestOptions): Promise<number> {
    const response = await this.request(method, path, options);
    await collect(response.body);
    return response.status;
  }

  /** The answer's JSON values, as they come. */
  async *lines<T>(
    method: string,
    path: string,
    options?: RequestOptions,
    parse?: (text: string) => T,
  ): AsyncGenerator<T, void, void> {
    yield* jsonLines<T>((await this.request(method, path, options)).body, parse);
  }

  /** Attach, exec: the connection is the caller's, and closed by the caller. */
  async hijack(path: string, options: RequestOptions = {}): Promise<HijackedStream> {
    const headers = this.#headers(options);
    if (options.json !== undefined) headers.set('Content-Type', 'application/json');
    const prefix = `/v${await this.apiVersion()}`;
    const connection = new HttpConnection(await connect(this.endpoint, options.signal));
    const response = await connection.send({
      method: 'POST',
      path: `${prefix}${path}${queryString(options.query)}`,
      headers,
      body: options.json === undefined ? undefined : Buffer.from(JSON.stringify(options.json)),
      upgrade: true,
      signal: options.signal,
    });
    if (response.status >= 400) {
      const error = await refusal(response);
      connection.close();
      throw error;
    }
    return {
      contentType: response.headers.get('content-type'),
      output: response.body,
      socket: connection.socket,
      write: (data) => void connection.socket.write(data),
      endInput: () => void connection.socket.end(),
      close: () => connection.close(),
    };
  }

  /** Lets go of idle connections. */
  close(): void {
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  async #negotiate(): Promise<string> {
    const response = await this.request('HEAD', '/_ping', { unversioned: true }).catch((error: unknown) => {
      // Engines older than 1.40 know only GET.
      if (error instanceof ResponseError) return this.request('GET', '/_ping', { unversioned: true });
      throw error;
    });
    await collect(response.body);
    return olderVersion(response.headers.get('api-version') ?? '1.24', API_VERSION);
  }

  #headers(options: RequestOptions): Map<string, string> {
    const host = this.endpoint.kind === 'tcp' ? `${this.endpoint.host}:${this.endpoint.port}` : 'api.gantry.localhost';
    return new Map([
      ['Host', host],
      ['User-Agent', this.#options.userAgent ?? 'gantry-client'],
      ...Object.entries(this.#options.headers ?? {}),
      ...this.#more,
      ...Object.entries(options.headers ?? {}),
    ]);
  }

  async #connection(signal: AbortSignal | undefined): Promise<HttpConnection> {
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      if (idle.reusable) return idle;
      idle.close();
    }
    return new HttpConnection(await connect(this.endpoint, signal));
  }

  async *#returning(
    connection: HttpConnection,
    body: AsyncGenerator<Buffer, void, void>,
  ): AsyncGenerator<Buffer, void, void> {
    yield* body;
    if (connection.reusable) this.#idle.push(connection);
  }
}

async function refusal(response: HttpResponse): Promise<ResponseError> {
  const text = (await collect(response.body)).toString('utf8').trim();
  let message = text;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'message' in value) message = String(value.message);
  } catch {
    // Not JSON: a proxy's page, or a version older than 1.24.
  }
  if (message === '') message = `request returned status ${response.status} and no reason`;
  return new ResponseError(response.status, message);
}

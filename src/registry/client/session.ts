import { EngineError, errorCode } from '../../base/errors.ts';
import { RegistryError } from '../registry-error.ts';
import { answerError, discard } from './answers.ts';
import { Authorizer, type RegistryCredentials } from './authorizer.ts';
import type { RegistryHost } from './hosts.ts';
import { isBusy, withRetry } from './retry.ts';
import { type HttpRequest, type HttpResponse, HttpTransport, type TransportOptions } from './http.ts';

/** For the first word with a registry: whoever is there says something sooner. */
const CONNECT_MS = 15_000;

export interface SessionRequest extends Omit<HttpRequest, 'url'> {
  /** Below the registry's address, as `v2/library/nginx/tags/list?n=5`; or an address that it gave us. */
  readonly target: string | URL;
  /** What the request needs to be allowed: `repository:library/nginx:pull`. */
  readonly scopes?: readonly string[];
}

/** A registry that answered, and what it wants of us before it says more. */
export class RegistrySession {
  readonly host: RegistryHost;
  readonly #transport: HttpTransport;
  readonly #authorizer: Authorizer;

  private constructor(host: RegistryHost, transport: HttpTransport, authorizer: Authorizer) {
    this.host = host;
    this.#transport = transport;
    this.#authorizer = authorizer;
  }

  /** Says hello to the first of `hosts` that answers. Throws `unavailable` with the first one's reason when none does. */
  static async open(
    hosts: readonly RegistryHost[],
    credentials: RegistryCredentials,
    { signal, ...transport }: TransportOptions & { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<RegistrySession> {
    let first: unknown;
    for (const host of hosts) {
      const connections = new HttpTransport(host.trust, transport);
      // A mirror is someone else's: our password for the registry is not for it.
      const authorizer = new Authorizer(connections, host.base, host.mirror ? {} : credentials);
      const session = new RegistrySession(host, connections, authorizer);
      try {
        await withRetry(() => session.#hello(signal), { signal, retries: isBusy });
        return session;
      } catch (error) {
        session.close();
        if (errorCode(error) !== 'unavailable' || error instanceof RegistryError) throw error;
        // That of plain HTTP says more than that TLS was tried before it.
        first = host.base.protocol === 'http:' ? error : (first ?? error);
      }
    }
    if (first instanceof Error) throw first;
    throw new EngineError('unavailable', 'there is no address for this registry');
  }

  /** An answer of any status but those that a login or time would change. */
  async send(request: SessionRequest): Promise<HttpResponse> {
    const url = request.target instanceof URL ? request.target : this.#url(request.target);
    const own = url.origin === this.host.base.origin;
    const scopes = request.scopes ?? [];
    for (let attempt = 1; ; attempt++) {
      const authorization = own ? await this.#authorizer.header(scopes, request.signal) : undefined;
      const headers = {
        ...request.headers,
        ...(own && this.host.headers),
        ...(authorization !== undefined && { authorization }),
      };
      const response = await this.#transport.send({ ...request, url, headers });
      if (response.status === 429 || response.status >= 500) throw await answerError(response);
      if (response.status !== 401) return response;
      // A body that was a stream is gone, and cannot be sent once more.
      const again = request.body === undefined || request.body instanceof Uint8Array;
      const learnt = own && this.#authorizer.challenge(response);
      this.#authorizer.forget(scopes);
      if (!learnt || !again || attempt === 2) throw await answerError(response);
      await discard(response);
    }
  }

  /** Whether the credentials are good, and a token to keep instead of them. Throws `unauthorized`. */
  async login(signal?: AbortSignal): Promise<string | undefined> {
    const token = await this.#authorizer.identityToken(signal);
    await discard(await this.send({ method: 'GET', target: 'v2/', signal }));
    return token;
  }

  close(): void {
    this.#transport.close();
  }

  #url(target: string): URL {
    const { base, overridePath, namespace } = this.host;
    const url = new URL(overridePath ? target.replace(/^v2\//, '') : target, base);
    // distribution-spec, "Registry Proxying"
    if (namespace !== undefined && target !== 'v2/') url.searchParams.set('ns', namespace);
    return url;
  }

  async #hello(signal: AbortSignal | undefined): Promise<void> {
    const response = await this.#transport.send({
      method: 'GET',
      url: this.#url('v2/'),
      headers: { ...this.host.headers },
      signal,
      timeoutMs: this.host.timeoutMs ?? CONNECT_MS,
    });
    if (response.status === 401) this.#authorizer.challenge(response);
    else if (response.status !== 200 && response.status !== 404) throw await answerError(response);
    await discard(response);
  }
}

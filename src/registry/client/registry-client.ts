import { answerError, readAll } from './answers.ts';
import { createHash } from 'node:crypto';
import { errorCode } from '../../base/errors.ts';
import type { RegistryCredentials } from './authorizer.ts';
import type { Connect, TransportOptions } from './http.ts';
import { type RegistryHost, RegistryHosts, type RegistryHostsOptions } from './hosts.ts';
import type { Capability } from './hosts-file.ts';
import type { PaceLimits } from './pace.ts';
import { RemoteRepository } from './remote-repository.ts';
import { RegistrySession } from './session.ts';

export interface RegistryClientOptions extends RegistryHostsOptions, PaceLimits {
  /** Before a request is tried again; default 500 ms, longer each time. */
  readonly retryDelayMs?: number;
  /** Makes connections instead of the system. */
  readonly connect?: Connect | undefined;
}

export interface OpenOptions {
  readonly credentials?: RegistryCredentials | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SourceOptions extends OpenOptions {
  /** What mirrors must offer to be asked; default all that a pull by tag needs. */
  readonly needed?: readonly Capability[];
  /** A mirror that does not answer is passed over. */
  readonly onSkipped?: (mirror: URL, reason: unknown) => void;
}

/** A registry that could not be reached is not asked again for so long. */
const UNREACHABLE_MS = 3000;
/** What a registry asks for may change. */
const SESSION_MS = 5 * 60_000;
const MAX_SESSIONS = 64;

interface Known {
  readonly session: Promise<RegistrySession>;
  until: number;
}

const MAX_CATALOG_BYTES = 16 << 20;

/** Registries by their domain. Connections and tokens are kept from one operation to the next. */
export class RegistryClient {
  readonly #hosts: RegistryHosts;
  readonly #options: RegistryClientOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: RegistryClientOptions = {}) {
    this.#hosts = new RegistryHosts(options);
    this.#options = options;
  }

  /** The repository at the registry itself, or for `push` where its `hosts.toml` sends that. Throws `unavailable`, `unauthorized`. */
  async repository(
    { domain, path }: { domain: string; path: string },
    options: OpenOptions & { readonly purpose?: 'push' } = {},
  ): Promise<RemoteRepository> {
    return this.#repository(await this.session(domain, options), path);
  }

  /** The repository at each mirror that can be reached and then at the registry, to be tried one after the other. */
  async *sources(
    { domain, path }: { domain: string; path: string },
    options: SourceOptions = {},
  ): AsyncGenerator<RemoteRepository> {
    const { needed = ['resolve', 'pull'], onSkipped } = options;
    for (const host of await this.#hosts.mirrors(domain, needed)) {
      let session: RegistrySession;
      try {
        session = await this.#remembered(host.base.href, {}, [host]);
      } catch (error) {
        if (options.signal?.aborted || errorCode(error) === 'invalid-argument') throw error;
        onSkipped?.(host.base, error);
        continue;
      }
      yield this.#repository(session, path);
    }
    yield await this.repository({ domain, path }, options);
  }

  /** Throws `unavailable`, `cancelled`. */
  async session(
    domain: string,
    { credentials = {}, signal, purpose }: OpenOptions & { readonly purpose?: 'push' } = {},
  ): Promise<RegistrySession> {
    const session = this.#remembered(domain, credentials, await this.#hosts.origins(domain, purpose));
    if (!signal) return session;
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(signal.reason as Error);
    signal.throwIfAborted();
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([session, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** A session that nobody else uses, for credentials that are yet to be tried. The caller closes it. */
  async freshSession(domain: string, credentials: RegistryCredentials): Promise<RegistrySession> {
    return RegistrySession.open(await this.#hosts.origins(domain), credentials, this.#transport());
  }

  /** Names of the repositories of a registry that tells them, at most `limit`. */
  async catalog(domain: string, { limit, ...options }: OpenOptions & { readonly limit: number }): Promise<string[]> {
    const session = await this.session(domain, options);
    const response = await session.send({
      method: 'GET',
      target: `v2/_catalog?n=${limit}`,
      scopes: ['registry:catalog:*'],
      signal: options.signal,
    });
    if (response.status !== 200) throw await answerError(response);
    const { repositories } = JSON.parse((await readAll(response, MAX_CATALOG_BYTES)).toString('utf8')) as {
      repositories?: unknown;
    };
    const names = Array.isArray(repositories) ? repositories.filter((name) => typeof name === 'string') : [];
    return names.slice(0, limit);
  }

  close(): void {
    for (const { session } of this.#known.values()) {
      session.then(
        (open) => open.close(),
        () => {},
      );
    }
    this.#known.clear();
  }

  #transport(): TransportOptions {
    const { stallMs, minBytesPerSecond, connect } = this.#options;
    return { stallMs, minBytesPerSecond, connect };
  }

  #repository(session: RegistrySession, path: string): RemoteRepository {
    return new RemoteRepository(session, path, { firstDelayMs: this.#options.retryDelayMs });
  }

  #remembered(
    name: string,
    credentials: RegistryCredentials,
    hosts: readonly RegistryHost[],
  ): Promise<RegistrySession> {
    // Passwords are not for the keys of a map that is looked at when something is debugged. Settings may change meanwhile.
    const key = `${name} ${createHash('sha256')
      .update(JSON.stringify([credentials, hosts]))
      .digest('hex')}`;
    const known = this.#known.get(key);
    if (known && known.until > performance.now()) return known.session;
    this.#known.delete(key);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size < MAX_SESSIONS) break;
      this.#known.delete(oldest);
    }
    // Without a signal: others may wait for the same.
    const entry = {
      session: RegistrySession.open(hosts, credentials, this.#transport()),
      until: Infinity,
    };
    this.#known.set(key, entry);
    entry.session.then(
      () => (entry.until = performance.now() + SESSION_MS),
      (error: unknown) => (entry.until = errorCode(error) === 'unavailable' ? performance.now() + UNREACHABLE_MS : 0),
    );
    return entry.session;
  }
}

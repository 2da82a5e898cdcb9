import { discard } from '../client/answers.ts';
import type { RegistryCredentials } from '../client/authorizer.ts';
import type { RegistryClient } from '../client/registry-client.ts';
import type { RemoteRepository } from '../client/remote-repository.ts';
import type { Digest } from '../../oci/digest.ts';
import { EngineError } from '../../base/errors.ts';
import type { SyncSettings, UpstreamSettings } from './settings.ts';

const TTL_SECONDS = 300;

/** A registry elsewhere that some repositories here are copies of. */
export interface Upstream {
  /** `docker.io`, `registry.lan:5000` */
  readonly registry: string;
  /** The copies' names begin with it; '' for all that no other has. */
  readonly prefix: string;
  /** A tag that was looked at is right for so long. */
  readonly ttlMs: number;
  readonly credentials: RegistryCredentials;
  readonly sync: readonly SyncSettings[];
}

/** A repository here and what it is a copy of. */
export interface Copied {
  readonly upstream: Upstream;
  /** `library/nginx`, at the upstream. */
  readonly path: string;
}

/** Which repositories are copies, and of what. Where they come from is the configuration's to say, never a client's. */
export class Upstreams {
  readonly all: readonly Upstream[];
  readonly #client: RegistryClient;

  constructor(client: RegistryClient, settings: readonly UpstreamSettings[], readSecret: (file: string) => string) {
    this.#client = client;
    this.all = settings
      .map((one): Upstream => ({
        registry: one.registry,
        prefix: one.prefix ?? one.registry.replaceAll(':', '-'),
        ttlMs: (one.ttlSeconds ?? TTL_SECONDS) * 1000,
        credentials: {
          username: one.username,
          password: one.passwordFile === undefined ? undefined : readSecret(one.passwordFile).trim(),
        },
        sync: one.sync ?? [],
      }))
      .sort((a, b) => b.prefix.length - a.prefix.length);
    if (new Set(this.all.map(({ prefix }) => prefix)).size < this.all.length) {
      throw new EngineError('invalid-argument', 'two upstreams have the same prefix');
    }
  }

  find(repository: string): Copied | undefined {
    for (const upstream of this.all) {
      if (upstream.prefix === '') return { upstream, path: hubPath(upstream, repository) };
      if (!repository.startsWith(`${upstream.prefix}/`)) continue;
      return { upstream, path: hubPath(upstream, repository.slice(upstream.prefix.length + 1)) };
    }
    return undefined;
  }

  /** Where a client means the repository of that registry (`?ns=`, as containerd asks mirrors). */
  localName(namespace: string, path: string): string | undefined {
    const upstream = this.all.find(({ registry }) => registry === namespace);
    return upstream && (upstream.prefix === '' ? path : `${upstream.prefix}/${path}`);
  }

  /** Throws `unavailable`. */
  open({ upstream, path }: Copied): Promise<RemoteRepository> {
    return this.#client.repository({ domain: upstream.registry, path }, { credentials: upstream.credentials });
  }

  close(): void {
    this.#client.close();
  }
}

/** Bytes of a blob there; undefined when there is none. Throws `unavailable`. */
export async function remoteBlobSize(remote: RemoteRepository, digest: Digest): Promise<number | undefined> {
  const response = await remote.session.send({
    method: 'HEAD',
    target: `v2/${remote.path}/blobs/${digest}`,
    scopes: [`repository:${remote.path}:pull`],
  });
  await discard(response);
  if (response.status === 404) return undefined;
  const size = Number(response.headers['content-length'] ?? NaN);
  if (response.status !== 200 || !Number.isSafeInteger(size)) {
    throw new EngineError(
      'unavailable',
      `${response.url.host} answered ${response.status} when it was asked for a blob`,
    );
  }
  return size;
}

/** Docker's own images are in `library/` there. */
function hubPath({ registry }: Upstream, path: string): string {
  return registry === 'docker.io' && !path.includes('/') ? `library/${path}` : path;
}

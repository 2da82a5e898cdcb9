import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import type { Digest } from '../../oci/digest.ts';
import { RegistryError } from '../registry-error.ts';
import type { RemoteRepository } from '../client/remote-repository.ts';
import { repositoryPattern } from './access-rules.ts';
import { BlobFlight } from './blob-flight.ts';
import { ProtocolError } from './protocol-error.ts';
import { describeManifest, type Repositories } from './repositories.ts';
import type { SyncSettings } from './settings.ts';
import { type Copied, remoteBlobSize, type Upstream, type Upstreams } from './upstreams.ts';

/** An upstream that failed is left alone for so long where there is a copy. */
const REST_MS = 10_000;
const MAX_REMEMBERED = 10_000;
const MAX_INDEX_DEPTH = 4;
const HOUR_MS = 3600_000;

export interface PullThroughOptions {
  readonly repositories: Repositories;
  readonly upstreams: Upstreams;
  readonly report: (message: string) => void;
}

/**
 * Copies of other registries' repositories, made when somebody asks for something of them, or by the clock. What is
 * called by a digest never changes; a tag is looked at again after a while, and what there is of it is served when the
 * upstream does not answer.
 */
export class PullThrough {
  readonly #repositories: Repositories;
  readonly #upstreams: Upstreams;
  readonly #report: (message: string) => void;
  /** When a tag was last right. */
  readonly #checked = new Map<string, number>();
  readonly #flights = new Map<string, Promise<unknown>>();
  readonly #blobs = new Map<Digest, BlobFlight>();
  readonly #resting = new Map<Upstream, number>();
  readonly #timers: NodeJS.Timeout[] = [];
  /** What goes on beside requests, so that it can be waited for. */
  readonly #background = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();

  constructor({ repositories, upstreams, report }: PullThroughOptions) {
    this.#repositories = repositories;
    this.#upstreams = upstreams;
    this.#report = report;
    for (const upstream of upstreams.all) {
      for (const sync of upstream.sync) {
        const run = (): void => this.#beside(this.sync(upstream, sync));
        this.#timers.push(setInterval(run, (sync.everyHours ?? 24) * HOUR_MS).unref(), setTimeout(run, 0).unref());
      }
    }
  }

  isCopy(repository: string): boolean {
    return this.#upstreams.find(repository) !== undefined;
  }

  localName(namespace: string, path: string): string | undefined {
    return this.#upstreams.localName(namespace, path);
  }

  /**
   * Sees to it that what there is of a manifest is right. `stale` when the upstream could not be asked. Throws 404 when it
   * has none, 502 when there is no copy either.
   */
  async refresh(repository: string, reference: string, digest: Digest | undefined): Promise<'stale' | undefined> {
    const copied = this.#upstreams.find(repository);
    if (!copied) return undefined;
    return this.#once(`${repository} ${reference}`, () =>
      digest === undefined
        ? this.#refreshTag(copied, repository, reference)
        : this.#fetchDigest(copied, repository, digest),
    );
  }

  /** The upstream's tags; what there is of them when it cannot be asked. */
  async tags(repository: string): Promise<string[] | undefined> {
    const copied = this.#upstreams.find(repository);
    if (!copied) return undefined;
    const local = await this.#repositories.links.tags(repository);
    if (local && this.#isResting(copied.upstream)) return local;
    try {
      return (await (await this.#upstreams.open(copied)).tags()).sort();
    } catch (error) {
      if (!local) throw this.#refusal(error, copied);
      this.#rest(copied.upstream, error);
      return local;
    }
  }

  /** Bytes of a blob that is not here yet; undefined where the upstream has none. */
  async blobSize(repository: string, digest: Digest): Promise<number | undefined> {
    const copied = this.#upstreams.find(repository);
    if (!copied) return undefined;
    const coming = this.#blobs.get(digest)?.size;
    try {
      const size = await remoteBlobSize(await this.#upstreams.open(copied), digest);
      return size === undefined ? undefined : (coming ?? size);
    } catch (error) {
      throw this.#refusal(error, copied);
    }
  }

  /** Brings a blob; undefined where the upstream has none. */
  async blob(repository: string, digest: Digest): Promise<BlobFlight | 'here' | undefined> {
    const copied = this.#upstreams.find(repository);
    if (!copied) return undefined;
    const { links, content } = this.#repositories;
    // Also when it is coming for another repository: whether this one has it, its own upstream says.
    const size = await this.blobSize(repository, digest);
    if (size === undefined) return undefined;
    if ((await content.stat(digest))?.size === size) {
      await links.linkBlob(repository, digest);
      return 'here';
    }
    const remote = await this.#upstreams.open(copied);
    let flight = this.#blobs.get(digest);
    if (!flight) {
      flight = new BlobFlight({
        content,
        digest,
        size,
        fetch: (offset) => remote.stream({ digest, size }, { offset, signal: this.#closing.signal }),
        landed: () => links.linkBlob(repository, digest),
      });
      this.#blobs.set(digest, flight);
      const ended = (): void => void this.#blobs.delete(digest);
      this.#beside(
        flight.landed.then(ended, (error: unknown) => {
          ended();
          this.#report(`${copied.upstream.registry}/${copied.path}: ${digest}: ${errorMessage(error)}`);
        }),
      );
    } else {
      this.#beside(flight.landed.then(() => links.linkBlob(repository, digest)));
    }
    return flight;
  }

  /** Copies what the settings name, whole. What fails is reported, and the rest goes on. */
  async sync(upstream: Upstream, { repositories, tags = ['**'], platforms }: SyncSettings): Promise<void> {
    const patterns = tags.map(repositoryPattern);
    for (const path of repositories) {
      const repository = upstream.prefix === '' ? path : `${upstream.prefix}/${path}`;
      try {
        for (const tag of (await this.tags(repository)) ?? []) {
          this.#closing.signal.throwIfAborted();
          if (patterns.some((pattern) => pattern.test(tag))) await this.#copy(repository, tag, platforms);
        }
      } catch (error) {
        this.#report(`sync of ${upstream.registry}/${path}: ${errorMessage(error)}`);
      }
    }
  }

  /** Ends what is on its way; the next start goes on with it. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#closing.abort();
    await Promise.allSettled([...this.#background, ...this.#flights.values()]);
    this.#upstreams.close();
  }

  #beside(work: Promise<unknown>): void {
    const settled = work.catch(() => undefined).finally(() => this.#background.delete(settled));
    this.#background.add(settled);
  }

  async #copy(
    repository: string,
    reference: string,
    platforms: readonly string[] | undefined,
    depth = 0,
  ): Promise<void> {
    const { links } = this.#repositories;
    const named = reference.includes(':') ? (reference as Digest) : undefined;
    await this.refresh(repository, reference, named);
    const digest = named ?? (await links.tag(repository, reference));
    const found = digest && (await this.#repositories.manifest(repository, digest));
    if (!found) return;
    const document = JSON.parse(found.bytes.toString('utf8')) as {
      manifests?: { digest: Digest; platform?: { os: string; architecture: string } }[];
    };
    if (document.manifests) {
      for (const { digest, platform } of document.manifests) {
        const wanted = !platforms || !platform || platforms.includes(`${platform.os}/${platform.architecture}`);
        if (wanted && depth < MAX_INDEX_DEPTH) await this.#copy(repository, digest, platforms, depth + 1);
      }
      return;
    }
    for (const child of found.record.children) {
      if (await this.#repositories.blob(repository, child)) continue;
      const flight = await this.blob(repository, child);
      if (flight instanceof BlobFlight) await flight.landed;
    }
  }

  async #refreshTag(copied: Copied, repository: string, tag: string): Promise<'stale' | undefined> {
    const { links } = this.#repositories;
    const key = `${repository}:${tag}`;
    const local = await links.tag(repository, tag);
    const there = local !== undefined && (await links.manifest(repository, local)) !== undefined;
    if (there && (this.#checked.get(key) ?? 0) + copied.upstream.ttlMs > Date.now()) return undefined;
    if (there && this.#isResting(copied.upstream)) return 'stale';
    try {
      const remote = await this.#upstreams.open(copied);
      const current = await remote.stat(tag);
      if (!there || current?.digest !== local) await this.#store(remote, repository, current?.digest ?? tag, [tag]);
    } catch (error) {
      if (!there || errorCode(error) === 'not-found') throw this.#refusal(error, copied);
      this.#rest(copied.upstream, error);
      return 'stale';
    }
    if (this.#checked.size >= MAX_REMEMBERED) this.#checked.clear();
    this.#checked.set(key, Date.now());
    return undefined;
  }

  async #fetchDigest(copied: Copied, repository: string, digest: Digest): Promise<undefined> {
    if (await this.#repositories.links.manifest(repository, digest)) return;
    try {
      await this.#store(await this.#upstreams.open(copied), repository, digest, []);
    } catch (error) {
      throw this.#refusal(error, copied);
    }
  }

  async #store(
    remote: RemoteRepository,
    repository: string,
    reference: string,
    tags: readonly string[],
  ): Promise<void> {
    const { descriptor, bytes } = await remote.manifest(reference);
    const { mediaType, digest } = descriptor;
    await this.#repositories.copyManifest(repository, describeManifest({ mediaType, bytes, digest }), bytes, tags);
  }

  /** Many that ask for the same at once are one question. */
  #once<T>(key: string, work: () => Promise<T>): Promise<T> {
    const known = this.#flights.get(key) as Promise<T> | undefined;
    if (known) return known;
    const flight = work().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }

  #isResting(upstream: Upstream): boolean {
    return (this.#resting.get(upstream) ?? 0) > Date.now();
  }

  #rest(upstream: Upstream, error: unknown): void {
    const asked = error instanceof RegistryError ? (error.retryAfterMs ?? 0) : 0;
    this.#resting.set(upstream, Date.now() + Math.max(asked, REST_MS));
    this.#report(`${upstream.registry} does not answer, copies are served: ${errorMessage(error)}`);
  }

  /** What an upstream said, as ours: its credentials are not the client's business. */
  #refusal(error: unknown, { upstream }: Copied): unknown {
    if (error instanceof ProtocolError) return error;
    const code = errorCode(error);
    if (code === 'not-found') return new ProtocolError(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
    if (error instanceof RegistryError && error.status === 429) {
      const seconds = Math.ceil((error.retryAfterMs ?? 60_000) / 1000);
      return new ProtocolError(429, 'TOOMANYREQUESTS', `${upstream.registry} asks for patience`, {
        'retry-after': String(seconds),
      });
    }
    if (!(error instanceof EngineError)) return error;
    this.#report(`${upstream.registry}: ${error.message}`);
    return new ProtocolError(502, 'UNKNOWN', `${upstream.registry} could not be asked`);
  }
}

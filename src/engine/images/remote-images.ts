import type { AuthConfig } from '../../api/auth.ts';
import type { Filters } from '../../api/filters.ts';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import { bytesOf } from '../../content/bytes.ts';
import { isIndex, isManifest, parseIndex, parseManifest, readDocument } from '../../content/children.ts';
import type { ContentSource, ContentStore } from '../../content/content-store.ts';
import { gathered } from '../../content/gathered.ts';
import { type Descriptor, MEDIA_TYPES, type Platform } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { formatPlatform, platformDistance } from '../../oci/platform.ts';
import { DEFAULT_DOMAIN, familiarName, familiarRepository, type Reference } from '../../oci/reference.ts';
import type { Lease } from '../../state/leases.ts';
import type { RegistryCredentials } from '../../registry/client/authorizer.ts';
import type { RegistryClient } from '../../registry/client/registry-client.ts';
import type { RemoteRepository } from '../../registry/client/remote-repository.ts';
import type { Signature } from '../../registry/signature/payload.ts';
import { readSignatures } from '../../registry/signature/storage.ts';
import { searchRegistry } from '../../registry/client/search.ts';
import { RegistryError } from '../../registry/registry-error.ts';
import type { LayerTap } from './layer-tap.ts';
import { pushEarly, pushManifest } from './push-blobs.ts';
import type {
  FetchedImage,
  FetchOptions,
  OpenRepository,
  PushToOptions,
  RegistryAccess,
  RegistryOptions,
} from './registry-access.ts';

/** What is wrong with a mirror, not with us: another one may be asked. */
const MIRROR_FAULTS: ReadonlySet<string> = new Set([
  'unavailable',
  'not-found',
  'corrupt',
  'unauthorized',
  'forbidden',
]);
/** An index may hold an index; more than so many are a trap. */
const MAX_INDEX_DEPTH = 4;
/** What is written, and handed to the thread that unpacks it, at once. */
const PIECE_BYTES = 512 << 10;
const IMAGE_CONFIGS: readonly string[] = [MEDIA_TYPES.ociConfig, MEDIA_TYPES.dockerConfig, 'application/octet-stream'];

/** Images of registries that speak the distribution protocol. */
export class RemoteImages implements RegistryAccess {
  readonly #client: RegistryClient;
  /** The same blob for two images comes once: the second finds it, or goes on where the first one failed. */
  readonly #blobs = new KeyedMutex();

  constructor(client: RegistryClient) {
    this.#client = client;
  }

  async fetch(reference: Reference, options: FetchOptions): Promise<FetchedImage> {
    const { auth, signal, onProgress } = options;
    try {
      const skipped = (mirror: URL, reason: unknown): void =>
        onProgress?.({ id: '', status: `The mirror ${mirror.origin} is passed over: ${errorMessage(reason)}` });
      const sources = new SourceList(
        this.#client.sources(reference, {
          credentials: credentialsOf(auth),
          signal,
          needed: reference.digest ? ['pull'] : ['resolve', 'pull'],
          onSkipped: skipped,
        }),
      );
      for (let index = 0; ; index++) {
        const repository = await sources.at(index);
        try {
          return await this.#fetchFrom(repository!, reference, { ...options, sources, index });
        } catch (error) {
          signal?.throwIfAborted();
          const { host } = repository!.session;
          if (!host.mirror) throw error;
          skipped(host.base, error);
        }
      }
    } catch (error) {
      throw pullError(error, reference);
    }
  }

  async tags(reference: Reference, { auth, signal }: RegistryOptions): Promise<string[]> {
    try {
      const repository = await this.#client.repository(reference, { credentials: credentialsOf(auth), signal });
      return await repository.tags({ signal });
    } catch (error) {
      throw pullError(error, reference);
    }
  }

  async push(
    reference: Reference,
    manifest: Descriptor | Promise<Descriptor>,
    source: ContentSource,
    options: PushToOptions,
  ): Promise<void> {
    const { auth, signal } = options;
    const credentials = credentialsOf(auth);
    const repository = await this.#client.repository(reference, { credentials, signal, purpose: 'push' });
    try {
      const sent = await pushEarly(repository, source, options);
      await pushManifest(repository, reference, { manifest: await manifest, source, ...options, sent });
    } catch (error) {
      if (error instanceof RegistryError && (error.registryCode === 'DENIED' || error.status === 401)) {
        throw new EngineError(errorCode(error), error.message, { cause: error });
      }
      throw error;
    }
  }

  open(reference: Reference, { auth, signal }: RegistryOptions): Promise<OpenRepository> {
    return this.#client.repository(reference, { credentials: credentialsOf(auth), signal });
  }

  async signatures(
    reference: Reference,
    digests: readonly Digest[],
    { auth, signal }: RegistryOptions,
  ): Promise<Signature[]> {
    const found: Signature[] = [];
    let failure: unknown;
    for await (const repository of this.#client.sources(reference, { credentials: credentialsOf(auth), signal })) {
      try {
        for (const digest of digests) found.push(...(await readSignatures(repository, digest)));
        if (found.length > 0) return found;
      } catch (error) {
        signal?.throwIfAborted();
        failure = error;
      }
    }
    if (failure) throw pullError(failure, reference);
    return found;
  }

  async search(
    term: string,
    options: RegistryOptions & { readonly limit?: number; readonly filters?: Filters },
  ): Promise<Record<string, unknown>[]> {
    return searchRegistry(this.#client, term, {
      limit: options.limit ?? 25,
      filters: options.filters,
      credentials: credentialsOf(options.auth),
      signal: options.signal,
    });
  }

  async distribution(reference: Reference, { auth, signal }: RegistryOptions): Promise<Record<string, unknown>> {
    try {
      let failure: unknown;
      for await (const repository of this.#client.sources(reference, { credentials: credentialsOf(auth), signal })) {
        try {
          const name = reference.digest ?? reference.tag ?? 'latest';
          const { descriptor, bytes } = await repository.manifest(name, { signal });
          return { Descriptor: descriptor, Platforms: await platformsOf(repository, descriptor, bytes, signal) };
        } catch (error) {
          signal?.throwIfAborted();
          failure = error;
        }
      }
      throw failure;
    } catch (error) {
      throw pullError(error, reference);
    }
  }

  /** Tries credentials. Throws `unauthorized` in Docker's words. */
  async login(config: AuthConfig): Promise<{ Status: string; IdentityToken: string }> {
    const domain = domainOf(config.serveraddress);
    const session = await this.#client.freshSession(domain, credentialsOf(config));
    try {
      const token = await session.login();
      return { Status: 'Login Succeeded', IdentityToken: token ?? '' };
    } catch (error) {
      if (!(error instanceof RegistryError) || error.status !== 401) throw error;
      throw new EngineError(
        'unauthorized',
        error.registryCode === undefined
          ? `login attempt to ${session.host.base.href}v2/ failed with status: 401 Unauthorized`
          : `Get "${session.host.base.href}v2/": ${error.message}`,
        { cause: error },
      );
    } finally {
      session.close();
    }
  }

  async #fetchFrom(
    repository: RemoteRepository,
    reference: Reference,
    options: FetchOptions & { readonly sources: SourceList; readonly index: number },
  ): Promise<FetchedImage> {
    const { content, lease, signal } = options;
    const name = reference.digest ?? reference.tag!;
    const target = await this.#document(repository, name, options);
    let manifest = target;
    for (let depth = 0; isIndex(manifest.mediaType); depth++) {
      if (depth === MAX_INDEX_DEPTH)
        throw new EngineError('corrupt', `invalid index: more than ${MAX_INDEX_DEPTH} in each other`);
      const index = parseIndex(await readDocument(content, manifest, signal));
      const chosen = chooseManifest(index.manifests, options.platform);
      manifest = {
        ...(await this.#document(repository, chosen.digest, options)),
        ...(chosen.platform && { platform: chosen.platform }),
      };
    }
    if (!isManifest(manifest.mediaType)) throw notAnImage(manifest.mediaType);
    const { config } = parseManifest(await readDocument(content, manifest, signal));
    if (!IMAGE_CONFIGS.includes(config.mediaType)) throw notAnImage(config.mediaType);
    lease.add('blob', config.digest);
    if (!(await content.has(config))) await content.write(config, repository.read(config, signal ? { signal } : {}));
    if (repository.session.host.mirror) {
      options.onProgress?.({ id: '', status: `Served by the mirror ${repository.session.host.base.origin}` });
    }
    const { platform: _, ...plain } = manifest;
    return {
      target,
      manifest: plain,
      fetchLayer: (layer, how = {}) => this.#blobFromAny(options, layer, { content, lease, ...how }),
    };
  }

  /** A manifest or index, stored: by its tag only its digest is asked for when the store has it. */
  async #document(repository: RemoteRepository, name: string, options: FetchOptions): Promise<Descriptor> {
    const { content, lease, signal } = options;
    const known = await repository.stat(name, { signal });
    if (known) {
      lease.add('blob', known.digest);
      if (await content.has(known)) return known;
    }
    // By the digest that the tag had a moment ago: what comes is what was announced.
    const { descriptor, bytes } = await repository.manifest(known?.digest ?? name, { signal });
    lease.add('blob', descriptor.digest);
    await content.write(descriptor, bytesOf(bytes));
    return descriptor;
  }

  /** From the mirror that had the manifest; what it cannot give comes from the next, which goes on where that one broke off. */
  async #blobFromAny(
    { sources, index, onProgress }: { sources: SourceList; index: number } & Pick<FetchOptions, 'onProgress'>,
    blob: Descriptor,
    how: BlobOptions,
  ): Promise<void> {
    for (let at = index; ; at++) {
      const repository = (await sources.at(at))!;
      const { host } = repository.session;
      try {
        return await this.#blob(repository, blob, how);
      } catch (error) {
        how.signal?.throwIfAborted();
        if (!host.mirror || !MIRROR_FAULTS.has(errorCode(error))) throw error;
        const id = blob.digest.slice(7, 19);
        onProgress?.({ id, status: `The mirror ${host.base.origin} fails: ${errorMessage(error)}` });
      }
    }
  }

  async #blob(repository: RemoteRepository, blob: Descriptor, how: BlobOptions): Promise<void> {
    const { content, lease, signal, onBytes, tap } = how;
    lease.add('blob', blob.digest);
    await using _lock = await this.#blobs.acquire(blob.digest, { signal });
    for (let attempt = 1; ; attempt++) {
      if (await content.has(blob)) return tap?.fail(new Error('it was here'));
      // Its name is the digest's: a pull that was cut off, or an engine that was, left a beginning to go on from.
      await using ingest = await content.ingest(`blob ${blob.digest}`);
      const begun = ingest.offset;
      if (tap && tap.offset !== begun) tap.fail(new Error('its beginning was here'));
      try {
        if (begun > blob.size)
          throw new EngineError('corrupt', `${blob.digest} has ${begun} bytes instead of ${blob.size}`);
        if (begun < blob.size) {
          const pieces = gathered(repository.stream(blob, { offset: begun, signal }), PIECE_BYTES);
          await whileNextComes(pieces, async (piece) => {
            await ingest.append(piece);
            await tap?.write(piece);
            onBytes?.(ingest.offset);
          });
        }
        tap?.end();
        await ingest.commit(blob);
        return;
      } catch (error) {
        if (errorCode(error) !== 'corrupt') throw error;
        await ingest.abort();
        // It may have been the old beginning that was wrong.
        if (begun === 0 || attempt === 2) throw error;
      }
    }
  }
}

/** Does `work` with one piece after the other, each while the next one comes. Nothing is being done when this ends. */
async function whileNextComes<T>(pieces: AsyncIterable<T>, work: (piece: T) => Promise<void>): Promise<void> {
  let doing: Promise<void> | undefined;
  try {
    for await (const piece of pieces) {
      await doing;
      doing = work(piece);
      doing.catch(() => {}); // thrown where it is waited for
    }
  } catch (error) {
    await doing;
    throw error;
  }
  await doing;
}

interface BlobOptions {
  readonly content: ContentStore;
  readonly lease: Lease;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: (bytes: number) => void;
  readonly tap?: LayerTap | undefined;
}

/** Where an image may come from, opened one after the other as they are needed; the last is the registry itself. */
class SourceList {
  readonly #more: AsyncGenerator<RemoteRepository>;
  readonly #known: Promise<RemoteRepository | undefined>[] = [];

  constructor(sources: AsyncGenerator<RemoteRepository>) {
    this.#more = sources;
  }

  /** Undefined beyond the last. */
  at(index: number): Promise<RemoteRepository | undefined> {
    while (this.#known.length <= index) {
      this.#known.push(this.#more.next().then(({ value }) => value as RemoteRepository | undefined));
    }
    return this.#known[index]!;
  }
}

/** Those of an index that fit, the best first: Docker's words when none does. */
function chooseManifest(manifests: readonly Descriptor[], platform: Platform): Descriptor {
  const fitting = manifests
    .filter(({ platform: offered }) => offered !== undefined)
    .map((manifest) => ({ manifest, distance: platformDistance(platform, manifest.platform!) }))
    .filter((one): one is { manifest: Descriptor; distance: number } => one.distance !== undefined)
    .sort((a, b) => a.distance - b.distance);
  const chosen = fitting[0]?.manifest ?? (manifests.length === 1 && !manifests[0]!.platform ? manifests[0] : undefined);
  if (chosen) return chosen;
  throw new EngineError(
    'not-found',
    `no matching manifest for ${formatPlatform(platform)} in the manifest list entries`,
  );
}

async function platformsOf(
  repository: RemoteRepository,
  descriptor: Descriptor,
  bytes: Buffer,
  signal: AbortSignal | undefined,
): Promise<Platform[]> {
  if (isIndex(descriptor.mediaType))
    return parseIndex(bytes).manifests.flatMap(({ platform }) => (platform ? [platform] : []));
  if (!isManifest(descriptor.mediaType)) return [];
  const { config } = parseManifest(bytes);
  if (!IMAGE_CONFIGS.includes(config.mediaType)) return [];
  const text = (await readDocument(repository, config, signal)).toString('utf8');
  const { architecture, os, variant } = JSON.parse(text) as Partial<Platform>;
  return typeof architecture === 'string' && typeof os === 'string'
    ? [{ architecture, os, ...(typeof variant === 'string' && variant !== '' && { variant }) }]
    : [];
}

/** What a client sends to what a registry is shown; empty strings are nothing. */
export function credentialsOf(auth: AuthConfig | undefined): RegistryCredentials {
  if (!auth) return {};
  const [username, ...password] = auth.auth ? Buffer.from(auth.auth, 'base64').toString('utf8').split(':') : [];
  return {
    username: auth.username || username || undefined,
    password: auth.password || password.join(':') || undefined,
    identityToken: auth.identitytoken || undefined,
    registryToken: auth.registrytoken || undefined,
  };
}

/** `https://index.docker.io/v1/`, `registry.lan:5000`, `https://registry.lan` */
function domainOf(server: string | undefined): string {
  const host = (server ?? '').replace(/^https?:\/\//, '').split('/')[0]!;
  return ['', 'index.docker.io', 'registry-1.docker.io', DEFAULT_DOMAIN].includes(host) ? DEFAULT_DOMAIN : host;
}

function notAnImage(mediaType: string): EngineError {
  return new EngineError(
    'invalid-argument',
    `unsupported media type ${mediaType.slice(0, 200)}: this is not a container image`,
  );
}

/** Docker's words for what a registry said. */
function pullError(error: unknown, reference: Reference): unknown {
  if (!(error instanceof RegistryError)) return withHint(error, reference);
  const name = familiarRepository(reference);
  const words = (prefix: string): EngineError =>
    new EngineError('not-found', `${prefix}: ${error.message}`, { cause: error });
  if (error.registryCode === 'DENIED' || (error.status === 401 && error.registryCode !== undefined)) {
    return words(`pull access denied for ${name}, repository does not exist or may require 'docker login'`);
  }
  if (error.registryCode === 'MANIFEST_UNKNOWN') return words(`manifest for ${familiarName(reference)} not found`);
  if (error.registryCode === 'NAME_UNKNOWN') return words(`repository ${name} not found`);
  return error;
}

function withHint(error: unknown, reference: Reference): unknown {
  if (
    errorCode(error) !== 'unavailable' ||
    reference.digest ||
    !/^docker\.io\/library\/(?:debian|ubuntu)$/.test(reference.repository)
  )
    return error;
  const hint = `\`gantry image bootstrap ${familiarName(reference)}\` makes one from packages`;
  return new EngineError('unavailable', `${(error as Error).message}; ${hint}`, { cause: error });
}

import { EngineError } from '../../../base/errors.ts';
import { collect, MAX_DOCUMENT_BYTES, parseIndex } from '../../../content/children.ts';
import type { Bytes } from '../../../content/content-store.ts';
import type { Descriptor } from '../../../oci/descriptor.ts';
import { sha256 } from '../../../oci/digest.ts';
import type { Reference } from '../../../oci/reference.ts';
import type { RegistryAccess, RegistryOptions } from '../../images/registry-access.ts';

/** A place that caches are read from: a manifest by a name, and blobs. */
export interface CacheStore {
  /** For people. */
  readonly name: string;
  /** The manifest, or one of an index; undefined when there is none. Throws when the place cannot be reached. */
  manifest(): Promise<{ readonly descriptor: Descriptor; readonly bytes: Buffer } | undefined>;
  /** A manifest of an index. */
  child(target: Descriptor): Promise<Buffer>;
  /** A small blob, checked. */
  document(target: Descriptor): Promise<Buffer>;
  /** A blob as it comes: whoever writes it to the store checks it. */
  blob(target: Descriptor): Bytes;
}

/** A repository of a registry. */
export async function registryCache(
  registry: RegistryAccess,
  reference: Reference,
  options: RegistryOptions,
): Promise<CacheStore> {
  const remote = await registry.open(reference, options);
  const signal = options.signal ? { signal: options.signal } : {};
  return {
    name: `${reference.repository}${reference.tag ? `:${reference.tag}` : ''}`,
    manifest: () => remote.manifest(reference.digest ?? reference.tag ?? 'latest'),
    child: async (target) => (await remote.manifest(target.digest)).bytes,
    document: (target) => collect(remote.read(target, signal), MAX_DOCUMENT_BYTES, target.digest),
    blob: (target) => remote.read(target, signal),
  };
}

/** Reads a file of a directory on the client: `index.json`, `blobs/sha256/…`. Undefined when it is not there. */
export type ReadCacheFile = (path: string) => Promise<Bytes | undefined>;

/** An OCI layout in a directory of the client. Nothing that it says is believed: blobs are what their digest says or refused. */
export function directoryCache(read: ReadCacheFile, tag: string): CacheStore {
  const path = ({ digest }: Pick<Descriptor, 'digest'>): string => `blobs/${digest.replace(':', '/')}`;
  const document = async (target: Descriptor): Promise<Buffer> => {
    const bytes = await read(path(target));
    const found = bytes && (await collect(bytes, MAX_DOCUMENT_BYTES, target.digest));
    if (!found || sha256(found) !== target.digest)
      throw new EngineError('corrupt', `the cache's directory has no ${target.digest}, or not with that content`);
    return found;
  };
  return {
    name: 'local cache',
    manifest: async () => {
      const index = await read('index.json');
      if (!index) return undefined;
      const { manifests } = parseIndex(await collect(index, MAX_DOCUMENT_BYTES, 'index.json'));
      const named = manifests.find((one) => one.annotations?.['org.opencontainers.image.ref.name'] === tag);
      const descriptor = named ?? (tag === 'latest' ? manifests.at(-1) : undefined);
      return descriptor && { descriptor, bytes: await document(descriptor) };
    },
    child: document,
    document,
    async *blob(target) {
      const bytes = await read(path(target));
      if (!bytes) throw new EngineError('not-found', `the cache's directory has no ${target.digest}`);
      yield* bytes;
    },
  };
}

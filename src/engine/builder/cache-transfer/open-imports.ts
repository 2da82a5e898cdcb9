import type { AuthConfig } from '../../../api/auth.ts';
import { errorCode, errorMessage } from '../../../base/errors.ts';
import { isIndex, parseIndex, parseManifest } from '../../../content/children.ts';
import type { Descriptor } from '../../../oci/descriptor.ts';
import { parseImageConfig } from '../../../oci/image-config.ts';
import { platformDistance } from '../../../oci/platform.ts';
import type { ImageConfig } from '../../../oci/image.ts';
import { canonicalName, familiarName, parseReference, type Reference, withDefaultTag } from '../../../oci/reference.ts';
import { chainsOf } from '../../gc.ts';
import { unpackLayer } from '../../images/layers.ts';
import type { ImageParts } from '../../images/parts.ts';
import { authFor } from '../outputs/deliver.ts';
import type { CacheImport } from '../step-cache.ts';
import { CACHE_CONFIG_TYPE, decodeCache, INLINE_FIELD } from './cache-config.ts';
import { type CacheStore, directoryCache, type ReadCacheFile, registryCache } from './cache-store.ts';
import { HistoryImport } from './history-import.ts';
import { KeyedImport } from './keyed-import.ts';
import type { CacheSource } from './option.ts';

export interface OpenImportsOptions {
  readonly auth: Readonly<Record<string, AuthConfig>> | undefined;
  readonly signal: AbortSignal | undefined;
  /** A cache that cannot be had is told, and the build goes on without it. */
  readonly warn: (message: string) => void;
  /** Reads a file of a directory of the client. */
  readonly readFile: ((index: number, path: string) => ReturnType<ReadCacheFile>) | undefined;
}

/** The caches that a build was given, each looked into: what it knows, not yet its layers. */
export async function openImports(
  parts: ImageParts,
  sources: readonly CacheSource[],
  options: OpenImportsOptions,
): Promise<CacheImport[]> {
  const opened = await Promise.all(
    sources.map(async (source) => {
      try {
        return await openImport(parts, source, options);
      } catch (error) {
        options.signal?.throwIfAborted();
        const name = source.kind === 'local' ? 'in a directory' : source.reference;
        // A cache that was not written yet is nothing to talk about, as with BuildKit.
        if (errorCode(error) !== 'not-found') options.warn(`cache ${name} is left out: ${errorMessage(error)}`);
        return [];
      }
    }),
  );
  return opened.flat();
}

async function openImport(
  parts: ImageParts,
  source: CacheSource,
  options: OpenImportsOptions,
): Promise<readonly CacheImport[]> {
  const { signal, warn } = options;
  if (source.kind === 'local') {
    const { readFile } = options;
    if (!readFile) {
      warn('a cache in a directory of the client is left out: this way of building cannot read it');
      return [];
    }
    const store = directoryCache((path) => readFile(source.index, path), source.tag);
    return readStore(parts, store, options);
  }
  const reference = withDefaultTag(parseReference(source.reference));
  if (source.kind === 'image') return localImage(parts, reference, options);
  if (!parts.registry) return [];
  const store = await registryCache(parts.registry, reference, { auth: authFor(options.auth, reference), signal });
  return readStore(parts, store, options);
}

/** An image of this machine: its layers are here. */
function localImage(parts: ImageParts, reference: Reference, { signal, warn }: OpenImportsOptions): CacheImport[] {
  const known = parts.images.reference(canonicalName(reference));
  const image = known && parts.images.get(known.image);
  if (!image) return [];
  const { config } = image;
  const name = familiarName(reference);
  const inline = inlineRecords(config);
  const nowhere: CacheStore = {
    name,
    manifest: async () => undefined,
    child: () => Promise.reject(new Error('its layer is gone')),
    document: () => Promise.reject(new Error('its layer is gone')),
    blob: () => {
      throw new Error('its layer is gone');
    },
  };
  return [
    ...(inline ? [new KeyedImport(parts, { records: inline, blobs: new Map(), store: nowhere, signal, warn })] : []),
    new HistoryImport(
      {
        name,
        config,
        layer: async (index, parent, lease) => {
          const chain = chainsOf(config)[index]!;
          lease.add('snapshot', chain);
          const found = parts.snapshotter.stat(chain);
          if (!found?.layer || found.parent !== parent) throw new Error('its layer is gone');
          return { chain, diffId: config.rootfs.diff_ids[index]!, size: found.layer.size };
        },
      },
      warn,
    ),
  ];
}

async function readStore(parts: ImageParts, store: CacheStore, options: OpenImportsOptions): Promise<CacheImport[]> {
  const { signal, warn } = options;
  const found = await store.manifest();
  if (!found) return [];
  let { bytes } = found;
  if (isIndex(found.descriptor.mediaType)) {
    const own = ownManifest(parts, parseIndex(bytes).manifests);
    if (!own) return [];
    bytes = await store.child(own);
  }
  const manifest = parseManifest(bytes);
  const text = (await store.document(manifest.config)).toString('utf8');
  if (manifest.config.mediaType === CACHE_CONFIG_TYPE)
    return [new KeyedImport(parts, { ...decodeCache(text), store, signal, warn })];
  const config = parseImageConfig(text);
  const imports: CacheImport[] = [];
  const records = inlineRecords(config);
  if (records) {
    const blobs = new Map(config.rootfs.diff_ids.map((diffId, index) => [diffId, manifest.layers[index]!]));
    imports.push(new KeyedImport(parts, { records, blobs, store, signal, warn }));
  }
  const layer = async (
    ...[index, parent, lease]: Parameters<ConstructorParameters<typeof HistoryImport>[0]['layer']>
  ) => {
    const blob = manifest.layers[index]!;
    lease.add('blob', blob.digest);
    if (!(await parts.content.has(blob))) await parts.content.write(blob, store.blob(blob), signal ? { signal } : {});
    return unpackLayer(parts, blob, config.rootfs.diff_ids[index]!, { parent, lease, signal });
  };
  imports.push(new HistoryImport({ name: store.name, config, layer }, warn));
  return imports;
}

function ownManifest({ platform }: ImageParts, manifests: readonly Descriptor[]): Descriptor | undefined {
  return manifests
    .map((manifest) => ({ manifest, distance: manifest.platform && platformDistance(platform, manifest.platform) }))
    .filter((one): one is { manifest: Descriptor; distance: number } => one.distance !== undefined)
    .toSorted((a, b) => a.distance - b.distance)[0]?.manifest;
}

function inlineRecords(config: ImageConfig): ReturnType<typeof decodeCache>['records'] | undefined {
  const inline = (config as unknown as Record<string, unknown>)[INLINE_FIELD];
  return typeof inline === 'string' ? decodeCache(Buffer.from(inline, 'base64').toString('utf8')).records : undefined;
}

import { bytesOf } from '../../../content/bytes.ts';
import type { ContentSource } from '../../../content/content-store.ts';
import { type Descriptor, MEDIA_TYPES } from '../../../oci/descriptor.ts';
import { type ChainId, type DiffId, type Digest, sha256 } from '../../../oci/digest.ts';
import type { ImageParts } from '../../images/parts.ts';
import type { Assembled } from '../outputs/assemble.ts';
import { type ImageBlob, layerBlob } from '../outputs/layer-blob.ts';
import type { ImageForm } from '../outputs/output.ts';
import type { CacheableSteps } from '../solved-build.ts';
import { CACHE_CONFIG_TYPE, encodeCache, portable, type PortableRecord } from './cache-config.ts';

/** The steps that a cache of that mode carries; `min` has those whose layers are in the result, and what stands between them. */
export function portableRecords(
  parts: Pick<ImageParts, 'snapshotter'>,
  { steps, target }: Pick<CacheableSteps, 'steps' | 'target'>,
  mode: 'min' | 'max',
): PortableRecord[] {
  const wanted = mode === 'max' ? undefined : keysBelow(steps, target.key);
  const records = new Map<Digest, PortableRecord>();
  for (const { record } of steps) {
    if (wanted && !wanted.has(record.key)) continue;
    const over = record.layer && parts.snapshotter.stat(record.layer.chain)?.parent;
    records.set(record.key, portable(record, over as ChainId | undefined));
  }
  return [...records.values()];
}

function keysBelow(steps: CacheableSteps['steps'], top: Digest): Set<Digest> {
  const parents = new Map(steps.map(({ record }) => [record.key, record.parent]));
  const keys = new Set<Digest>();
  for (let at: Digest | undefined = top; at !== undefined && !keys.has(at); at = parents.get(at)) keys.add(at);
  return keys;
}

/** A cache as a manifest with its layers, ready to be pushed or written down as a layout. */
export async function assembleCache(
  parts: ImageParts,
  solved: readonly CacheableSteps[],
  {
    mode,
    form,
    signal,
  }: { readonly mode: 'min' | 'max'; readonly form: ImageForm; readonly signal?: AbortSignal | undefined },
): Promise<Assembled> {
  const blobs = new Map<Digest, ImageBlob>();
  const layers = new Map<DiffId, Descriptor>();
  const records = new Map<Digest, PortableRecord>();
  for (const build of solved) {
    const chains = new Map(build.steps.map(({ record: { key, layer } }) => [key, layer?.chain]));
    for (const record of portableRecords(parts, build, mode)) {
      records.set(record.key, record);
      if (!record.layer || layers.has(record.layer.diffId)) continue;
      const how = { form, lease: build.lease, signal };
      const blob = await layerBlob(parts, { diffId: record.layer.diffId, chain: chains.get(record.key)! }, how);
      blobs.set(blob.descriptor.digest, blob);
      layers.set(record.layer.diffId, blob.descriptor);
    }
  }
  const document = (mediaType: string, text: string): Descriptor => {
    const bytes = Buffer.from(text);
    const descriptor = { mediaType, digest: sha256(bytes), size: bytes.byteLength };
    blobs.set(descriptor.digest, { descriptor, open: ({ offset = 0 } = {}) => bytesOf(bytes.subarray(offset)) });
    return descriptor;
  };
  const target = document(
    MEDIA_TYPES.ociManifest,
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: document(CACHE_CONFIG_TYPE, encodeCache([...records.values()], layers)),
      layers: [...new Map([...layers.values()].map((layer) => [layer.digest, layer])).values()].sort((a, b) =>
        a.digest < b.digest ? -1 : 1,
      ),
    }),
  );
  const source: ContentSource = {
    read: (wanted, options) => blobs.get(wanted.digest)?.open(options) ?? parts.content.read(wanted, options),
  };
  return { target, images: [], blobs, source };
}

import { randomUUID } from 'node:crypto';
import { EngineError } from '../../base/errors.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import type { Compression } from '../../content/compression.ts';
import type { Bytes } from '../../content/content-store.ts';
import { type Descriptor, MEDIA_TYPES } from '../../oci/descriptor.ts';
import { type ChainId, type DiffId, hasherFor, sha256 } from '../../oci/digest.ts';
import { applyLayer, type ArchiveLimits, type ArchiveSource } from '../../snapshot/apply-layer.ts';
import { diffLayer, digestLayer, type LayerDigest } from '../../snapshot/diff-layer.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { LayerRecord } from '../../state/layers.ts';
import type { Lease } from '../../state/leases.ts';
import type { ImageParts } from './parts.ts';

/** A layer in its place: committed, recorded, and on the lease it was made under. */
export interface Layer {
  readonly chain: ChainId;
  readonly diffId: DiffId;
  /** Bytes of the files' content. */
  readonly size: number;
}

export interface LayerOptions {
  /** The top of the layers below; undefined for the first. */
  readonly parent: ChainId | undefined;
  readonly lease: Lease;
  readonly signal?: AbortSignal | undefined;
}

export type LayerParts = Pick<ImageParts, 'snapshotter' | 'content' | 'layers'>;

/** One at a time makes a chain: a second one that wants the same finds it made. Whoever has one waits for those below alone. */
export const MAKING = new KeyedMutex();

/**
 * Makes the layer that a blob of the store holds, unless it is there. Throws `corrupt` when the blob is not `diffId` once
 * it is uncompressed, and what `applyLayer` throws; nothing is left then.
 */
export async function unpackLayer(
  parts: LayerParts,
  blob: Pick<Descriptor, 'mediaType' | 'digest' | 'size'>,
  diffId: DiffId,
  options: LayerOptions & {
    /** The blob as it comes, instead of the store's; nobody else looks at its chunks again. */
    readonly bytes?: Bytes;
    /** False leaves waiting for the disk to `snapshotter.sync`. */
    readonly sync?: boolean;
  },
): Promise<Layer> {
  const { parent, lease, signal, bytes, sync } = options;
  const chain = chainOver(parent, diffId);
  lease.add('snapshot', chain);
  await using _lock = await MAKING.acquire(chain);
  const present = presentLayer(parts, blob, diffId, chain);
  if (present) {
    if (sync !== false) await parts.snapshotter.sync([chain]);
    return present;
  }
  lease.add('blob', blob.digest);
  const compression = compressionOf(blob.mediaType);
  const size = await withSnapshot(parts, parent, async (key) => {
    const source = bytes ?? { path: parts.content.path(blob.digest) };
    const applied = await fill(parts, key, source, { compression, signal, givesBytes: bytes !== undefined });
    checkDiffId(diffId, applied.diffId, parts.snapshotter.lowerDirs(key).length);
    await parts.snapshotter.commit(chain, key, { diffId, size: applied.size }, { sync });
    return applied.size;
  });
  parts.layers.put({ diffId, blob, stored: true, size });
  return { chain, diffId, size };
}

/** The layer, if it is there; the blob is noted as what it is transported as. */
export function presentLayer(
  parts: LayerParts,
  blob: Pick<Descriptor, 'mediaType' | 'digest' | 'size'>,
  diffId: DiffId,
  chain: ChainId,
): Layer | undefined {
  const present = parts.snapshotter.stat(chain)?.layer;
  if (!present) return undefined;
  // The tar of a layer that was made here can be made again: a copy of it would only take room.
  if (!parts.layers.get(diffId)) parts.layers.put({ diffId, blob, stored: true, size: present.size });
  return { chain, diffId, size: present.size };
}

/** Throws `corrupt` where the layer at `position` is not what the image's config says. */
export function checkDiffId(expected: DiffId, found: DiffId, position: number): void {
  if (found === expected) return;
  throw new EngineError('corrupt', `invalid diffID for layer ${position}: expected "${expected}", got "${found}"`);
}

/**
 * Makes a layer of an archive that comes from outside as a plain filesystem (`import`): its tar, and so its diff id, is the
 * one that we write ourselves of the same files.
 */
export async function importLayer(
  parts: LayerParts,
  archive: ArchiveSource,
  options: LayerOptions & { readonly limits?: ArchiveLimits },
): Promise<Layer> {
  const key = `import-${randomUUID()}`;
  await parts.snapshotter.prepare(key, options.parent);
  try {
    const { limits, signal } = options;
    await fill(parts, key, archive, { limits, allowExternal: true, signal });
    return await commitLayer(parts, key, options);
  } catch (error) {
    await discard(parts.snapshotter, key);
    throw error;
  }
}

/** Makes a layer of what was written into the active snapshot `key`, which is gone then. On failure it is the caller's still. */
export async function commitLayer(
  parts: LayerParts,
  key: string,
  options: LayerOptions & {
    /** False leaves waiting for the disk to `snapshotter.sync`: until then nothing durable may refer to the layer. */
    readonly sync?: boolean;
    /** Of what was written, where that is known. */
    readonly digest?: LayerDigest;
  },
): Promise<Layer> {
  const { parent, lease, signal, sync } = options;
  const digest = options.digest ?? (await digestLayer(parts.snapshotter.changesDir(key), { signal }));
  const { diffId, size, tarSize } = digest;
  const chain = chainOver(parent, diffId);
  lease.add('snapshot', chain);
  await using _lock = await MAKING.acquire(chain);
  await parts.snapshotter.commit(chain, key, { diffId, size }, { sync });
  record(parts, { chain, diffId, tarSize });
  return { chain, diffId, size };
}

/** A layer that is there, over other layers. Throws `corrupt` when its files are not what they were. */
export async function placeLayer(parts: LayerParts, layer: Layer, options: LayerOptions): Promise<Layer> {
  const chain = chainOver(options.parent, layer.diffId);
  options.lease.add('snapshot', chain);
  if (parts.snapshotter.stat(chain)?.layer) return { ...layer, chain };
  const copy = await copyLayer(parts, parts.snapshotter.changesDir(layer.chain), options);
  if (copy.diffId !== layer.diffId) throw damaged(layer.diffId, copy.diffId);
  return copy;
}

/** Makes a layer of a copy of `directory`, the changes of a container: they go on being the container's. */
export async function copyLayer(
  parts: LayerParts,
  directory: string,
  { parent, lease, signal }: LayerOptions,
): Promise<Layer> {
  let tarSize = 0;
  return withSnapshot(parts, parent, async (key) => {
    const tar = counted(diffLayer(directory, { signal }), (bytes) => (tarSize += bytes));
    const { diffId, size } = await fill(parts, key, tar, { compression: 'none', signal });
    const chain = chainOver(parent, diffId);
    lease.add('snapshot', chain);
    await using _lock = await MAKING.acquire(chain);
    await parts.snapshotter.commit(chain, key, { diffId, size });
    record(parts, { chain, diffId, tarSize });
    return { chain, diffId, size };
  });
}

/** The layer as it is transported. Of a layer that was made here its tar is measured, once. Throws `corrupt`, `not-found`. */
export async function layerRecord(
  parts: LayerParts,
  diffId: DiffId,
  chain: ChainId,
  signal?: AbortSignal,
): Promise<LayerRecord> {
  const known = parts.layers.get(diffId);
  if (known) return known;
  const digest = await digestLayer(parts.snapshotter.changesDir(chain), { signal });
  if (digest.diffId !== diffId) throw damaged(diffId, digest.diffId);
  return record(parts, { chain, diffId, tarSize: digest.tarSize });
}

/** The layer's tar as its record describes it: the blob, or made again and checked. The last read throws `corrupt` if it is not. */
export async function* layerTar(parts: LayerParts, layer: LayerRecord, chain: ChainId, signal?: AbortSignal): Bytes {
  if (layer.stored) {
    yield* parts.content.read(layer.blob, signal ? { signal } : {});
    return;
  }
  const hash = hasherFor(layer.diffId);
  let size = 0;
  for await (const chunk of diffLayer(parts.snapshotter.changesDir(chain), { signal })) {
    hash.update(chunk);
    size += chunk.byteLength;
    // Readers were told a size: more must not reach them as if it were fine.
    if (size > layer.blob.size) throw damaged(layer.diffId);
    yield chunk;
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== layer.diffId) throw damaged(layer.diffId, found);
}

/** A layer whose files are not what its name says any more. */
export function damaged(diffId: DiffId, found = 'others'): EngineError {
  return new EngineError(
    'corrupt',
    `the files of layer ${diffId} were changed, they are ${found} now: run \`gantry system fsck\``,
  );
}

export function chainOver(parent: ChainId | undefined, diffId: DiffId): ChainId {
  return parent === undefined ? diffId : sha256(`${parent} ${diffId}`);
}

/** How a layer of that type must be compressed. Throws `corrupt` for what is no layer. */
export function compressionOf(mediaType: string): Compression {
  switch (mediaType) {
    case MEDIA_TYPES.ociLayer:
    case MEDIA_TYPES.dockerLayer:
      return 'none';
    case MEDIA_TYPES.ociLayerGzip:
    case MEDIA_TYPES.dockerLayerGzip:
      return 'gzip';
    case MEDIA_TYPES.ociLayerZstd:
      return 'zstd';
    default:
      throw new EngineError('corrupt', `unsupported layer type ${JSON.stringify(mediaType.slice(0, 100))}`);
  }
}

function record(
  parts: LayerParts,
  { chain, diffId, tarSize }: { chain: ChainId; diffId: DiffId; tarSize: number },
): LayerRecord {
  const { size } = parts.snapshotter.stat(chain)!.layer!;
  const blob = { mediaType: MEDIA_TYPES.ociLayer, digest: diffId, size: tarSize };
  parts.layers.put({ diffId, blob, stored: false, size });
  return parts.layers.get(diffId)!;
}

function fill(
  parts: LayerParts,
  key: string,
  source: ArchiveSource,
  options: {
    compression?: Compression | undefined;
    limits?: ArchiveLimits | undefined;
    allowExternal?: boolean;
    givesBytes?: boolean;
    signal?: AbortSignal | undefined;
  },
): ReturnType<typeof applyLayer> {
  return applyLayer(source, parts.snapshotter.changesDir(key), {
    whiteouts: 'overlay',
    lowerDirs: parts.snapshotter.lowerDirs(key),
    ...options,
  });
}

/** An active snapshot for as long as `work` takes; what `work` did not commit is discarded. */
async function withSnapshot<T>(
  parts: LayerParts,
  parent: ChainId | undefined,
  work: (key: string) => Promise<T>,
): Promise<T> {
  const key = `layer-${randomUUID()}`;
  await parts.snapshotter.prepare(key, parent);
  try {
    return await work(key);
  } catch (error) {
    await discard(parts.snapshotter, key);
    throw error;
  }
}

export async function discard(snapshotter: Snapshotter, key: string): Promise<void> {
  if (snapshotter.stat(key)) await snapshotter.remove(key);
}

async function* counted(bytes: Bytes, onBytes: (count: number) => void): Bytes {
  for await (const chunk of bytes) {
    onBytes(chunk.byteLength);
    yield chunk;
  }
}

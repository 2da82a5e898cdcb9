import { randomUUID } from 'node:crypto';
import { errorCode } from '../../base/errors.ts';
import type { Gate } from '../../base/gate.ts';
import type { Bytes } from '../../content/content-store.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ChainId, DiffId } from '../../oci/digest.ts';
import { type AppliedLayer, applyLayer, applyLayerAhead, type ArchiveSource } from '../../snapshot/apply-layer.ts';
import {
  chainOver,
  checkDiffId,
  compressionOf,
  discard,
  type LayerOptions,
  type LayerParts,
  MAKING,
  presentLayer,
} from './layers.ts';

/** The blob of a layer on its way into the store. */
export interface IncomingBlob {
  /** As it comes, where there is a place to unpack it at the same time; nobody else looks at its chunks again. */
  readonly bytes: (Bytes & Disposable) | undefined;
  /** Settles when the store has it. */
  readonly arrived: Promise<void>;
}

export interface IncomingLayerOptions extends LayerOptions {
  /** How many layers the image has below this one. */
  readonly position: number;
  /** Settles when the layers below are there. */
  readonly below: Promise<void>;
  /** Asks for the blob. Called once nobody else makes the layer, and not where it is there. */
  readonly fetch: () => Promise<IncomingBlob>;
  /** Where it is unpacked, if not while it comes. */
  readonly unpacking: Gate;
  readonly onUnpack: () => void;
}

interface Unpacked {
  readonly key: string;
  readonly applied: AppliedLayer;
  /** Made over nothing, and to be put over the layers below. */
  readonly isAhead: boolean;
}

/**
 * Makes a layer while its blob comes, or as soon as that is here, without waiting for the layers below: it is put over them
 * in the end. Nothing is synced (`snapshotter.sync`). False when somebody else made it. Throws what `unpackLayer` throws.
 */
export async function makeIncomingLayer(
  parts: LayerParts,
  blob: Pick<Descriptor, 'mediaType' | 'digest' | 'size'>,
  diffId: DiffId,
  options: IncomingLayerOptions,
): Promise<boolean> {
  const { parent, lease, signal, position, below, fetch, unpacking, onUnpack } = options;
  const chain = chainOver(parent, diffId);
  lease.add('snapshot', chain);
  await using _lock = await MAKING.acquire(chain, { signal });
  if (presentLayer(parts, blob, diffId, chain)) return false;
  lease.add('blob', blob.digest);
  const { bytes, arrived } = await fetch();
  const unpack = (source: ArchiveSource): Promise<Unpacked | undefined> =>
    unpackOver(parts, blob, parent, { source, signal });
  const unpackStored = async (): Promise<Unpacked | undefined> => {
    await arrived;
    return unpacking.run(() => {
      signal?.throwIfAborted();
      onUnpack();
      return unpack({ path: parts.content.path(blob.digest) });
    });
  };
  let made = bytes && (await whileItComes(bytes, unpack));
  made ??= bytes === undefined ? await unpackStored() : undefined;
  try {
    if (made) checkDiffId(diffId, made.applied.diffId, position);
    await below;
    // What it is depends on the layers below, or its bytes did not come this way.
    made ??= (await unpackStored())!;
    checkDiffId(diffId, made.applied.diffId, position);
    const { key, applied, isAhead } = made;
    if (isAhead) await parts.snapshotter.rebase(key, parent!, { ownRoot: applied.describesRoot });
    await parts.snapshotter.commit(chain, key, { diffId, size: applied.size }, { sync: false });
    await arrived;
    parts.layers.put({ diffId, blob, stored: true, size: applied.size });
    return true;
  } catch (error) {
    if (made) await discard(parts.snapshotter, made.key);
    throw error;
  }
}

/** Undefined when the bytes did not come this way: then the blob has all of them. */
async function whileItComes(
  bytes: Bytes & Disposable,
  unpack: (source: Bytes) => Promise<Unpacked | undefined>,
): Promise<Unpacked | undefined> {
  using _place = bytes;
  try {
    return await unpack(bytes);
  } catch (error) {
    if (errorCode(error) !== 'internal') throw error;
    return undefined;
  }
}

/** An active snapshot with what the archive has in it; undefined when the layers below must be there first. */
async function unpackOver(
  parts: LayerParts,
  { mediaType }: Pick<Descriptor, 'mediaType'>,
  parent: ChainId | undefined,
  { source, signal }: { readonly source: ArchiveSource; readonly signal: AbortSignal | undefined },
): Promise<Unpacked | undefined> {
  const { snapshotter } = parts;
  const key = `layer-${randomUUID()}`;
  const isAhead = parent !== undefined && snapshotter.stat(parent)?.layer === undefined;
  await snapshotter.prepare(key, isAhead ? undefined : parent);
  try {
    const target = snapshotter.changesDir(key);
    const how = { compression: compressionOf(mediaType), signal, givesBytes: !('path' in source) };
    const lowerDirs = snapshotter.lowerDirs(key);
    const applied = isAhead
      ? await applyLayerAhead(source, target, how)
      : await applyLayer(source, target, { ...how, whiteouts: 'overlay', lowerDirs });
    if (applied) return { key, applied, isAhead };
  } catch (error) {
    await discard(snapshotter, key);
    throw error;
  }
  await discard(snapshotter, key);
  return undefined;
}

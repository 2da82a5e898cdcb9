import type { Bytes } from '../content/content-store.ts';
import type { DiffId } from '../oci/digest.ts';
import type { ShiftedIds } from './shifted-ids.ts';
import { filesystemWorker } from './filesystem-worker.ts';

export interface LayerDigest {
  readonly diffId: DiffId;
  /** Bytes of the files' content, hard links counted once. */
  readonly size: number;
  /** Bytes of the tar. */
  readonly tarSize: number;
}

/**
 * The layer tar (image-spec layer.md) of a snapshot's changes directory: overlayfs marks become whiteouts. The same
 * directory always gives the same bytes, so a layer made here needs no stored blob. Throws `too-large` (paths that no
 * reader accepts), `cancelled`.
 */
export function diffLayer(changesDir: string, { signal }: { signal?: AbortSignal | undefined } = {}): Bytes {
  return filesystemWorker.stream({ job: 'diff', parameters: { directory: changesDir }, signal });
}

export interface CompressParameters {
  readonly directory: string;
  readonly diffId: DiffId;
}

/**
 * What `diffLayer` gives, as gzip; read, checked and compressed by one thread. The last read throws `corrupt` with the diff
 * id that it has when that is not the expected one.
 */
export function compressLayer(
  changesDir: string,
  diffId: DiffId,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Bytes {
  return filesystemWorker.stream({
    job: 'compress',
    parameters: { directory: changesDir, diffId } satisfies CompressParameters,
    signal,
  });
}

/** What `diffLayer` would give, by digest and size. */
export async function digestLayer(
  changesDir: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<LayerDigest> {
  return filesystemWorker.run<LayerDigest>({ job: 'digest', parameters: { directory: changesDir }, signal });
}

/** A whole tree, an unpacked or mounted root, as a tar with names relative to it (`docker export`). */
export function tarTree(
  root: string,
  { signal, ids }: { signal?: AbortSignal | undefined; ids?: ShiftedIds | undefined } = {},
): Bytes {
  return filesystemWorker.stream({ job: 'tree', parameters: { directory: root, ids }, signal });
}

import type { Bytes } from '../content/content-store.ts';
import type { Compression } from '../content/compression.ts';
import type { DiffId } from '../oci/digest.ts';
import type { WhiteoutMode } from './extractor.ts';
import type { ShiftedIds } from './shifted-ids.ts';
import { filesystemWorker } from './filesystem-worker.ts';

/** An archive: a file by its absolute path, or bytes. Gzip and zstd are recognised by their first bytes. */
export type ArchiveSource = { readonly path: string } | Bytes;

export interface ApplyLayerOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * `overlay` for the changes directory of a snapshot (whiteouts become overlayfs marks), `literal` for archives that are
   * no layers (`ADD`, `cp`): there `.wh.x` is a name like any other, as it is for Docker.
   */
  readonly whiteouts: WhiteoutMode;
  /**
   * For `overlay`: changes directories of the layers below, top first. A directory that the archive only implies gets
   * owner, mode and time from there. Empty says that there are none, and whiteouts hide nothing.
   */
  readonly lowerDirs?: readonly string[] | undefined;
  /** How the archive must be compressed; anything else throws `corrupt`. Undefined accepts what is recognised. */
  readonly compression?: Compression | undefined;
  /** Accept bzip2 and xz too, through the host's own programs. For archives that people hand over, not for layers. */
  readonly allowExternal?: boolean | undefined;
  /** Give everything this owner. */
  /** As the extractor has it. */
  readonly ids?: ShiftedIds | undefined;
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** Throw `invalid-argument` rather than replace a directory with something else, or something else with a directory. */
  readonly noOverwriteDirNonDir?: boolean | undefined;
  /** With `literal`: the target is all that the archive describes, so an entry for the root is the target's own. */
  readonly describeRoot?: boolean | undefined;
  readonly limits?: ArchiveLimits | undefined;
  /** Of an archive that is bytes: nobody else looks at its chunks again. */
  readonly givesBytes?: boolean | undefined;
}

export interface ArchiveLimits {
  /** Default 10 million. */
  readonly maxEntries?: number;
  /** Bytes of all files together; by default what is free on the target's filesystem but for a reserve. */
  readonly maxBytes?: number;
}

export interface AppliedLayer {
  /** Of all bytes of the uncompressed archive, those after its end mark included. */
  readonly diffId: DiffId;
  /** Bytes of the files' content. */
  readonly size: number;
  readonly entries: number;
  /** Whether it says who owns the root directory and may use it; otherwise that is as it is below. */
  readonly describesRoot: boolean;
}

/**
 * Extracts an archive into the directory `target`, which must exist, in a worker thread. Nothing outside of `target` is
 * written, linked, changed or removed, whatever the archive says and whoever renames what meanwhile. Nothing is synced.
 *
 * Throws `corrupt`, `too-large` (limits, decompression bombs), `no-space`, `cancelled`; then `target` holds a part of it,
 * which is the caller's to throw away.
 */
export async function applyLayer(
  source: ArchiveSource,
  target: string,
  { signal, givesBytes, ...options }: ApplyLayerOptions,
): Promise<AppliedLayer> {
  return (await run(source, { target, options }, { signal, givesBytes }))!;
}

/**
 * Extracts a layer whose layers below are still to come. Undefined when it cannot be told without them what its archive
 * means (a directory that it only implies is a copy of what is below): then `target` is the caller's to throw away too.
 */
export function applyLayerAhead(
  source: ArchiveSource,
  target: string,
  { signal, givesBytes, ...options }: Omit<ApplyLayerOptions, 'whiteouts' | 'lowerDirs'>,
): Promise<AppliedLayer | undefined> {
  const ahead = { ...options, whiteouts: 'overlay', lowerDirs: 'to-come' } as const;
  return run(source, { target, options: ahead }, { signal, givesBytes });
}

function run(
  source: ArchiveSource,
  parameters: Omit<ApplyParameters, 'path'>,
  { signal, givesBytes }: Pick<ApplyLayerOptions, 'signal' | 'givesBytes'>,
): Promise<AppliedLayer | undefined> {
  const path = 'path' in source ? source.path : undefined;
  return filesystemWorker.run<AppliedLayer | undefined>({
    job: 'apply',
    parameters: { path, ...parameters } satisfies ApplyParameters,
    input: path === undefined ? (source as Bytes) : undefined,
    givesInput: givesBytes,
    signal,
  });
}

export interface ApplyParameters {
  readonly path: string | undefined;
  readonly target: string;
  readonly options: Omit<ApplyLayerOptions, 'signal' | 'givesBytes' | 'lowerDirs'> & {
    readonly lowerDirs?: readonly string[] | 'to-come' | undefined;
  };
}

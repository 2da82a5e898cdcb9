import type { PathStat } from '../api/container.ts';
import type { Bytes } from '../content/content-store.ts';
import type { ShiftedIds } from './shifted-ids.ts';
import { filesystemWorker } from './filesystem-worker.ts';

/** A path in a container, as its processes see it. */
export interface ContainerPath {
  /**
   * The container's root as a directory of the host: its mounted snapshot with the volumes mounted inside, or
   * `/proc/<pid>/root`. It may be hostile, and may change meanwhile: nothing outside of it is ever reached.
   */
  readonly root: string;
  /** As the client gave it. Relative ones start at the root; a trailing `/` follows a symlink, a trailing `/.` means the content. */
  readonly path: string;
  /** How the client called the container, for messages. */
  readonly container: string;
  /** Of its user namespace. */
  readonly ids?: ShiftedIds | undefined;
}

/** `docker cp`'s view of what is at the path: a symlink is told as such, with the path it leads to in the container. Throws `not-found` (`Could not find the file … in container …`), `invalid-argument`. */
export async function archiveStat(
  place: ContainerPath,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<PathStat> {
  return filesystemWorker.run<PathStat>({ job: 'archive-stat', parameters: place, signal });
}

/** What is at the path as a tar, entries named from its last component on (`./` for a trailing `/.`). Throws as `archiveStat`, at the first read too. */
export async function archiveGet(
  place: ContainerPath,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<{ stat: PathStat; tar: Bytes }> {
  const stat = await archiveStat(place, { signal });
  return { stat, tar: filesystemWorker.stream({ job: 'archive-get', parameters: place, signal }) };
}

export interface ArchivePutOptions {
  readonly signal?: AbortSignal | undefined;
  /** Refuse to replace a directory with something else, or something else with a directory. */
  readonly noOverwriteDirNonDir?: boolean | undefined;
  /** Give everything this owner (Docker's `copyUIDGID`: the container's user); by default the archive's. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
}

/**
 * Extracts a tar, any known compression, into the directory at the path; symlinks on the way are followed inside the
 * container, those in the archive inside the directory. Throws `not-found`, `invalid-argument` (`extraction point is not
 * a directory`, overwriting, a read-only mount), and what `applyLayer` throws. What was extracted before a
 * failure stays, as with Docker.
 */
export async function archivePut(
  place: ContainerPath,
  tar: Bytes,
  { signal, ...options }: ArchivePutOptions = {},
): Promise<void> {
  await filesystemWorker.run({ job: 'archive-put', parameters: { ...place, options }, input: tar, signal });
}

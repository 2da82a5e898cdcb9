import type { FilesystemChange } from '../api/container.ts';
import { filesystemWorker } from './filesystem-worker.ts';

/**
 * What `docker diff` shows of a snapshot: paths that are new over the layers below (kind 1), gone (2), or different (0) in
 * type, mode, owner, and, unless they are directories, in size or time. A directory counts as changed when something in
 * it did, and is listed before it. `lowerDirs` are the changes directories of the layers below, top first.
 */
export async function changes(
  changesDir: string,
  lowerDirs: readonly string[],
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<FilesystemChange[]> {
  return filesystemWorker.run<FilesystemChange[]>({ job: 'changes', parameters: { changesDir, lowerDirs }, signal });
}

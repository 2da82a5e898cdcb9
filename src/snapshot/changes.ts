import type { FilesystemChange } from '../api/container.ts';
import { filesystemWorker } from './filesystem-worker.ts';

/**
 * What `docker diff` shows: the paths of a snapshot's changes directory (kind 1 when none of `lowerDirs`, top first, has
 * it; 0 when one has) and those it hides (kind 2), in the order of a walk, parents first. A directory that is only there
 * to hold something else that was added or deleted counts as changed, as in Docker.
 */
export async function changes(
  changesDir: string,
  lowerDirs: readonly string[],
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<FilesystemChange[]> {
  return filesystemWorker.run<FilesystemChange[]>({ job: 'changes', parameters: { changesDir, lowerDirs }, signal });
}

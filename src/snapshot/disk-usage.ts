import { filesystemWorker } from './filesystem-worker.ts';

export interface DiskUsage {
  /** Bytes that files and symlinks say they have, each inode counted once: what Docker calls a container's size. */
  readonly bytes: number;
  readonly inodes: number;
}

/** Walks all files below `directory`. */
export async function diskUsage(
  directory: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<DiskUsage> {
  return filesystemWorker.run<DiskUsage>({ job: 'usage', parameters: { directory }, signal });
}

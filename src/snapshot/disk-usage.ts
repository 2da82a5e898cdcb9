import { Gate } from '../base/gate.ts';
import { filesystemWorker } from './filesystem-worker.ts';

export interface DiskUsage {
  /** Bytes that files and symlinks say they have, each inode counted once: what Docker calls a container's size. */
  readonly bytes: number;
  readonly inodes: number;
  /** Of these, files that have names outside of the directory too: they are not free when it goes. */
  readonly elsewhere: readonly { readonly inode: bigint; readonly bytes: number }[];
}

/** Each walk has a thread: of a thousand containers asked for at once, so many are walked at a time. */
const walks = new Gate(2);

/** Walks all files below `directory`. */
export async function diskUsage(
  directory: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<DiskUsage> {
  return walks.run(() => filesystemWorker.run<DiskUsage>({ job: 'usage', parameters: { directory }, signal }));
}

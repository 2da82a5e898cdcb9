import { basename, dirname } from 'node:path';
import { filesystemWorker } from './filesystem-worker.ts';

/** Removes `path` with everything below it, in a worker thread: ten thousand names cost the event loop nothing. Idempotent. */
export async function removeDirectory(path: string): Promise<void> {
  await filesystemWorker.run({ job: 'remove', parameters: { directory: dirname(path), name: basename(path) } });
}

import { EngineError } from '../base/errors.ts';
import { copyThreads } from './copy-threads.ts';
import type { CopyVolumeParameters } from './copy-volume-job.ts';

/**
 * Copies all files of one volume into the empty directory of another, sharing extents where the filesystem can. They are
 * on the disk when it resolves. Throws `conflict` when somebody changed names meanwhile, `cancelled`; then a part is there.
 */
export async function copyVolume(parameters: CopyVolumeParameters, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  try {
    await copyThreads.run<void>({ job: 'copyVolume', parameters, signal });
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw error;
    throw new EngineError('conflict', 'the files changed while they were copied: stop who writes them, and try again', {
      cause: error,
    });
  }
}

/** Waits until everything that was written below `directory` is on the disk. */
export async function syncVolume(directory: string): Promise<void> {
  await copyThreads.run<void>({ job: 'syncVolume', parameters: { directory } });
}

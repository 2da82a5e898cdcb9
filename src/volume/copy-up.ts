import { readdir } from 'node:fs/promises';
import { closeFd, openDirectory } from '../linux/files.ts';
import { copyThreads } from './copy-threads.ts';
import { isEmpty, openSource, type CopyUpParameters } from './copy-up-job.ts';
import { copyDirectoryAttributes } from './copy-tree.ts';
import { fillStaged } from './stage.ts';

export interface CopyUpRequest {
  readonly rootfs: string;
  readonly path: string;
  /** The volume's directory; nothing happens unless it is empty. */
  readonly data: string;
  /** Beside it on the same filesystem; undefined when `data` is a mount point or others see it: then it is filled in place. */
  readonly stage: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fills an empty volume with what the image has at its place. Through a directory beside it, so that after a crash the
 * volume is either empty, and filled at the next start, or complete.
 */
export async function copyUp(request: CopyUpRequest): Promise<void> {
  const { rootfs, path, data, stage, signal } = request;
  if ((await readdir(data)).length > 0 || !copyDirectoryItself(rootfs, path, data)) return;
  const run = (target: string): Promise<boolean> =>
    copyThreads.run<boolean>({
      job: 'copyUp',
      parameters: { rootfs, path, target } satisfies CopyUpParameters,
      signal,
    });
  if (stage === undefined) {
    await run(data);
    return;
  }
  await fillStaged(stage, data, run);
}

/** Owner and mode of the image's directory for the volume's. False when that is all there is to do. */
function copyDirectoryItself(rootfs: string, path: string, data: string): boolean {
  const source = openSource(rootfs, path);
  if (source === undefined) return false;
  try {
    if (!isEmpty(source)) return true;
    const target = openDirectory(data);
    try {
      copyDirectoryAttributes(source, target);
    } finally {
      closeFd(target);
    }
    return false;
  } finally {
    closeFd(source);
  }
}

import { constants, readdirSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import type { JobContext } from '../base/worker-server.ts';
import { closeFd, openDirectory, syncFilesystem } from '../linux/files.ts';
import { openInRoot } from '../linux/rooted.ts';
import { copyDirectoryAttributes, copyTree } from './copy-tree.ts';

export interface CopyUpParameters {
  /** The container's root, filled by its image. */
  readonly rootfs: string;
  /** Where the volume will be mounted in it. */
  readonly path: string;
  /** An empty directory. */
  readonly target: string;
}

/** False when the image has nothing at `path`. Throws `invalid-argument` when it has a file there. */
export function copyUpJob({ rootfs, path, target }: CopyUpParameters, context: JobContext): boolean {
  const source = openSource(rootfs, path);
  if (source === undefined) return false;
  try {
    const to = openDirectory(target);
    try {
      if (isEmpty(to)) {
        copyTree(source, to, () => context.check());
        syncFilesystem(to);
      }
      copyDirectoryAttributes(source, to);
    } finally {
      closeFd(to);
    }
  } finally {
    closeFd(source);
  }
  return true;
}

/** The image's directory; undefined when there is none. Throws `invalid-argument` when a file is there. */
export function openSource(rootfs: string, path: string): number | undefined {
  try {
    return openInRoot(rootfs, path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === 'ENOENT') return undefined;
    if (code !== 'ENOTDIR') throw error;
    throw new EngineError('invalid-argument', `cannot mount volume over existing file, file exists ${path}`, {
      cause: error,
    });
  }
}

export function isEmpty(directory: number): boolean {
  return readdirSync(`/proc/self/fd/${directory}`).length === 0;
}

import type { JobContext } from '../base/worker-server.ts';
import { closeFd, openDirectory, syncFilesystem } from '../linux/files.ts';
import { copyDirectoryAttributes, copyTree } from './copy-tree.ts';

export interface CopyVolumeParameters {
  readonly source: string;
  /** An empty directory. */
  readonly target: string;
}

export function copyVolumeJob({ source, target }: CopyVolumeParameters, context: JobContext): void {
  const from = openDirectory(source);
  try {
    const to = openDirectory(target);
    try {
      copyTree(from, to, () => context.check());
      copyDirectoryAttributes(from, to);
      syncFilesystem(to);
    } finally {
      closeFd(to);
    }
  } finally {
    closeFd(from);
  }
}

export function syncVolumeJob({ directory }: { readonly directory: string }): void {
  const fd = openDirectory(directory);
  try {
    syncFilesystem(fd);
  } finally {
    closeFd(fd);
  }
}

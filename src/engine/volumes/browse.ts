import { constants, fstatSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { VolumeFileDocument, VolumeFilesDocument } from '../../api/gantry.ts';
import { textOf } from '../../base/byte-string.ts';
import { EngineError } from '../../base/errors.ts';
import type { Bytes } from '../../content/content-store.ts';
import { closeFd, namesIn, statAt, tryReadLinkAt } from '../../linux/files.ts';
import { openInRoot } from '../../linux/rooted.ts';

/** Names that one answer tells: people look at them. */
const MOST = 1000;

/** What is in the directory `path` of the volume's files, which nothing in it can lead out of. Throws `not-found`, `invalid-argument`. */
export function listFiles(files: string, path: string): VolumeFilesDocument {
  const fd = openWithin(files, path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const names = namesIn(fd).sort();
    const found = names.slice(0, MOST).flatMap((name): VolumeFileDocument[] => {
      const stat = statAt(fd, name);
      if (!stat) return []; // removed meanwhile
      const target = stat.kind === 'symlink' ? tryReadLinkAt(fd, name) : undefined;
      return [
        {
          Name: textOf(name),
          Kind: stat.kind,
          Size: stat.size,
          Mode: stat.mode,
          Uid: stat.uid,
          Gid: stat.gid,
          Modified: new Date(Number(stat.mtime / 1_000_000n)).toISOString(),
          ...(target !== undefined && { Target: textOf(target) }),
        },
      ];
    });
    return { Files: found, Truncated: names.length > MOST };
  } finally {
    closeFd(fd);
  }
}

/** The content of the regular file at `path`. Throws `not-found`, `invalid-argument`. */
export async function readVolumeFile(files: string, path: string): Promise<{ size: number; content: Bytes }> {
  // not blocking: a fifo would wait for a writer
  const fd = openWithin(files, path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new EngineError('invalid-argument', `${path} is not a regular file`);
    const file = await open(`/proc/self/fd/${fd}`, 'r');
    return { size: stat.size, content: file.createReadStream() };
  } finally {
    closeFd(fd);
  }
}

function openWithin(files: string, path: string, flags: number): number {
  if (path.includes('\0')) throw new EngineError('invalid-argument', 'a path has no NUL');
  try {
    return openInRoot(files, path || '.', flags);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT') throw new EngineError('not-found', `no such file in the volume: ${path}`);
    if (code === 'ENOTDIR' || code === 'ELOOP' || code === 'ENXIO') {
      throw new EngineError(
        'invalid-argument',
        `${path}: ${code === 'ENOTDIR' ? 'not a directory' : 'cannot be opened'}`,
      );
    }
    throw error;
  }
}

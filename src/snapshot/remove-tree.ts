import { constants } from 'node:fs';
import type { ByteString } from '../base/byte-string.ts';
import { closeFd, namesIn, O_PATH, openAt, removeDirectoryAt, renameAt, unlinkAt } from '../linux/files.ts';

/** Below this depth directories are moved up instead of descended into, so that descriptors and stack are bounded. */
const MAX_DEPTH = 64;

/**
 * Removes `name` from the directory `dir` with everything below it, whatever its depth. Idempotent; never follows a
 * symlink. `check` is called for each name and may throw to stop.
 */
export function removeTreeAt(dir: number, name: ByteString, check: () => void = () => {}): void {
  let moved = 0;
  const remove = (parent: number, child: ByteString, depth: number): void => {
    check();
    if (tryUnlink(parent, child)) return;
    const fd = openAt(parent, child, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      for (const entry of namesIn(fd)) {
        if (depth < MAX_DEPTH) remove(fd, entry, depth + 1);
        else if (!tryUnlink(fd, entry)) renameAt(fd, entry, top!, `.deep-${process.pid}-${moved++}`);
      }
    } finally {
      closeFd(fd);
    }
    removeDirectoryAt(parent, child);
  };
  let top: number | undefined;
  if (tryUnlink(dir, name)) return;
  top = openAt(dir, name, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    for (let names = namesIn(top); names.length > 0; names = namesIn(top)) {
      for (const entry of names) remove(top, entry, 1);
    }
  } finally {
    closeFd(top);
  }
  removeDirectoryAt(dir, name);
}

/** True when `name` is gone, false when it is a directory. */
function tryUnlink(dir: number, name: ByteString): boolean {
  try {
    unlinkAt(dir, name);
    return true;
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 'ENOENT') return true;
    if (code === 'EISDIR') return false;
    throw error;
  }
}

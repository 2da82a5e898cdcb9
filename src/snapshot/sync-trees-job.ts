import { constants, fsyncSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ByteString } from '../base/byte-string.ts';
import type { JobContext } from '../base/worker-server.ts';
import { closeFd, namesIn, openAt, openDirectory, statAt, syncFilesystem } from '../linux/files.ts';

/** What a disk writes in the time that one wait for it takes, about a millisecond. */
const BYTES_PER_WAIT = 400 << 10;
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Waits until the trees are on the disk, with the names above them up to `top`. A sync of the whole filesystem is one wait,
 * but for what everybody wrote: where that is much and the trees have few files, each file is waited for by itself.
 * `filesystem` is a descriptor for the first, which tells of what failed since it was opened or synced last.
 */
export function syncTreesJob(
  {
    trees,
    top,
    filesystem,
    dirty = dirtyBytes(),
  }: { trees: readonly string[]; top: string; filesystem?: number | undefined; dirty?: number },
  context: JobContext,
): { readonly alone: boolean } {
  try {
    if (syncAlone(trees, top, dirty, context)) return { alone: true };
  } catch (error) {
    // Somebody removed a tree meanwhile; the others are waited for all the same.
    if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
  }
  if (filesystem === undefined) withDirectory(top, syncFilesystem);
  else syncFilesystem(filesystem);
  return { alone: false };
}

/** File by file; false, with nothing done, where that is not the cheaper way. */
function syncAlone(trees: readonly string[], top: string, dirty: number, context: JobContext): boolean {
  const budget = { waits: dirty / BYTES_PER_WAIT };
  if (!trees.every((tree) => withDirectory(tree, (fd) => affordable(fd, budget, context)))) return false;
  const above = new Set([top]);
  for (const tree of trees) {
    withDirectory(tree, (fd) => syncBelow(fd, context));
    for (let at = dirname(tree); at.startsWith(`${top}/`); at = dirname(at)) above.add(at);
  }
  for (const directory of [...above].sort((a, b) => b.length - a.length)) withDirectory(directory, fsyncSync);
  return true;
}

/** Bytes of the whole machine that wait for a disk. */
function dirtyBytes(): number {
  return Number(/^Dirty:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024;
}

/** Whether a wait for each file costs less than one for all; takes them from `budget`. */
function affordable(directory: number, budget: { waits: number }, context: JobContext): boolean {
  budget.waits--;
  for (const name of namesIn(directory)) {
    context.check();
    const stat = statAt(directory, name);
    if (!stat) continue;
    if (stat.kind === 'directory') {
      if (!at(directory, name, DIRECTORY, (fd) => affordable(fd, budget, context))) return false;
      continue;
    }
    // Links and devices cannot be waited for, and without a journal their directory does not bring them along.
    if (stat.kind !== 'file') return false;
    budget.waits -= 1 + stat.size / BYTES_PER_WAIT;
    if (budget.waits < 0) return false;
  }
  return budget.waits >= 0;
}

function syncBelow(directory: number, context: JobContext): void {
  for (const name of namesIn(directory)) {
    context.check();
    if (statAt(directory, name)?.kind === 'directory') at(directory, name, DIRECTORY, (fd) => syncBelow(fd, context));
    else at(directory, name, FILE, fsyncSync);
  }
  fsyncSync(directory);
}

function at<T>(directory: number, name: ByteString, flags: number, work: (fd: number) => T): T {
  const fd = openAt(directory, name, flags);
  try {
    return work(fd);
  } finally {
    closeFd(fd);
  }
}

function withDirectory<T>(path: string, work: (fd: number) => T): T {
  const handle = openDirectory(path);
  try {
    // The handle may be one that only stands for the place.
    return at(handle, '.' as ByteString, DIRECTORY, work);
  } finally {
    closeFd(handle);
  }
}

import { constants } from 'node:fs';
import type { FilesystemChange } from '../api/container.ts';
import { type ByteString, byteString, textOf } from '../base/byte-string.ts';
import type { JobContext } from '../base/worker-server.ts';
import { closeFd, type FileStat, namesIn, openAt, statAt, statFd, syncFilesystem } from '../linux/files.ts';
import type { DiskUsage } from './disk-usage.ts';
import { isOpaque, isWhiteout } from './overlay-format.ts';
import { removeTreeAt } from './remove-tree.ts';
import { RootedDirectory } from './rooted-directory.ts';

const READ_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** The worker's side of `diskUsage`. */
export function usageJob({ directory }: { directory: string }, context: JobContext): DiskUsage {
  using root = new RootedDirectory(directory);
  const seen = new Set<bigint>();
  let bytes = 0;
  let inodes = 0;
  walk(root.fd, context, (_, __, stat) => {
    if (stat.links > 1 && stat.kind !== 'directory') {
      if (seen.has(stat.inode)) return false;
      seen.add(stat.inode);
    }
    inodes++;
    if (stat.kind !== 'directory') bytes += stat.size;
    return true;
  });
  return { bytes, inodes };
}

/** The worker's side of `changes`. */
export function changesJob(
  { changesDir, lowerDirs }: { changesDir: string; lowerDirs: readonly string[] },
  context: JobContext,
): FilesystemChange[] {
  using root = new RootedDirectory(changesDir);
  using stack = new DisposableStack();
  const lowers = lowerDirs.map((lower) => stack.use(new RootedDirectory(lower)));
  const found: FilesystemChange[] = [];
  const listed = new Set<ByteString>();
  const push = (path: ByteString, kind: FilesystemChange['Kind']): void => {
    found.push({ Path: `/${textOf(path)}`, Kind: kind });
  };
  walk(root.fd, context, (path, fd, stat) => {
    const key = path.join('/');
    const below = lowerStat(lowers, path);
    const deleted = isWhiteout(stat) || (fd !== undefined && isOpaque(fd) && below !== undefined);
    if (!deleted && below?.kind === 'directory' && stat.kind === 'directory' && sameDirectory(stat, below)) return true;
    const kind = deleted ? 2 : below ? 0 : 1;
    const parent = path.slice(0, -1).join('/');
    if (kind !== 0 && parent !== '' && !listed.has(parent)) {
      listed.add(parent);
      push(parent, 0);
    }
    if (stat.kind === 'directory') listed.add(key);
    push(key, kind);
    return true;
  });
  return found;
}

/** Removes `<directory>/<name>`. */
export function removeJob({ directory, name }: { directory: string; name: string }, context: JobContext): void {
  using parent = new RootedDirectory(directory);
  removeTreeAt(parent.fd, byteString(name), () => context.check());
}

/** Waits until everything on the filesystem of `directory` is on the disk. */
export function syncJob({ directory }: { directory: string }): void {
  using root = new RootedDirectory(directory);
  syncFilesystem(root.fd);
}

/** Calls `visit` for everything below the open directory, parents first; `fd` is given for directories. False keeps the walk out. */
function walk(
  directory: number,
  context: JobContext,
  visit: (path: readonly ByteString[], fd: number | undefined, stat: FileStat) => boolean,
  path: readonly ByteString[] = [],
): void {
  for (const name of namesIn(directory)) {
    context.check();
    const stat = statAt(directory, name);
    if (!stat) continue;
    const here = [...path, name];
    if (stat.kind !== 'directory') {
      visit(here, undefined, stat);
      continue;
    }
    let fd: number;
    try {
      fd = openAt(directory, name, READ_DIRECTORY);
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ENOENT') continue;
      throw error;
    }
    try {
      if (visit(here, fd, statFd(fd))) walk(fd, context, visit, here);
    } finally {
      closeFd(fd);
    }
  }
}

function lowerStat(lowers: readonly RootedDirectory[], path: readonly ByteString[]): FileStat | undefined {
  for (const lower of lowers) {
    const stat = lower.stat(path, { follow: false });
    if (stat) return isWhiteout(stat) ? undefined : stat;
  }
  return undefined;
}

function sameDirectory(a: FileStat, b: FileStat): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && a.mtime === b.mtime;
}

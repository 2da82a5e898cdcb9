import { constants } from 'node:fs';
import { byteString } from '../base/byte-string.ts';
import type { JobContext } from '../base/worker-server.ts';
import { closeFd, type FileStat, namesIn, O_PATH, statAt, syncFilesystem, tryOpenAt } from '../linux/files.ts';
import type { DiskUsage } from './disk-usage.ts';
import { removeTreeAt } from './remove-tree.ts';
import { RootedDirectory } from './rooted-directory.ts';

const OPEN_DIRECTORY = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** The worker's side of `diskUsage`. */
export function usageJob({ directory }: { directory: string }, context: JobContext): DiskUsage {
  using root = new RootedDirectory(directory);
  const linked = new Map<bigint, { bytes: number; names: number; links: number }>();
  let bytes = 0;
  let inodes = 0;
  walk(root.fd, context, (stat) => {
    if (stat.links > 1 && stat.kind !== 'directory') {
      const known = linked.get(stat.inode);
      if (known) known.names++;
      else linked.set(stat.inode, { bytes: stat.size, names: 1, links: stat.links });
      if (known) return;
    }
    inodes++;
    if (stat.kind !== 'directory') bytes += stat.size;
  });
  const elsewhere = [...linked].filter(([, { names, links }]) => names < links);
  return { bytes, inodes, elsewhere: elsewhere.map(([inode, file]) => ({ inode, bytes: file.bytes })) };
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

/** Calls `visit` for everything below the open directory, parents first. */
function walk(directory: number, context: JobContext, visit: (stat: FileStat) => void): void {
  for (const name of namesIn(directory)) {
    context.check();
    const stat = statAt(directory, name);
    if (!stat) continue;
    visit(stat);
    if (stat.kind !== 'directory') continue;
    const fd = tryOpenAt(directory, name, OPEN_DIRECTORY);
    if (fd === undefined) continue; // a running container removed it
    try {
      walk(fd, context, visit);
    } finally {
      closeFd(fd);
    }
  }
}

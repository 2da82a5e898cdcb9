import { constants, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Inventory } from '../api/inventory.ts';
import { type ByteString, textOf } from '../base/byte-string.ts';
import { closeFd, namesIn, openAt, openDirectory, statAt, tryOpenAt } from '../linux/files.ts';
import { isOpaque, isWhiteout } from '../snapshot/overlay-format.ts';
import { Collector } from './collector.ts';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * What is installed in an image whose layers lie unpacked in `directories`, lowest first, in overlay form. Symlinks are
 * never followed: an image is hostile. Synchronous: for a worker thread.
 */
export function scanDirectories(directories: readonly string[], check: () => void = () => {}): Inventory {
  const collector = new Collector();
  for (const directory of directories) {
    const fd = openDirectory(directory);
    try {
      scanDirectory(fd, '', { collector, check });
    } finally {
      closeFd(fd);
    }
  }
  return collector.finish();
}

interface Scan {
  readonly collector: Collector;
  readonly check: () => void;
}

function scanDirectory(directory: number, path: string, scan: Scan): void {
  const { collector, check } = scan;
  if (isOpaque(directory)) collector.removeBelow(path);
  for (const name of namesIn(directory)) {
    check();
    const stat = statAt(directory, name);
    if (!stat) continue;
    const below = join(path, textOf(name));
    if (stat.kind === 'directory') {
      const fd = tryOpenAt(directory, name, DIRECTORY);
      if (fd === undefined) continue;
      try {
        scanDirectory(fd, below, scan);
      } finally {
        closeFd(fd);
      }
    } else if (isWhiteout(stat)) {
      collector.remove(below);
    } else if (stat.kind === 'file') {
      addFile(directory, name, { path: below, size: stat.size, executable: (stat.mode & 0o111) !== 0 }, scan);
    } else {
      collector.remove(below);
    }
  }
}

function addFile(
  directory: number,
  name: ByteString,
  facts: { path: string; size: number; executable: boolean },
  { collector }: Scan,
): void {
  if (!collector.wants(facts.path, facts)) return collector.remove(facts.path);
  const fd = openAt(directory, name, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    collector.add({
      ...facts,
      peek: (length) => {
        const bytes = Buffer.alloc(length);
        return bytes.subarray(0, readSync(fd, bytes, 0, length, 0));
      },
      content: () => readFileSync(fd), // from its start: peek reads at a position
    });
  } finally {
    closeFd(fd);
  }
}

import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byteString } from '../base/byte-string.ts';
import { type FileStat, openDirectory, closeFd, setTimesAt } from '../linux/files.ts';
import { LowerView } from './lower-view.ts';

/** An empty file or directory that something will be mounted on, or a link that every container has. `path` is absolute, without `..`. */
export type ScaffoldEntry =
  | { readonly path: string; readonly kind: 'file' | 'directory' }
  | { readonly path: string; readonly kind: 'symlink'; readonly target: string };

/**
 * Makes the entries in the new directory `target`, those that the layers below do not have and that no symlink stands in
 * the way of. Directories on the way look like the layers' own. Returns whether there was anything to make.
 */
export function makeScaffold(target: string, lowerDirs: readonly string[], entries: readonly ScaffoldEntry[]): boolean {
  using lower = new LowerView(lowerDirs);
  const made = new Map<string, FileStat | undefined>();
  for (const entry of entries) {
    const parts = entry.path.split('/').filter((part) => part !== '' && part !== '.');
    if (parts.length === 0 || parts.includes('..') || lower.stat(parts.map(byteString))) continue;
    const parents = parts.slice(0, -1).map((_, index) => parts.slice(0, index + 1));
    const below = parents.map((parent) => lower.stat(parent.map(byteString)));
    if (below.some((stat) => stat !== undefined && stat.kind !== 'directory')) continue;
    parents.forEach((parent, index) => {
      const place = join(target, ...parent);
      if (made.has(place)) return;
      makeDirectory(place, below[index]);
      made.set(place, below[index]);
    });
    const place = join(target, ...parts);
    if (made.has(place)) continue;
    if (entry.kind === 'directory') makeDirectory(place, undefined);
    else if (entry.kind === 'symlink') symlinkSync(entry.target, place);
    else makeFile(place);
    made.set(place, undefined);
  }
  for (const [place, stat] of made) if (stat) setDirectoryTime(place, stat.mtime);
  return made.size > 0;
}

function makeDirectory(place: string, like: FileStat | undefined): void {
  mkdirSync(place, { recursive: true });
  chownSync(place, like?.uid ?? 0, like?.gid ?? 0);
  chmodSync(place, like?.mode ?? 0o755);
}

/** The mode that runc gives to what it mounts files on. */
function makeFile(place: string): void {
  writeFileSync(place, '', { flag: 'wx' });
  chmodSync(place, 0o755);
}

function setDirectoryTime(place: string, mtime: bigint): void {
  const fd = openDirectory(place);
  try {
    setTimesAt(fd, '.', mtime);
  } finally {
    closeFd(fd);
  }
}

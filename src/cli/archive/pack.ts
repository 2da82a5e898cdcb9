import fs from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { tarHeader } from '../../content/tar/header.ts';
import type { TarSource } from '../../content/tar/writer.ts';

export interface PackOptions {
  /** The name of the root in the archive; `.` for its contents alone. */
  readonly name: string;
  /** Left out, with all below unless `enter` says otherwise. Paths are relative to the root, with `/`. */
  readonly excluded?: (path: string, isDirectory: () => boolean) => boolean;
  /** Whether an excluded directory may hold something that is not. */
  readonly enter?: (path: string) => boolean;
  /** Written instead of the files' own. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/**
 * The entries of a file or of a directory with all below it, in a fixed order, symlinks as they are. A file that shrinks
 * or grows while it is read is cut or filled to the size it had.
 */
export async function* packTree(root: string, options: PackOptions): AsyncGenerator<TarSource, void, void> {
  const links = new Map<string, string>();
  const stat = fs.lstatSync(root, { bigint: true });
  const entry = await describe(root, options.name, stat, options, links);
  // A build context has no entry for its own root: the builder's root is not the client's to change.
  if (entry && !(options.name === '.' && options.owner)) yield entry;
  if (stat.isDirectory()) yield* packDirectory(root, '', options, links);
}

async function* packDirectory(
  folder: string,
  path: string,
  options: PackOptions,
  links: Map<string, string>,
): AsyncGenerator<TarSource, void, void> {
  const names = (await readdir(folder)).toSorted();
  for (const name of names) {
    const full = join(folder, name);
    const below = path === '' ? name : `${path}/${name}`;
    const stat = fs.lstatSync(full, { bigint: true, throwIfNoEntry: false });
    if (!stat) continue;
    const excluded = options.excluded?.(below, () => stat.isDirectory()) === true;
    if (excluded && !(stat.isDirectory() && options.enter?.(below) === true)) continue;
    const stored = options.name === '.' ? below : `${options.name}/${below}`;
    if (!excluded) {
      const entry = await describe(full, stored, stat, options, links);
      if (entry) yield entry;
    }
    if (stat.isDirectory()) yield* packDirectory(full, below, options, links);
  }
}

/** Undefined for what cannot be put in an archive: sockets. */
async function describe(
  full: string,
  stored: string,
  stat: fs.BigIntStats,
  options: PackOptions,
  links: Map<string, string>,
): Promise<TarSource | undefined> {
  const name = Buffer.from(stat.isDirectory() ? `${stored}/` : stored).toString('latin1');
  const common = {
    name,
    mode: Number(stat.mode & 0o7777n),
    uid: options.owner?.uid ?? Number(stat.uid),
    gid: options.owner?.gid ?? Number(stat.gid),
    mtime: stat.mtimeNs,
  };
  if (stat.isDirectory()) return { header: tarHeader({ ...common, type: 'directory' }) };
  if (stat.isSymbolicLink()) {
    const target = await readlink(full, { encoding: 'latin1' });
    return { header: tarHeader({ ...common, type: 'symlink', linkName: target }) };
  }
  if (stat.isFIFO()) return { header: tarHeader({ ...common, type: 'fifo' }) };
  if (stat.isCharacterDevice() || stat.isBlockDevice()) {
    const type = stat.isCharacterDevice() ? 'character-device' : 'block-device';
    return { header: tarHeader({ ...common, type, deviceMajor: major(stat.rdev), deviceMinor: minor(stat.rdev) }) };
  }
  if (!stat.isFile()) return undefined;
  if (stat.nlink > 1n) {
    const key = `${stat.dev}:${stat.ino}`;
    const first = links.get(key);
    if (first !== undefined) return { header: tarHeader({ ...common, type: 'hard-link', linkName: first }) };
    links.set(key, name);
  }
  const size = Number(stat.size);
  return { header: tarHeader({ ...common, type: 'file', size }), body: size === 0 ? undefined : contents(full, size) };
}

async function* contents(path: string, size: number): AsyncGenerator<Uint8Array, void, void> {
  let left = size;
  for await (const chunk of fs.createReadStream(path, { highWaterMark: 1 << 20, end: size - 1 })) {
    left -= (chunk as Buffer).length;
    yield chunk as Buffer;
  }
  for (; left > 0; left -= Math.min(left, 1 << 16)) yield Buffer.alloc(Math.min(left, 1 << 16));
}

/** The halves of a device number, as glibc packs them. */
function major(device: bigint): number {
  return Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n));
}

function minor(device: bigint): number {
  return Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n));
}

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { hostname } from 'node:os';

/** A directory as the engine's store of client files wants it told (`ClientEntry` there). */
export interface ClientTree {
  readonly key: string;
  /** sha256 of `manifest`, in hex. */
  readonly tree: string;
  readonly manifest: Uint8Array;
  content(needed: readonly number[]): AsyncGenerator<Uint8Array>;
}

export interface ClientTreeOptions {
  /** Left out, with all below unless `enter` says otherwise. Paths are relative to the root, with `/`. */
  readonly excluded: (path: string, isDirectory: () => boolean) => boolean;
  /** Whether an excluded directory may hold something that is not. */
  readonly enter: (path: string) => boolean;
  /** Distinguishes several selections of one directory. */
  readonly variant: string;
}

interface Found {
  readonly path: string;
  readonly size: bigint;
  readonly ctime: bigint;
}

const CHUNK = 256 << 10;
const GONE = Buffer.alloc(8, 0xff);

/**
 * Lists a directory. Nothing is read but names and what the kernel knows of them; a stamp of inode and change time tells
 * whether a file is still what it was, however its own time was set.
 */
export function listClientTree(root: string, options: ClientTreeOptions): ClientTree {
  const lines: string[] = [];
  const files: Found[] = [];
  const walk = (folder: string, below: string, ascii: boolean): void => {
    for (const name of fs.readdirSync(ascii ? folder : Buffer.from(folder, 'latin1'), 'latin1').sort()) {
      const full = `${folder}/${name}`;
      const path = below === '' ? name : `${below}/${name}`;
      const bytes = ascii && isAscii(name) ? full : Buffer.from(full, 'latin1');
      const shown = typeof bytes === 'string' ? path : Buffer.from(path, 'latin1').toString();
      let known: fs.BigIntStats | undefined;
      const look = (): fs.BigIntStats | undefined =>
        (known ??= fs.lstatSync(bytes, { bigint: true, throwIfNoEntry: false }));
      const excluded = options.excluded(shown, () => look()?.isDirectory() === true);
      if (excluded && !options.enter(shown)) continue;
      const stat = look();
      if (!stat || (excluded && !stat.isDirectory())) continue;
      if (stat.isDirectory()) {
        const at = lines.length;
        if (!excluded) push(path, stat, '');
        const count = lines.length;
        walk(full, path, typeof bytes === 'string');
        // A directory that is left out is there all the same when something in it is not.
        if (excluded && lines.length > count) insert(at, path, stat);
      } else if (stat.isFile()) push(path, stat, `${stat.ino} ${stat.ctimeNs}`);
      else if (stat.isSymbolicLink()) push(path, stat, `${stat.ino}`, fs.readlinkSync(bytes, 'latin1'));
      else if (stat.isFIFO()) push(path, stat, '');
    }
  };
  const entry = (path: string, stat: fs.BigIntStats, stamp: string, link?: string): string =>
    `[${JSON.stringify(path)},${stat.mode},${stat.isFile() ? stat.size : 0},"${stat.mtimeNs}","${stamp}"${link === undefined ? '' : `,${JSON.stringify(link)}`}]`;
  const push = (path: string, stat: fs.BigIntStats, stamp: string, link?: string): void => {
    files.push({ path, size: stat.size, ctime: stat.ctimeNs });
    lines.push(entry(path, stat, stamp, link));
  };
  const insert = (at: number, path: string, stat: fs.BigIntStats): void => {
    files.splice(at, 0, { path, size: stat.size, ctime: stat.ctimeNs });
    lines.splice(at, 0, entry(path, stat, ''));
  };
  const top = Buffer.from(root).toString('latin1');
  walk(top, '', isAscii(top));
  const manifest = Buffer.from(`[${lines.join(',')}]`);
  const place = `${hostname()}\n${fs.realpathSync(root)}\n${process.getuid?.() ?? 0}\n${options.variant}`;
  return {
    key: createHash('sha256').update(place).digest('hex'),
    tree: createHash('sha256').update(manifest).digest('hex'),
    manifest,
    content: (needed) => frames(root, files, needed),
  };
}

/** Small files share a chunk; large ones come in their own. */
async function* frames(root: string, files: readonly Found[], needed: readonly number[]): AsyncGenerator<Uint8Array> {
  const above = root.endsWith('/') ? root : `${root}/`;
  let chunk = Buffer.allocUnsafe(CHUNK);
  let used = 0;
  for (const index of needed) {
    const found = files[index];
    if (!found) throw new Error(`the engine asks for a file that was not listed: ${index}`);
    const file = open(above, found.path);
    try {
      const whole = file === undefined ? 0 : wholeFrame(file, { found, index, chunk, used });
      if (whole > 0) {
        used = whole;
        continue;
      }
      if (used + 64 > CHUNK) {
        yield chunk.subarray(0, used);
        [chunk, used] = [Buffer.allocUnsafe(CHUNK), 0];
      }
      const stat = file === undefined ? undefined : fs.fstatSync(file, { bigint: true });
      used = chunk.writeUInt32BE(index, used);
      if (file === undefined || stat?.isFile() !== true) {
        used += GONE.copy(chunk, used);
        continue;
      }
      used = chunk.writeBigUInt64BE(stat.size, used);
      let position = 0;
      const size = Number(stat.size);
      while (position < size) {
        if (used === CHUNK) {
          yield chunk;
          [chunk, used] = [Buffer.allocUnsafe(CHUNK), 0];
        }
        const room = Math.min(size - position, CHUNK - used);
        let count = fs.readSync(file, chunk, used, room, position);
        // It was cut while it was read: the rest is nothing, and the engine is told.
        if (count === 0) {
          chunk.fill(0, used, used + room);
          count = room;
        }
        used += count;
        position += count;
      }
      if (used === CHUNK) {
        yield chunk;
        [chunk, used] = [Buffer.allocUnsafe(CHUNK), 0];
      }
      used = chunk.writeUInt8(isSteady(file, found) ? 0 : 1, used);
    } finally {
      if (file !== undefined) fs.closeSync(file);
    }
  }
  if (used > 0) yield chunk.subarray(0, used);
}

const HEAD = 12;

/**
 * Writes the frame of a file that is as it was listed and has room in the chunk; gives where it ends. 0, with nothing said,
 * for all others.
 */
function wholeFrame(
  file: number,
  {
    found,
    index,
    chunk,
    used,
  }: { readonly found: Found; readonly index: number; readonly chunk: Buffer; readonly used: number },
): number {
  const size = Number(found.size);
  const start = used + HEAD;
  if (start + size + 1 > CHUNK) return 0;
  for (let end = start; end < start + size;) {
    const count = read(file, chunk, end, start + size - end);
    if (count === 0) return 0;
    end += count;
  }
  // That there is no more, and that it is a file at all, is in what it is now.
  if (!isSteady(file, found)) return 0;
  chunk.writeUInt32BE(index, used);
  chunk.writeBigUInt64BE(found.size, used + 4);
  return chunk.writeUInt8(0, start + size);
}
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;

/** `path` in bytes, below `root`, which ends with a slash. */
function open(root: string, path: string): number | undefined {
  try {
    const full = isAscii(path) ? root + path : Buffer.concat([Buffer.from(root), Buffer.from(path, 'latin1')]);
    return fs.openSync(full, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined;
    throw error;
  }
}

/** As many bytes as come; none where nothing can be read, for which a second look has the reason. */
function read(file: number, into: Buffer, at: number, most: number): number {
  try {
    return fs.readSync(file, into, at, most, null);
  } catch {
    return 0;
  }
}

/** Whether what was read is what was listed. */
function isSteady(file: number, { ctime, size }: Found): boolean {
  const now = fs.fstatSync(file, { bigint: true });
  return now.ctimeNs === ctime && now.size === size && now.isFile() && !isFresh(now.ctimeNs);
}

/** The clock of change times is coarse: one more change in the same tick would not be seen. */
function isFresh(ctime: bigint): boolean {
  return BigInt(Date.now()) * 1_000_000n - ctime < 20_000_000n;
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

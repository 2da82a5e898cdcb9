import { constants } from 'node:fs';
import type { ByteString } from '../../../base/byte-string.ts';
import { EngineError } from '../../../base/errors.ts';

/**
 * One object of a client's directory, as the client describes it. `mode` has the type (`S_IFMT`) in it, `mtime` is in
 * nanoseconds, `stamp` is whatever changes when the content does (inode and change time): the engine only compares it, an
 * empty one never equals. Links have their target.
 */
export type ClientEntry = readonly [
  path: ByteString,
  mode: number,
  size: number,
  mtime: string,
  stamp: string,
  link?: ByteString,
];

/** What the engine keeps of it: with the digest of a file's content, in hex. */
export type StoredEntry = readonly [entry: ClientEntry, digest: string];

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO } = constants;
/** Path names and components beyond these are refused by the kernel as well. */
const MAX_PATH = 4095;
const MAX_NAME = 255;

export function isFile([, mode]: ClientEntry): boolean {
  return (mode & S_IFMT) === S_IFREG;
}

export function isDirectory([, mode]: ClientEntry): boolean {
  return (mode & S_IFMT) === S_IFDIR;
}

export function isSymlink([, mode]: ClientEntry): boolean {
  return (mode & S_IFMT) === S_IFLNK;
}

/** Whether the object can stay as it is: for a file, whether its content need not be sent. */
export function isSame(before: ClientEntry, now: ClientEntry): boolean {
  return (
    before[1] === now[1] &&
    before[2] === now[2] &&
    before[3] === now[3] &&
    before[4] === now[4] &&
    before[4] !== '' &&
    before[5] === now[5]
  );
}

/** The entry as one that nothing equals: it is there, but not what the client has. */
export function unstamped([path, mode, size, mtime, , link]: ClientEntry): ClientEntry {
  return link === undefined ? [path, mode, size, mtime, ''] : [path, mode, size, mtime, '', link];
}

/**
 * Reads a manifest: a JSON array of entries, parents in front of what is in them. Throws `invalid-argument` for a path that
 * leads anywhere else than below its directory, whatever the client is.
 */
export function readManifest(text: string): ClientEntry[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fail(`it is no JSON: ${(error as Error).message}`, error);
  }
  if (!Array.isArray(value)) throw fail('it is no list');
  const entries = value as unknown[];
  const directories = new Set<ByteString>(['']);
  const seen = new Set<ByteString>();
  for (const entry of entries) {
    if (!isEntry(entry)) throw fail(`${JSON.stringify(entry).slice(0, 200)} is no entry`);
    const [path] = entry;
    checkPath(path);
    if (seen.has(path)) throw fail(`${JSON.stringify(path)} is there twice`);
    seen.add(path);
    const above = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (!directories.has(above)) throw fail(`${JSON.stringify(path)} is in no directory`);
    if (isDirectory(entry)) directories.add(path);
  }
  return entries as ClientEntry[];
}

function isEntry(value: unknown): value is ClientEntry {
  if (!Array.isArray(value)) return false;
  const [path, mode, size, mtime, stamp, link] = value as unknown[];
  if (typeof path !== 'string' || typeof mode !== 'number' || typeof size !== 'number') return false;
  if (typeof mtime !== 'string' || !/^-?\d{1,19}$/.test(mtime) || typeof stamp !== 'string') return false;
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o177777 || !Number.isSafeInteger(size) || size < 0) return false;
  const type = mode & S_IFMT;
  if (type === S_IFLNK) return typeof link === 'string' && link !== '' && isBytes(link) && link.length <= MAX_PATH;
  return link === undefined && (type === S_IFREG || type === S_IFDIR || type === S_IFIFO);
}

function checkPath(path: ByteString): void {
  const bad =
    !isBytes(path) ||
    path.length > MAX_PATH ||
    path.split('/').some((part) => part === '' || part === '.' || part === '..' || part.length > MAX_NAME);
  if (bad) throw fail(`${JSON.stringify(path.slice(0, 200))} is no path below the directory`);
}

function isBytes(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0 || code > 0xff) return false;
  }
  return true;
}

function fail(message: string, cause?: unknown): EngineError {
  return new EngineError('invalid-argument', `the client's list of files is not valid: ${message}`, { cause });
}

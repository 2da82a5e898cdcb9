import { constants, fchmodSync, writeSync } from 'node:fs';
import { posix } from 'node:path';
import { byteString, type ByteString, textOf } from '../base/byte-string.ts';
import { EngineError } from '../base/errors.ts';
import {
  changeOwnerAt,
  closeFd,
  type FileStat,
  makeDirectoryAt,
  namesIn,
  O_PATH,
  openAt,
  setTimesAt,
  statAt,
  statFd,
  symlinkAt,
} from '../linux/files.ts';
import { mkdirAllInRoot, openInRoot, openParentInRoot } from '../linux/rooted.ts';
import { removeTreeAt } from '../snapshot/remove-tree.ts';
import { matchName } from './match-name.ts';

interface Made {
  /** Absolute: as a process inside the root sees it. */
  readonly path: string;
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** Nanoseconds since the epoch; undefined is now. */
  readonly time: bigint | undefined;
}

/** One change of a filesystem that needs no other files. */
export type PathChange =
  | (Made & { readonly kind: 'file'; readonly mode: number; readonly data: Uint8Array })
  | (Made & { readonly kind: 'directory'; readonly mode: number; readonly parents: boolean })
  | (Made & { readonly kind: 'symlink'; readonly target: string })
  /** Of a directory that is there. */
  | (Made & { readonly kind: 'attributes'; readonly mode: number })
  | {
      readonly kind: 'remove';
      readonly path: string;
      readonly allowMissing: boolean;
      /** Its components are patterns. */
      readonly wildcard: boolean;
    };

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Makes a change below `root`: links of it never lead out. A file that is there is written over, a directory that is there
 * stays as it is. Throws `not-found` and `invalid-argument` with the path. Synchronous, for workers.
 */
export function changePath(root: string, change: PathChange, check: () => void): void {
  try {
    apply(root, change, check);
  } catch (error) {
    const { code } = error as { code?: string };
    if (error instanceof EngineError || code === undefined) throw error;
    const verb = { file: 'open', directory: 'mkdir', symlink: 'symlink', attributes: 'chmod', remove: 'remove' };
    throw new EngineError(
      code === 'ENOENT' ? 'not-found' : 'invalid-argument',
      `${verb[change.kind]} ${change.path}: ${WORDS[code] ?? code}`,
      { cause: error },
    );
  }
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EEXIST: 'file exists',
  ENOTDIR: 'not a directory',
  EISDIR: 'is a directory',
  ELOOP: 'too many levels of symbolic links',
};

function apply(root: string, change: PathChange, check: () => void): void {
  switch (change.kind) {
    case 'file':
      return writeFile(root, change);
    case 'directory':
      return makeDirectory(root, change);
    case 'symlink':
      return at(root, change.path, (dir, name) => {
        symlinkAt(byteString(change.target), dir, name);
        dress(dir, name, change);
      });
    case 'attributes': {
      const fd = openInRoot(root, change.path, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        fchmodSync(fd, change.mode);
        dress(fd, '.', change);
      } finally {
        closeFd(fd);
      }
      return;
    }
    case 'remove':
      return remove(root, change, check);
  }
}

function writeFile(root: string, change: Extract<PathChange, { kind: 'file' }>): void {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NONBLOCK } = constants;
  // Where a link leads that is there: what is written is the file behind it, and never a device.
  const before = kindOf(root, change.path);
  if (before !== undefined && before !== 'file')
    throw new EngineError('invalid-argument', `open ${change.path}: it is a ${before}`);
  const isNew = before === undefined;
  const fd = openInRoot(root, change.path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, change.mode);
  try {
    for (let done = 0; done < change.data.length;) done += writeSync(fd, change.data, done);
    if (isNew) fchmodSync(fd, change.mode);
  } finally {
    closeFd(fd);
  }
  at(root, change.path, (dir, name) => {
    if (statAt(dir, name)?.kind === 'file') dress(dir, name, change);
  });
}

function makeDirectory(root: string, change: Extract<PathChange, { kind: 'directory' }>): void {
  const { path, mode, owner, parents } = change;
  if (!parents) {
    at(root, path, (dir, name) => {
      if (statAt(dir, name)) return;
      makeDirectoryAt(dir, name, mode);
      const fd = openAt(dir, name, DIRECTORY);
      try {
        fchmodSync(fd, mode);
      } finally {
        closeFd(fd);
      }
      dress(dir, name, change);
    });
    return;
  }
  const missing: string[] = [];
  for (let one = posix.resolve('/', path); one !== '/' && kindOf(root, one) === undefined; one = posix.dirname(one))
    missing.push(one);
  mkdirAllInRoot(root, path, { ...owner, mode });
  // The lowest first: making something in a directory changes its time.
  if (change.time !== undefined) for (const one of missing) at(root, one, (dir, name) => dress(dir, name, change));
}

function remove(
  root: string,
  { path, allowMissing, wildcard }: Extract<PathChange, { kind: 'remove' }>,
  check: () => void,
): void {
  const parts = posix
    .resolve('/', path)
    .split('/')
    .filter((part) => part !== '');
  if (parts.length === 0) throw new EngineError('invalid-argument', 'the root of a filesystem cannot be removed');
  const removeOne = (one: string): void =>
    at(root, one, (dir, name) => {
      if (!statAt(dir, name) && !allowMissing)
        throw new EngineError('not-found', `stat ${one}: no such file or directory`);
      removeTreeAt(dir, name, check);
    });
  for (const one of wildcard ? matching(root, parts) : [`/${parts.join('/')}`]) {
    check();
    try {
      removeOne(one);
    } catch (error) {
      if (allowMissing && ['ENOENT', 'ENOTDIR'].includes((error as { code?: string }).code ?? '')) continue;
      throw error;
    }
  }
}

/** Paths whose components match the patterns; links on the way are followed inside the root. */
function matching(root: string, patterns: readonly string[]): string[] {
  let found = [''];
  for (const pattern of patterns) {
    const next: string[] = [];
    for (const path of found) {
      let fd: number;
      try {
        fd = openInRoot(root, path === '' ? '/' : path, constants.O_RDONLY | constants.O_DIRECTORY);
      } catch {
        continue;
      }
      try {
        for (const name of namesIn(fd)) if (matchName(pattern, textOf(name))) next.push(`${path}/${textOf(name)}`);
      } finally {
        closeFd(fd);
      }
    }
    found = next;
  }
  return found;
}

function dress(dir: number, name: ByteString, { owner, time }: Pick<Made, 'owner' | 'time'>): void {
  if (owner) changeOwnerAt(dir, name, owner.uid, owner.gid);
  if (time !== undefined) setTimesAt(dir, name, time);
}

function at(root: string, path: string, use: (dir: number, name: ByteString) => void): void {
  const { fd, name } = openParentInRoot(root, path);
  try {
    use(fd, byteString(name));
  } finally {
    closeFd(fd);
  }
}

/** Of what the path leads to; undefined when there is nothing. */
function kindOf(root: string, path: string): FileStat['kind'] | undefined {
  let fd: number;
  try {
    fd = openInRoot(root, path, O_PATH);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as { code?: string }).code ?? '')) return undefined;
    throw error;
  }
  try {
    return statFd(fd).kind;
  } finally {
    closeFd(fd);
  }
}

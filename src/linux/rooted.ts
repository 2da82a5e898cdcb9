import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  readlinkSync,
  type BigIntStats,
} from 'node:fs';
import { EngineError } from '../base/errors.ts';
import { closeFd, O_CLOEXEC, O_PATH } from './files.ts';
import { bind, check, errnoName, lastErrno, SystemCallError } from './libc.ts';

/**
 * Paths inside a root directory that somebody hostile filled: a container's root, a volume, an unpacked image.
 *
 * Every path is taken as the process inside would take it: `/` is the root directory, `..` stops there, and symlinks,
 * absolute ones too, never lead out. The kernel does it by `openat2(RESOLVE_IN_ROOT)`; where that call is missing or
 * filtered, a walk by file descriptors does the same, one component at a time. Failures are `SystemCallError` (`code` is
 * `ENOENT`, `ELOOP`, …).
 */

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const RESOLVE_NO_MAGICLINKS = 0x02n;
const RESOLVE_IN_ROOT = 0x10n;
/** As the kernel's own limit. */
const MAX_SYMLINKS = 40;

const openat = bind<(dir: number, path: string, flags: number, mode: number) => number>(
  'int openat(int dir, const char *path, int flags, unsigned int mode)',
);
const mkdirat = bind<(dir: number, path: string, mode: number) => number>(
  'int mkdirat(int dir, const char *path, unsigned int mode)',
);
const fchownat = bind<(dir: number, path: string, uid: number, gid: number, flags: number) => number>(
  'int fchownat(int dir, const char *path, unsigned int uid, unsigned int gid, int flags)',
);
const openat2 = bind<(call: number, dir: number, path: string, how: Buffer, size: number) => number>(
  'long syscall(long call, int dir, const char *path, void *how, size_t size)',
);
const SYS_OPENAT2 = 437;

export interface RootedOptions {
  /** Off takes the walk even where the kernel has `openat2`: for tests. */
  readonly openat2?: boolean;
}

/**
 * Opens `path` below `rootDir` as `open(2)` would inside. The descriptor is close-on-exec, and the caller's to close: by
 * `closeFd` in worker threads, where Node keeps account of those that it opened itself.
 */
export function openInRoot(
  rootDir: string,
  path: string,
  flags: number,
  mode = 0o666,
  options: RootedOptions = {},
): number {
  checkPath(path);
  const root = openRoot(rootDir);
  try {
    if (options.openat2 !== false && kernelHasOpenat2(root)) return openByKernel(root, path, flags, mode);
    return openByWalk(root, path, flags, mode);
  } finally {
    closeFd(root);
  }
}

/**
 * The content of a regular file of at most `maxBytes` (10 MiB). Throws `ENOENT` and the like, `invalid-argument` when it
 * is not a regular file (nothing but its name is touched then), `too-large`.
 */
export function readFileInRoot(rootDir: string, path: string, options: { maxBytes?: number } = {}): Buffer {
  const maxBytes = options.maxBytes ?? 10 * 1024 * 1024;
  const found = openInRoot(rootDir, path, O_PATH);
  let file: number;
  try {
    if (!fstatSync(found).isFile()) throw new EngineError('invalid-argument', `${path} is not a regular file`);
    file = openSync(`/proc/self/fd/${found}`, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  } finally {
    closeFd(found);
  }
  try {
    // the size that stat tells may be 0 (procfs) or grow: what counts is what is read
    const chunks: Buffer[] = [];
    let total = 0;
    for (;;) {
      const chunk = Buffer.allocUnsafe(64 * 1024);
      const count = readSync(file, chunk, 0, chunk.length, null);
      if (count === 0) return Buffer.concat(chunks, total);
      total += count;
      if (total > maxBytes) throw new EngineError('too-large', `${path} is larger than ${maxBytes} bytes`);
      chunks.push(chunk.subarray(0, count));
    }
  } finally {
    closeSync(file);
  }
}

/** `stat(2)`, or `lstat(2)` with `follow: false`. Throws `ENOENT` and the like. */
export function statInRoot(rootDir: string, path: string, options: { follow?: boolean } = {}): BigIntStats {
  const found = openInRoot(rootDir, path, options.follow === false ? O_PATH | O_NOFOLLOW : O_PATH);
  try {
    return fstatSync(found, { bigint: true });
  } finally {
    closeFd(found);
  }
}

/**
 * `path` without symlinks, `.` and `..`, absolute as seen from inside. What does not exist stays as written, so the
 * result names where it would be made. Valid as long as nobody moves anything meanwhile: to act on a file of a running
 * container, open it.
 */
export function resolveInRoot(rootDir: string, path: string): string {
  checkPath(path);
  using place = walk(openRoot(rootDir), path, { follow: true });
  return '/' + [...place.names, ...place.missing].join('/');
}

/**
 * Makes the directory and its missing parents, each new one with owner and mode (umask does not count). Existing ones are
 * left as they are. Returns the canonical path inside. Throws `ENOTDIR` when something else is in the way.
 */
export function mkdirAllInRoot(
  rootDir: string,
  path: string,
  options: { uid?: number; gid?: number; mode?: number } = {},
): string {
  checkPath(path);
  const mode = options.mode ?? 0o755;
  using place = walk(openRoot(rootDir), path, { follow: true });
  for (;;) {
    const name = place.missing.shift();
    if (name === undefined) break;
    const made = mkdirat(place.fd, name, mode);
    if (made < 0 && errnoName(lastErrno()) !== 'EEXIST') check(made, 'mkdirat', path);
    const directory = check(
      openat(place.fd, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC, 0),
      'openat',
      `${path} in ${rootDir}`,
    );
    place.push(directory, name);
    if (made < 0) continue;
    if (options.uid !== undefined || options.gid !== undefined) {
      check(fchownat(directory, '', options.uid ?? 0, options.gid ?? 0, AT_EMPTY_PATH), 'fchownat', path);
    }
    chmodSync(`/proc/self/fd/${directory}`, mode);
  }
  if (!fstatSync(place.fd).isDirectory()) throw failure('mkdir', 'ENOTDIR', path);
  return '/' + place.names.join('/');
}

/** The directory that holds (or would hold) the last component, and that component's name; `name` is `.` for the root itself. The last component is not followed. */
export function openParentInRoot(rootDir: string, path: string): { fd: number; name: string } {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  const last = parts.pop();
  if (last === undefined || last === '..') return { fd: openInRoot(rootDir, path, O_PATH | O_DIRECTORY), name: '.' };
  return { fd: openInRoot(rootDir, '/' + parts.join('/'), O_PATH | O_DIRECTORY), name: last };
}

function openRoot(rootDir: string): number {
  return check(openat(AT_FDCWD, rootDir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0), 'open', rootDir);
}

function checkPath(path: string): void {
  // libc would cut the path there and act on another file
  if (path.includes('\0')) throw new EngineError('invalid-argument', 'a path may not contain a NUL byte');
}

let openat2Works: boolean | undefined;

function kernelHasOpenat2(root: number): boolean {
  if (openat2Works === undefined) {
    const how = openHow(O_PATH | O_CLOEXEC, 0);
    const fd = openat2(SYS_OPENAT2, root, '.', how, how.length);
    if (fd >= 0) closeFd(fd);
    openat2Works = fd >= 0;
  }
  return openat2Works;
}

function openByKernel(root: number, path: string, flags: number, mode: number): number {
  // openat2 refuses a mode that open(2) ignores
  const how = openHow(flags | O_CLOEXEC, (flags & O_CREAT) === 0 ? 0 : mode);
  for (let attempt = 0; ; attempt++) {
    const fd = openat2(SYS_OPENAT2, root, path === '' ? '.' : path, how, how.length);
    if (fd >= 0) return fd;
    // a rename or mount anywhere on the host while `..` was walked: the kernel cannot promise, so it asks to try again
    if (errnoName(lastErrno()) !== 'EAGAIN' || attempt >= 32) return check(fd, 'openat2', path);
  }
}

function openHow(flags: number, mode: number): Buffer {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags), 0);
  how.writeBigUInt64LE(BigInt(mode), 8);
  how.writeBigUInt64LE(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, 16);
  return how;
}

function openByWalk(root: number, path: string, flags: number, mode: number): number {
  const follow = (flags & O_NOFOLLOW) === 0 && (flags & (O_CREAT | O_EXCL)) !== (O_CREAT | O_EXCL);
  using place = walk(check(openat(root, '.', O_PATH | O_CLOEXEC, 0), 'openat'), path, { follow, asFile: true });
  if (!place.complete && (place.missing.length !== 1 || (flags & O_CREAT) === 0)) {
    throw failure('openat', 'ENOENT', path);
  }
  const name = place.missing[0] ?? place.last;
  const directory = place.missing.length === 1 || name === '.' ? place.fd : place.parent;
  return check(openat(directory, name, flags | O_NOFOLLOW | O_CLOEXEC, mode), 'openat', path);
}

/** Where a walk stands: the descriptors from the root down to here, and what is left that does not exist. */
class Place implements Disposable {
  readonly names: string[] = [];
  readonly missing: string[] = [];
  /** False once a component did not exist, even when `..` led back. */
  complete = true;
  readonly #stack: number[];

  constructor(root: number) {
    this.#stack = [root];
  }

  get fd(): number {
    return this.#stack.at(-1)!;
  }

  get parent(): number {
    return this.#stack.at(-2) ?? this.#stack[0]!;
  }

  get last(): string {
    return this.names.at(-1) ?? '.';
  }

  push(fd: number, name: string): void {
    this.#stack.push(fd);
    this.names.push(name);
  }

  /** `..`: back to the descriptor we came from, whatever became of the directory since; never above the root. */
  pop(): void {
    if (this.#stack.length === 1) return;
    closeFd(this.#stack.pop()!);
    this.names.pop();
  }

  toRoot(): void {
    while (this.#stack.length > 1) this.pop();
  }

  [Symbol.dispose](): void {
    for (const fd of this.#stack.splice(0)) closeFd(fd);
  }
}

/** Takes over `root`. */
function walk(root: number, path: string, options: { follow: boolean; asFile?: boolean }): Place {
  const place = new Place(root);
  try {
    const rest = split(path);
    let links = 0;
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      if (place.missing.length > 0) {
        if (name === '..') place.missing.pop();
        else place.missing.push(name);
        continue;
      }
      if (name === '..') {
        if (!fstatSync(place.fd).isDirectory()) throw failure('openat', 'ENOTDIR', path);
        place.pop();
        continue;
      }
      const fd = openat(place.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
      if (fd < 0) {
        if (errnoName(lastErrno()) !== 'ENOENT') check(fd, 'openat', path);
        // what follows a directory that does not exist can only be taken by the letter
        place.missing.push(name);
        place.complete = false;
        continue;
      }
      if (!fstatSync(fd).isSymbolicLink() || (rest.length === 0 && !options.follow)) {
        place.push(fd, name);
        continue;
      }
      let target: string;
      try {
        target = readlinkSync(`/proc/self/fd/${place.fd}/${name}`);
      } finally {
        closeFd(fd);
      }
      if (++links > MAX_SYMLINKS) throw failure('openat', 'ELOOP', path);
      if (target.startsWith('/')) place.toRoot();
      rest.unshift(...split(target));
    }
    if (path.endsWith('/') && options.asFile === true && !fstatSync(place.fd).isDirectory()) {
      throw failure('openat', 'ENOTDIR', path);
    }
    return place;
  } catch (error) {
    place[Symbol.dispose]();
    throw error;
  }
}

function split(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function failure(syscall: string, code: keyof typeof ERRNO, what: string): SystemCallError {
  return new SystemCallError(syscall, ERRNO[code], what);
}

const ERRNO = { ENOENT: 2, ENOTDIR: 20, ELOOP: 40 } as const;

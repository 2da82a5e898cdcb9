import { closeSync, constants, openSync, readdirSync } from 'node:fs';
import { constants as system } from 'node:os';
import type { ByteString } from '../base/byte-string.ts';
import { bind, bindAside, check, lastErrno, SystemCallError } from './libc.ts';

/**
 * Files by directory descriptor and single name, synchronously: what walks that must never follow a foreign symlink are
 * made of. Meant for worker threads. Names are byte strings; all functions throw `SystemCallError` unless they say otherwise.
 */

export const O_PATH = 0o10000000;
export const O_CLOEXEC = 0o2000000;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;
const SYNC_FILE_RANGE_WRITE = 2;
const STATX_BASIC_STATS = 0x7ff;

const openat = bind<(dir: number, name: Buffer, flags: number, mode: number) => number>(
  'int openat(int dir, const uint8_t *name, int flags, unsigned int mode)',
);
const close = bind<(fd: number) => number>('int close(int fd)');
const mkdirat = bind<(dir: number, name: Buffer, mode: number) => number>(
  'int mkdirat(int dir, const uint8_t *name, unsigned int mode)',
);
const mknodat = bind<(dir: number, name: Buffer, mode: number, device: bigint) => number>(
  'int mknodat(int dir, const uint8_t *name, unsigned int mode, uint64_t device)',
);
const symlinkat = bind<(target: Buffer, dir: number, name: Buffer) => number>(
  'int symlinkat(const uint8_t *target, int dir, const uint8_t *name)',
);
const linkat = bind<(from: number, fromName: Buffer, to: number, toName: Buffer, flags: number) => number>(
  'int linkat(int from, const uint8_t *fromName, int to, const uint8_t *toName, int flags)',
);
const unlinkat = bind<(dir: number, name: Buffer, flags: number) => number>(
  'int unlinkat(int dir, const uint8_t *name, int flags)',
);
const renameat = bind<(from: number, fromName: Buffer, to: number, toName: Buffer) => number>(
  'int renameat(int from, const uint8_t *fromName, int to, const uint8_t *toName)',
);
const readlinkat = bind<(dir: number, name: Buffer, buffer: Buffer, size: number) => number>(
  'long readlinkat(int dir, const uint8_t *name, uint8_t *buffer, size_t size)',
);
const fchownat = bind<(dir: number, name: Buffer, uid: number, gid: number, flags: number) => number>(
  'int fchownat(int dir, const uint8_t *name, unsigned int uid, unsigned int gid, int flags)',
);
const utimensat = bind<(dir: number, name: Buffer, times: Buffer, flags: number) => number>(
  'int utimensat(int dir, const uint8_t *name, const uint8_t *times, int flags)',
);
const futimens = bind<(fd: number, times: Buffer) => number>('int futimens(int fd, const uint8_t *times)');
const statx = bind<(dir: number, name: Buffer, flags: number, mask: number, result: Buffer) => number>(
  'int statx(int dir, const uint8_t *name, int flags, unsigned int mask, uint8_t *result)',
);
const ioctl = bind<(fd: number, request: number, argument: Int32Array) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);
const syncFileRangeAside = bindAside<[fd: number, offset: number, length: number, flags: number]>(
  'int sync_file_range(int fd, long offset, long length, unsigned int flags)',
);
const syncfs = bind<(fd: number) => number>('int syncfs(int fd)');
const syncfsAside = bindAside<[fd: number]>('int syncfs(int fd)');

export type FileKind = 'file' | 'directory' | 'symlink' | 'character-device' | 'block-device' | 'fifo' | 'socket';

export interface FileStat {
  readonly kind: FileKind;
  /** The twelve permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** Allocated, in units of 512 bytes. */
  readonly blocks: number;
  readonly links: number;
  readonly inode: bigint;
  /** Of the filesystem it is on, major and minor in one. */
  readonly device: bigint;
  /** Of the device it stands for. */
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Nanoseconds since the epoch. */
  readonly mtime: bigint;
}

const KINDS: Readonly<Record<number, FileKind>> = {
  0o100000: 'file',
  0o040000: 'directory',
  0o120000: 'symlink',
  0o020000: 'character-device',
  0o060000: 'block-device',
  0o010000: 'fifo',
  0o140000: 'socket',
};

/** Opens `name` in the directory `dir` (undefined: an absolute path). Close-on-exec always. */
export function openAt(dir: number | undefined, name: ByteString, flags: number, mode = 0): number {
  return check(openat(dir ?? AT_FDCWD, cString(name), flags | O_CLOEXEC, mode), 'openat', name);
}

/** As `openAt`; undefined when there is nothing of this name, or (with O_NOFOLLOW, O_DIRECTORY) something else than expected. */
export function tryOpenAt(dir: number, name: ByteString, flags: number): number | undefined {
  const fd = openat(dir, cString(name), flags | O_CLOEXEC, 0);
  if (fd >= 0) return fd;
  const error = new SystemCallError('openat', lastErrno(), name);
  if (GONE.has(error.code)) return undefined;
  throw error;
}

/** As `openAt` with O_CREAT and O_EXCL; undefined when there is something of this name. */
export function tryCreateAt(dir: number, name: ByteString, flags: number, mode: number): number | undefined {
  const fd = openat(dir, cString(name), flags | O_CLOEXEC, mode);
  if (fd >= 0) return fd;
  const error = new SystemCallError('openat', lastErrno(), name);
  if (error.code === 'EEXIST') return undefined;
  throw error;
}

const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO']);

/** A directory to walk from; symlinks in `path` itself are followed, it is the caller's. */
export function openDirectory(path: string): number {
  return openAt(undefined, Buffer.from(path).toString('latin1'), constants.O_RDONLY | constants.O_DIRECTORY);
}

/** Never throws. */
export function closeFd(fd: number): void {
  close(fd);
}

export function makeDirectoryAt(dir: number, name: ByteString, mode: number): void {
  check(mkdirat(dir, cString(name), mode), 'mkdirat', name);
}

/** A device or a FIFO. */
export function makeNodeAt(
  dir: number,
  name: ByteString,
  kind: 'character-device' | 'block-device' | 'fifo',
  mode: number,
  device: { readonly major: number; readonly minor: number } = { major: 0, minor: 0 },
): void {
  const type = { 'character-device': 0o020000, 'block-device': 0o060000, fifo: 0o010000 }[kind];
  check(mknodat(dir, cString(name), type | mode, deviceNumber(device.major, device.minor)), 'mknodat', name);
}

export function symlinkAt(target: ByteString, dir: number, name: ByteString): void {
  check(symlinkat(cString(target, 1), dir, cString(name)), 'symlinkat', name);
}

/** A hard link. Symlinks are linked, not followed. */
export function linkAt(fromDir: number, fromName: ByteString, toDir: number, toName: ByteString): void {
  check(linkat(fromDir, cString(fromName, 1), toDir, cString(toName), 0), 'linkat', toName);
}

export function unlinkAt(dir: number, name: ByteString): void {
  check(unlinkat(dir, cString(name), 0), 'unlinkat', name);
}

export function removeDirectoryAt(dir: number, name: ByteString): void {
  check(unlinkat(dir, cString(name), AT_REMOVEDIR), 'unlinkat', name);
}

export function renameAt(fromDir: number, fromName: ByteString, toDir: number, toName: ByteString): void {
  check(renameat(fromDir, cString(fromName, 1), toDir, cString(toName)), 'renameat', fromName);
}

export function readLinkAt(dir: number, name: ByteString): ByteString {
  const target = tryReadLinkAt(dir, name);
  if (target === undefined) throw new SystemCallError('readlinkat', system.errno.EINVAL, name);
  return target;
}

/** As `readLinkAt`; undefined when there is no symlink of this name (any more). */
export function tryReadLinkAt(dir: number, name: ByteString): ByteString | undefined {
  const buffer = Buffer.allocUnsafe(4096);
  const length = readlinkat(dir, cString(name), buffer, buffer.length);
  if (length < 0) {
    const error = new SystemCallError('readlinkat', lastErrno(), name);
    if (error.code === 'EINVAL' || error.code === 'ENOENT') return undefined;
    throw error;
  }
  return buffer.toString('latin1', 0, length);
}

/** Changes the owner of `name` itself, be it a symlink. */
export function changeOwnerAt(dir: number, name: ByteString, uid: number, gid: number): void {
  check(fchownat(dir, cString(name), uid, gid, AT_SYMLINK_NOFOLLOW), 'fchownat', name);
}

/** Sets access and modification time, in nanoseconds since the epoch, of `name` itself. */
export function setTimesAt(dir: number, name: ByteString, mtime: bigint): void {
  check(utimensat(dir, cString(name), timesOf(mtime), AT_SYMLINK_NOFOLLOW), 'utimensat', name);
}

/** As `setTimesAt`, of an open file (not one opened with O_PATH). */
export function setTimes(fd: number, mtime: bigint): void {
  check(futimens(fd, timesOf(mtime)), 'futimens');
}

/** Of `name` itself, be it a symlink; undefined when there is none. */
export function statAt(dir: number, name: ByteString): FileStat | undefined {
  const result = statx(dir, cString(name), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, STAT);
  if (result < 0) {
    const errno = lastErrno();
    if (errno === system.errno.ENOENT) return undefined;
    throw new SystemCallError('statx', errno, name);
  }
  return decodeStat(STAT);
}

/** Whether there is something of this name; a symlink is something. */
export function existsAt(dir: number, name: ByteString): boolean {
  if (statx(dir, cString(name), AT_SYMLINK_NOFOLLOW, 0, STAT) >= 0) return true;
  const errno = lastErrno();
  if (errno === system.errno.ENOENT) return false;
  throw new SystemCallError('statx', errno, name);
}

/** Of an open file, also one opened with O_PATH. */
export function statFd(fd: number): FileStat {
  check(statx(fd, cString(''), AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, STAT), 'statx');
  return decodeStat(STAT);
}

/** Names in an open directory (O_PATH will do), in byte order. */
export function namesIn(dir: number): ByteString[] {
  return (readdirSync(`/proc/self/fd/${dir}`, { encoding: 'latin1' }) as ByteString[]).sort();
}

/**
 * Begins to write a part of a file to the disk, without holding up this thread; resolves when it is on its way, which is
 * not there yet. A hint, so that a later sync finds less to do: where the filesystem cannot, nothing happens. The file must
 * stay open until then.
 */
export async function beginWriteback(fd: number, offset: number, length: number): Promise<void> {
  await syncFileRangeAside(fd, offset, length, SYNC_FILE_RANGE_WRITE);
}

/** Writes everything that waits for the disk on the filesystem of `fd`, and blocks until it is there. */
export function syncFilesystem(fd: number): void {
  check(syncfs(fd), 'syncfs');
}

/**
 * As `syncFilesystem`, without holding up this thread, and without a word when it fails: a later sync of a descriptor that
 * was open before tells that too (syncfs(2)). The file must stay open until then.
 */
export async function beginSync(fd: number): Promise<void> {
  await syncfsAside(fd);
}

/**
 * Tells the filesystem that what is made in this directory has nothing to do with one another (`chattr +T`): each
 * subdirectory gets a place of its own on the disk. A hint: nothing happens where there is no such flag.
 */
export function spreadSubdirectories(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const flags = new Int32Array(2);
    if (ioctl(fd, FS_IOC_GETFLAGS, flags) !== 0) return;
    flags[0]! |= FS_TOPDIR_FL;
    ioctl(fd, FS_IOC_SETFLAGS, flags);
  } finally {
    closeSync(fd);
  }
}

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_TOPDIR_FL = 0x20000;

const SCRATCH = [Buffer.alloc(8192), Buffer.alloc(8192)] as const;
const STAT = Buffer.alloc(256);
const TIMES = Buffer.alloc(32);
// A character past one byte means that somebody passed text where bytes belong.
// eslint-disable-next-line no-control-regex
const NOT_A_NAME = /[\0\u0100-\uffff]/;

/** `text` with a NUL, in memory that the next call with this `slot` overwrites. */
export function cString(text: ByteString, slot: 0 | 1 = 0): Buffer {
  const scratch = SCRATCH[slot];
  if (text.length >= scratch.length || NOT_A_NAME.test(text)) {
    throw new TypeError(`not a name for the kernel: ${JSON.stringify(text.slice(0, 200))}`);
  }
  scratch.write(text, 0, 'latin1');
  scratch[text.length] = 0;
  return scratch;
}

function timesOf(mtime: bigint): Buffer {
  let seconds = mtime / 1_000_000_000n;
  let nanos = mtime % 1_000_000_000n;
  if (nanos < 0n) {
    nanos += 1_000_000_000n;
    seconds -= 1n;
  }
  for (const at of [0, 16]) {
    TIMES.writeBigInt64LE(seconds, at);
    TIMES.writeBigInt64LE(nanos, at + 8);
  }
  return TIMES;
}

/** `struct statx`, the same on every architecture. */
function decodeStat(buffer: Buffer): FileStat {
  const mode = buffer.readUInt16LE(28);
  return {
    kind: KINDS[mode & 0o170000] ?? 'socket',
    mode: mode & 0o7777,
    links: buffer.readUInt32LE(16),
    uid: buffer.readUInt32LE(20),
    gid: buffer.readUInt32LE(24),
    inode: buffer.readBigUInt64LE(32),
    size: Number(buffer.readBigUInt64LE(40)),
    blocks: Number(buffer.readBigUInt64LE(48)),
    mtime: buffer.readBigInt64LE(112) * 1_000_000_000n + BigInt(buffer.readUInt32LE(120)),
    deviceMajor: buffer.readUInt32LE(128),
    deviceMinor: buffer.readUInt32LE(132),
    device: buffer.readBigUInt64LE(136),
  };
}

/** `dev_t` of the C library. */
function deviceNumber(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}

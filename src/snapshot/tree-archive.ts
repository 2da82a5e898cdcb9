import { constants, readSync, statfsSync } from 'node:fs';
import { type ByteString, textOf } from '../base/byte-string.ts';
import { EngineError } from '../base/errors.ts';
import { NO_XATTRS, padding, type TarHeader, tarHeader } from '../content/tar/header.ts';
import { TAR_LIMITS } from '../content/tar/parser.ts';
import { encodeHeader, END_OF_ARCHIVE } from '../content/tar/writer.ts';
import { closeFd, type FileStat, namesIn, tryOpenAt, tryReadLinkAt, statAt, statFd } from '../linux/files.ts';
import { getXattr, listXattrs } from '../linux/xattr.ts';
import type { ComingFile, ComingFiles } from './coming-files.ts';
import { isOpaque, isPortableXattr, isWhiteout, OPAQUE_MARK, WHITEOUT_PREFIX } from './overlay-format.ts';
import type { SettledTimes } from './settled-times.ts';
import { type ShiftedIds, unshifted } from './shifted-ids.ts';

const O_NOATIME = 0o1000000;
/** A FIFO that takes a file's place between two looks must not stall the reader. */
const READ_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | O_NOATIME;
const READ_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | O_NOATIME;
const CHUNK = 256 << 10;
const MAX_DEPTH = 512;

export interface TreeArchiveOptions {
  /** Write overlayfs marks as a layer's whiteouts; otherwise they are what they are. */
  readonly overlay: boolean;
  /** The reader is done with a chunk when it asks for the next one, so one buffer serves for all. */
  readonly reuseChunks?: boolean;
  /** Memory for the next chunk, all of one size: each but the last is filled. */
  readonly takeMemory?: () => Buffer<ArrayBuffer>;
  /** Leave mounted `/proc`, `/sys` and their like empty: what is in them are no files. */
  readonly skipKernelFilesystems?: boolean;
  /** The owners on this filesystem are those of a container's user namespace: the archive has the container's own. */
  readonly ids?: ShiftedIds | undefined;
  /** Set on the disk too, as the walk comes by. */
  readonly times?: SettledTimes | undefined;
  /** With `times`: directories that such files come to are as old as these say. */
  readonly coming?: ComingFiles | undefined;
  /** Called for each name; may throw to stop. */
  readonly check: () => void;
}

/**
 * A tree of files as a tar, chunk by chunk and synchronously. The same tree gives the same bytes: names are in byte order,
 * the first name of a file is the file and further ones are hard links to it, nothing depends on inode numbers, access
 * times or names of users. Sockets are left out. What changes meanwhile is archived as it was at some moment: a file that
 * shrinks is filled up with zeros, one that vanishes before it is opened is left out.
 */
export class TreeArchive {
  readonly #options: TreeArchiveOptions;
  readonly #links = new Map<string, ByteString>();
  #chunk: Buffer<ArrayBuffer>;
  #used = 0;
  #contentBytes = 0;

  constructor(options: TreeArchiveOptions) {
    this.#options = options;
    this.#chunk = this.#memory();
  }

  /** Bytes of files' content archived so far, that of hard links counted once. */
  get contentBytes(): number {
    return this.#contentBytes;
  }

  /** Everything in the open directory, names relative to it; `prefix` (ends with `/`) goes before each. */
  *directory(fd: number, prefix: ByteString = ''): Generator<Uint8Array<ArrayBuffer>> {
    const found = statFd(fd);
    this.#options.times?.settle(fd, '.', found.mtime);
    const stat = this.#directoryStat(found, prefix);
    const xattrs = xattrsOf(fd);
    // Readers take a root for granted; it is written down only when it is not the usual one.
    if (prefix === '' && (stat.mode !== 0o755 || stat.uid !== 0 || stat.gid !== 0 || xattrs.size > 0)) {
      yield* this.#append(encodeHeader(describe('./', 'directory', stat, { xattrs })));
    }
    yield* this.#children(fd, prefix, 0);
  }

  /** The object `name` of the directory `parent`, under the name `as`, with everything below it. */
  *object(parent: number, name: ByteString, as: ByteString): Generator<Uint8Array<ArrayBuffer>> {
    yield* this.#entry(parent, name, as, 0);
  }

  /** The end mark, and what is still to be passed on. */
  *end(): Generator<Uint8Array<ArrayBuffer>> {
    yield* this.#append(END_OF_ARCHIVE);
    if (this.#used > 0) yield this.#take();
  }

  *#children(fd: number, prefix: ByteString, depth: number): Generator<Uint8Array<ArrayBuffer>> {
    if (depth > MAX_DEPTH) {
      throw new EngineError(
        'too-large',
        `directories are nested more than ${MAX_DEPTH} deep: ${textOf(prefix.slice(0, 200))}`,
      );
    }
    const coming = this.#options.coming?.in(prefix);
    if (!coming) {
      for (const name of namesIn(fd)) yield* this.#entry(fd, name, prefix + name, depth);
      return;
    }
    // Of what is put in now a look may have some, and some of it twice.
    for (const name of [...new Set([...namesIn(fd), ...coming.keys()])].sort()) {
      const file = coming.get(name);
      if (file) yield* this.#comingFile(prefix + name, file);
      else yield* this.#entry(fd, name, prefix + name, depth);
    }
  }

  *#entry(parent: number, name: ByteString, path: ByteString, depth: number): Generator<Uint8Array<ArrayBuffer>> {
    this.#options.check();
    const found = statAt(parent, name);
    if (found) this.#options.times?.settle(parent, name, found.mtime);
    const stat = found && this.#stat(found);
    if (!stat || stat.kind === 'socket') return;
    if (this.#options.overlay) {
      checkLength(path);
      if (isWhiteout(stat)) {
        const mark = path.slice(0, path.length - name.length) + WHITEOUT_PREFIX + name;
        return yield* this.#append(encodeHeader(tarHeader({ type: 'file', name: mark, mode: 0o600 })));
      }
    }
    if (stat.kind === 'directory') return yield* this.#directory(parent, name, path, depth);
    if (stat.links > 1) {
      const key = `${stat.device}:${stat.inode}`;
      const first = this.#links.get(key);
      if (first !== undefined) {
        return yield* this.#append(encodeHeader(describe(path, 'hard-link', stat, { linkName: first })));
      }
      this.#links.set(key, path);
    }
    if (stat.kind === 'file') return yield* this.#file(parent, name, path);
    const linkName = stat.kind === 'symlink' ? tryReadLinkAt(parent, name) : '';
    if (linkName === undefined) return;
    this.#contentBytes += linkName.length;
    yield* this.#append(encodeHeader(describe(path, stat.kind, stat, { linkName })));
  }

  *#directory(parent: number, name: ByteString, path: ByteString, depth: number): Generator<Uint8Array<ArrayBuffer>> {
    const fd = tryOpenAt(parent, name, READ_DIRECTORY);
    if (fd === undefined) return;
    try {
      const prefix = path.endsWith('/') ? path : `${path}/`;
      yield* this.#append(
        encodeHeader(describe(prefix, 'directory', this.#directoryStat(statFd(fd), prefix), { xattrs: xattrsOf(fd) })),
      );
      if (this.#options.skipKernelFilesystems && isKernelFilesystem(fd)) return;
      if (this.#options.overlay && isOpaque(fd)) {
        yield* this.#append(encodeHeader(tarHeader({ type: 'file', name: `${prefix}${OPAQUE_MARK}`, mode: 0o600 })));
      }
      yield* this.#children(fd, prefix, depth + 1);
    } finally {
      closeFd(fd);
    }
  }

  *#file(parent: number, name: ByteString, path: ByteString): Generator<Uint8Array<ArrayBuffer>> {
    const fd = tryOpenAt(parent, name, READ_FILE);
    if (fd === undefined) return;
    try {
      const stat = this.#stat(statFd(fd));
      if (stat.kind !== 'file') return;
      yield* this.#append(encodeHeader(describe(path, 'file', stat, { size: stat.size, xattrs: xattrsOf(fd) })));
      yield* this.#content(fd, stat.size);
      this.#contentBytes += stat.size;
    } finally {
      closeFd(fd);
    }
  }

  *#comingFile(path: ByteString, file: ComingFile): Generator<Uint8Array<ArrayBuffer>> {
    this.#options.check();
    checkLength(path);
    const fd = file.open();
    try {
      const xattrs = file.xattrs ? xattrsOf(fd) : NO_XATTRS;
      const { mode, uid, gid, size, mtime } = file;
      const header = encodeHeader(tarHeader({ type: 'file', name: path, mode, uid, gid, size, mtime, xattrs }));
      this.#contentBytes += size;
      if (!this.#atOnce(fd, header, size)) {
        yield* this.#append(header);
        yield* this.#content(fd, size);
      }
    } finally {
      closeFd(fd);
    }
  }

  /** What a small file takes, in one piece; false, with nothing done, where that has no room. */
  #atOnce(fd: number, header: Buffer, size: number): boolean {
    if (this.#used + header.length + size + padding(size) > this.#chunk.length) return false;
    let end = this.#used + header.copy(this.#chunk, this.#used);
    const start = end;
    while (end < start + size) {
      const read = readSync(fd, this.#chunk, end, start + size - end, null);
      if (read === 0) break;
      end += read;
    }
    this.#used = start + size + padding(size);
    // Padding, and what a file lacks that was cut.
    this.#chunk.fill(0, end, this.#used);
    return true;
  }

  *#content(fd: number, size: number): Generator<Uint8Array<ArrayBuffer>> {
    let left = size;
    let ended = false;
    while (left > 0) {
      this.#options.check();
      if (this.#used === this.#chunk.length) yield this.#take();
      const room = Math.min(left, this.#chunk.length - this.#used);
      let length = ended ? 0 : readSync(fd, this.#chunk, this.#used, room, null);
      if (length === 0) {
        ended = true;
        this.#chunk.fill(0, this.#used, this.#used + room);
        length = room;
      }
      this.#used += length;
      left -= length;
    }
    yield* this.#append(END_OF_ARCHIVE.subarray(0, padding(size)));
  }

  *#append(data: Buffer): Generator<Uint8Array<ArrayBuffer>> {
    for (let position = 0; position < data.length;) {
      if (this.#used === this.#chunk.length) yield this.#take();
      const length = data.copy(this.#chunk, this.#used, position);
      this.#used += length;
      position += length;
    }
  }

  #take(): Uint8Array<ArrayBuffer> {
    const full = this.#chunk.subarray(0, this.#used);
    if (!this.#options.reuseChunks) this.#chunk = this.#memory();
    this.#used = 0;
    return full;
  }

  /** With the owners and the time that the archive tells. */
  #stat(stat: FileStat): FileStat {
    const { ids, times } = this.#options;
    const mtime = times ? times.of(stat.mtime) : stat.mtime;
    if (!ids) return mtime === stat.mtime ? stat : { ...stat, mtime };
    return { ...stat, mtime, uid: unshifted(stat.uid, ids.uid), gid: unshifted(stat.gid, ids.gid) };
  }

  /** A directory that something is put into is new. */
  #directoryStat(stat: FileStat, prefix: ByteString): FileStat {
    const { times, coming } = this.#options;
    return times && coming?.in(prefix) ? { ...this.#stat(stat), mtime: times.time } : this.#stat(stat);
  }

  #memory(): Buffer<ArrayBuffer> {
    return this.#options.takeMemory?.() ?? Buffer.allocUnsafeSlow(CHUNK);
  }
}

function checkLength(path: ByteString): void {
  if (path.length <= TAR_LIMITS.path) return;
  throw new EngineError('too-large', `a path is longer than ${TAR_LIMITS.path} bytes: ${textOf(path.slice(0, 200))}…`);
}

function describe(
  name: ByteString,
  type: TarHeader['type'],
  stat: FileStat,
  more: Partial<Pick<TarHeader, 'linkName' | 'size' | 'xattrs'>>,
): TarHeader {
  const { mode, uid, gid, mtime, deviceMajor, deviceMinor } = stat;
  return tarHeader({ type, name, mode, uid, gid, mtime, deviceMajor, deviceMinor, ...more });
}

function xattrsOf(fd: number): ReadonlyMap<ByteString, Uint8Array> {
  const xattrs = new Map<ByteString, Uint8Array>();
  for (const name of listXattrs(fd)) {
    if (!isPortableXattr(name)) continue;
    const value = getXattr(fd, name);
    if (value) xattrs.set(name, value);
  }
  return xattrs;
}

/** `f_type` of statfs(2): proc, sysfs, cgroup, cgroup2, devpts, mqueue, debugfs, tracefs, securityfs, bpf, pstore, efivarfs, configfs. */
const KERNEL_FILESYSTEMS: ReadonlySet<number> = new Set([
  0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x1cd1, 0x19800202, 0x64626720, 0x74726163, 0x73636673, 0xcafe4a11,
  0x6165676c, 0xde5e81e4, 0x62656570,
]);

function isKernelFilesystem(fd: number): boolean {
  return KERNEL_FILESYSTEMS.has(statfsSync(`/proc/self/fd/${fd}`).type);
}

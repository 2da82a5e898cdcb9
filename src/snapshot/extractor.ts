import { type ShiftedIds, shifted } from './shifted-ids.ts';
import { constants, fchmodSync, fchownSync, ftruncateSync, writeSync, chmodSync } from 'node:fs';
import { type ByteString, textOf } from '../base/byte-string.ts';
import { EngineError } from '../base/errors.ts';
import type { TarHeader } from '../content/tar/header.ts';
import type { TarHandler } from '../content/tar/parser.ts';
import {
  changeOwnerAt,
  closeFd,
  type FileStat,
  linkAt,
  makeDirectoryAt,
  makeNodeAt,
  namesIn,
  O_PATH,
  openAt,
  setTimes,
  setTimesAt,
  statAt,
  statFd,
  symlinkAt,
} from '../linux/files.ts';
import { idsFromZero, inUserNamespace, readIdMap } from '../linux/user-namespace-ids.ts';
import { Writeback } from '../linux/writeback.ts';
import { setXattr } from '../linux/xattr.ts';
import {
  AUFS_PREFIX,
  isPortableXattr,
  isWhiteout,
  OPAQUE_MARK,
  OPAQUE_VALUE,
  OPAQUE_XATTR,
  WHITEOUT_PREFIX,
} from './overlay-format.ts';
import { removeTreeAt } from './remove-tree.ts';
import { RootedDirectory, splitPath } from './rooted-directory.ts';

/** What `.wh.` names mean: marks of overlayfs (a layer's directory), or nothing special (`ADD`, `cp`). */
export type WhiteoutMode = 'overlay' | 'literal';

/** Has the content of plain files elsewhere, and gives them names where the archive wants them. */
export interface FileKeeper {
  /** `path` is without symlinks. A file that is begun is placed or abandoned before the next. */
  begin(header: TarHeader, path: ByteString): KeptFile;
  /** What is at `path` from now on did not come through the keeper. */
  forget(path: ByteString): void;
  /** A directory has gone with all that was in it, and the names of that may lead to other files from now on. */
  forgetAll(): void;
}

export interface KeptFile {
  /** As of a `TarHandler`. */
  data(chunk: Buffer, offset: number): void;
  /** The content is complete: gives it a name that is free. */
  place(parent: number, name: ByteString): void;
  abandon(): void;
}

interface OpenFile {
  readonly fd: number;
  readonly header: TarHeader;
  end: number;
  /** Of a large one. */
  readonly writeback: Writeback | undefined;
}

interface KeptEntry {
  readonly file: KeptFile;
  readonly header: TarHeader;
  readonly parent: number;
  readonly path: readonly ByteString[];
}

export interface ExtractorOptions {
  readonly whiteouts: WhiteoutMode;
  /**
   * Directories of the layers below, top first: what a directory that the archive only implies is a copy of. While they are
   * `to-come`, an archive that needs them throws `LowerNeeded`.
   */
  readonly lowerDirs?: readonly string[] | 'to-come' | undefined;
  /** Refuse to put a directory in the place of something else, or the other way round. */
  readonly noOverwriteDirNonDir?: boolean | undefined;
  /** Whether an entry for the root itself counts; by default it does for layers alone. */
  readonly describeRoot?: boolean | undefined;
  /** Give everything this owner, whatever the archive says. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** Takes files without attributes; owner and time of those are its own affair. */
  readonly keeper?: FileKeeper | undefined;
  /** What the archive's owners are on this filesystem. */
  readonly ids?: ShiftedIds | undefined;
  readonly maxEntries: number;
  /** Bytes of all files together. */
  readonly maxBytes: number;
}

/** The archive cannot be extracted before the layers below are there. */
export class LowerNeeded extends EngineError {
  constructor() {
    super('conflict', 'the archive depends on the layers below');
  }
}

/** Directories whose times are still to be set; bounds the memory that an archive can take. */
const MAX_DIRECTORY_TIMES = 100_000;
/** The disk begins with a file of this size while it is written, so that less is waited for at the end. */
const WRITEBACK_BYTES = 8 << 20;
const WRITE_NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const READ_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Writes the entries of an archive below a directory, and nothing anywhere else: every path is walked by descriptors
 * (`RootedDirectory`), every object is made exclusively and described through its own descriptor or without following.
 * A later entry replaces an earlier one of the same name. Hard links may point to what is inside the directory only.
 */
export class Extractor implements TarHandler, Disposable {
  readonly #root: RootedDirectory;
  readonly #options: ExtractorOptions;
  /** Times are set last, as every file made inside changes them. */
  readonly #directoryTimes = new Map<ByteString, bigint>();
  #lowers: RootedDirectory[] | undefined;
  #entries = 0;
  #bytes = 0;
  #file: OpenFile | undefined;
  #kept: KeptEntry | undefined;
  #describesRoot = false;

  constructor(directory: string, options: ExtractorOptions) {
    this.#root = new RootedDirectory(directory);
    this.#options = options;
  }

  /** Bytes of the files written. */
  get bytes(): number {
    return this.#bytes;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Whether the archive said who owns the root and may use it. */
  get describesRoot(): boolean {
    return this.#describesRoot;
  }

  entry(given: TarHeader): void {
    const { ids } = this.#options;
    const header = ids ? { ...given, uid: shifted(given.uid, ids.uid), gid: shifted(given.gid, ids.gid) } : given;
    if (++this.#entries > this.#options.maxEntries) {
      throw new EngineError('too-large', `the archive has more than ${this.#options.maxEntries} entries`);
    }
    const path = splitPath(header.name);
    if (!path) throw new EngineError('corrupt', `the archive has an entry outside of its root: ${shown(header.name)}`);
    // a symlink has the size of its target, as the kernel and Docker count it
    this.#bytes += header.type === 'symlink' ? header.linkName.length : header.size;
    if (this.#bytes > this.#options.maxBytes) {
      throw new EngineError(
        'too-large',
        `the archive's files are more than the ${this.#options.maxBytes} bytes there is room for`,
      );
    }
    if (this.#directoryTimes.size >= MAX_DIRECTORY_TIMES) this.#settleTimes(path);
    if (path.length === 0) return this.#describeRoot(header);
    if (this.#options.whiteouts === 'overlay' && this.#whiteout(path)) return;
    this.#guard(header, () => this.#create(header, path));
  }

  data(chunk: Buffer, offset: number): void {
    const kept = this.#kept;
    if (kept) return this.#guard(kept.header, () => kept.file.data(chunk, offset));
    if (!this.#file) return;
    let written = 0;
    while (written < chunk.length) {
      try {
        written += writeSync(this.#file.fd, chunk, written, chunk.length - written, offset + written);
      } catch (error) {
        throw extractionError(error, this.#file.header.name);
      }
    }
    this.#file.end = offset + chunk.length;
    this.#file.writeback?.wrote(chunk.length);
  }

  entryEnd(): void {
    const kept = this.#kept;
    if (kept) return this.#guard(kept.header, () => this.#place(kept));
    const file = this.#file;
    if (!file) return;
    this.#file = undefined;
    const { fd, header } = file;
    this.#guard(header, () => {
      try {
        if (file.end < header.size) ftruncateSync(fd, header.size);
        this.#describe(fd, header);
        setTimes(fd, header.mtime);
      } finally {
        close(file);
      }
    });
  }

  /** Call after the last entry. */
  finish(): void {
    for (const [path, mtime] of this.#directoryTimes) this.#setDirectoryTime(path, mtime);
  }

  [Symbol.dispose](): void {
    this.#kept?.file.abandon();
    this.#kept = undefined;
    if (this.#file) close(this.#file);
    this.#file = undefined;
    for (const lower of this.#lowers ?? []) lower[Symbol.dispose]();
    this.#root[Symbol.dispose]();
  }

  /** An archive of millions of directories: those that it has left get their times at once. */
  #settleTimes(path: readonly ByteString[]): void {
    const here = `${path.join('/')}/`;
    for (const [other, time] of this.#directoryTimes) {
      if (other === '' || here.startsWith(`${other}/`)) continue;
      this.#setDirectoryTime(other, time);
      this.#directoryTimes.delete(other);
    }
  }

  #setDirectoryTime(path: ByteString, mtime: bigint): void {
    const components = path === '' ? [] : path.split('/');
    try {
      const parent = this.#root.directory(components.slice(0, -1), { follow: false });
      const name = components.at(-1) ?? '.';
      if (statAt(parent, name)?.kind === 'directory') setTimesAt(parent, name, mtime);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error; // replaced by a later entry
    }
  }

  #create(header: TarHeader, path: readonly ByteString[]): void {
    const name = path.at(-1)!;
    const parent = this.#parent(path);
    const resolved = [...this.#root.resolved, name];
    switch (header.type) {
      case 'file': {
        const { keeper } = this.#options;
        if (keeper && header.xattrs.size === 0) {
          this.#kept = { file: keeper.begin(header, resolved.join('/')), header, parent, path: resolved };
          break;
        }
        keeper?.forget(resolved.join('/'));
        const mode = this.#firstMode(header);
        const fd = this.#replacing(parent, name, resolved, false, () => openAt(parent, name, WRITE_NEW, mode));
        const writeback = header.size >= WRITEBACK_BYTES ? new Writeback(fd, WRITEBACK_BYTES) : undefined;
        this.#file = { fd, header, end: 0, writeback };
        break;
      }
      case 'directory':
        this.#directory(parent, name, resolved, header);
        break;
      case 'symlink':
        this.#replacing(parent, name, resolved, false, () => symlinkAt(header.linkName, parent, name));
        this.#describeNode(parent, name, header);
        break;
      case 'hard-link':
        this.#hardLink(parent, name, resolved, header);
        break;
      case 'character-device':
      case 'block-device':
      case 'fifo': {
        const kind = header.type;
        // as Docker does: nobody could open it in the container either
        if (kind !== 'fifo' && inUserNamespace()) break;
        const device = { major: header.deviceMajor, minor: header.deviceMinor };
        if (device.major < 0 || device.major > 0xfff || device.minor < 0 || device.minor > 0xfffff) {
          throw new EngineError('corrupt', `the archive has a device with an impossible number: ${shown(header.name)}`);
        }
        this.#replacing(parent, name, resolved, false, () => makeNodeAt(parent, name, kind, 0o600, device));
        this.#describeNode(parent, name, header);
        break;
      }
    }
  }

  /** Makes an object at `name`; what is there already makes room for it. */
  #replacing<T>(parent: number, name: ByteString, path: readonly ByteString[], isDirectory: boolean, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
    }
    this.#makeRoom(parent, name, path, isDirectory);
    return make();
  }

  #place({ file, parent, path }: KeptEntry): void {
    const name = path.at(-1)!;
    if (statAt(parent, name)) this.#makeRoom(parent, name, path, false);
    file.place(parent, name);
    this.#kept = undefined;
  }

  #makeRoom(parent: number, name: ByteString, path: readonly ByteString[], isDirectory: boolean): void {
    const there = statAt(parent, name);
    if (there && this.#options.noOverwriteDirNonDir && (there.kind === 'directory') !== isDirectory) {
      throw new EngineError(
        'invalid-argument',
        isDirectory
          ? `cannot overwrite non-directory "${shown(path.join('/'))}" with directory`
          : `cannot overwrite directory "${shown(path.join('/'))}" with non-directory`,
      );
    }
    if (there?.kind === 'directory') this.#options.keeper?.forgetAll();
    this.#root.forget(path.length - 1); // what goes now, and not the parent
    removeTreeAt(parent, name);
  }

  #directory(parent: number, name: ByteString, path: readonly ByteString[], header: TarHeader): void {
    let there: FileStat | undefined;
    const mode = this.#firstMode(header);
    try {
      makeDirectoryAt(parent, name, mode);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
      there = statAt(parent, name);
      if (there?.kind !== 'directory') {
        this.#replacing(parent, name, path, true, () => makeDirectoryAt(parent, name, mode));
      }
    }
    const fd = openAt(parent, name, READ_DIRECTORY);
    try {
      // Something was hidden here, and stays hidden behind the new directory.
      if (this.#options.whiteouts === 'overlay' && there && isWhiteout(there)) setXattr(fd, OPAQUE_XATTR, OPAQUE_VALUE);
      this.#describe(fd, header);
    } finally {
      closeFd(fd);
    }
    this.#directoryTimes.set(path.join('/'), header.mtime);
  }

  #hardLink(parent: number, name: ByteString, path: readonly ByteString[], header: TarHeader): void {
    const target = splitPath(header.linkName);
    if (!target || target.length === 0) {
      throw new EngineError('corrupt', `the archive has a hard link that leads outside: ${shown(header.linkName)}`);
    }
    // A second walk may let go of the first one's descriptor, so the new name keeps one of its own.
    const own = openAt(parent, '.', O_PATH | constants.O_DIRECTORY);
    try {
      const from = this.#root.directory(target.slice(0, -1), { follow: true });
      const source = statAt(from, target.at(-1)!);
      if (!source)
        throw new EngineError('corrupt', `the archive has a hard link to what is not in it: ${shown(header.linkName)}`);
      if (source.kind === 'directory' || isWhiteout(source)) {
        throw new EngineError('corrupt', `the archive has a hard link to what is no file: ${shown(header.linkName)}`);
      }
      const there = statAt(own, name);
      if (there?.inode === source.inode && there.device === source.device) return;
      this.#options.keeper?.forget(path.join('/'));
      if (there?.kind === 'directory') this.#options.keeper?.forgetAll();
      if (there) {
        if (there.kind === 'directory' && this.#options.noOverwriteDirNonDir) {
          throw new EngineError(
            'invalid-argument',
            `cannot overwrite directory "${shown(path.join('/'))}" with non-directory`,
          );
        }
        this.#root.forget();
        removeTreeAt(own, name);
      }
      linkAt(this.#root.directory(target.slice(0, -1), { follow: true }), target.at(-1)!, own, name);
    } finally {
      closeFd(own);
    }
  }

  /** True when the entry was a whiteout, or another mark that is no file. Its meaning does not depend on the order of entries. */
  #whiteout(path: readonly ByteString[]): boolean {
    const mark = path.findIndex((component) => component.startsWith(WHITEOUT_PREFIX));
    if (mark < 0) return false;
    const base = path[mark]!;
    const isLast = mark === path.length - 1;
    if (base.startsWith(AUFS_PREFIX) && !(base === OPAQUE_MARK && isLast)) return true;
    const name = base.slice(WHITEOUT_PREFIX.length);
    if (!isLast || name === '' || name === '.' || name === '..') {
      throw new EngineError('corrupt', `the archive has an invalid whiteout: ${shown(path.join('/'))}`);
    }
    if (this.#options.lowerDirs?.length === 0) return true; // nothing to hide
    const parent = this.#parent(path);
    if (base === OPAQUE_MARK) this.#makeOpaque(parent, this.#root.resolved);
    else this.#hide(parent, name);
    return true;
  }

  /** Hides `name` of the layers below. */
  #hide(parent: number, name: ByteString): void {
    try {
      makeNodeAt(parent, name, 'character-device', 0o600);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
      // A file of this layer hides it anyway; a directory has to say that it does.
      if (statAt(parent, name)?.kind === 'directory') this.#setOpaque(parent, name);
    }
  }

  #makeOpaque(parent: number, path: readonly ByteString[]): void {
    if (path.length > 0) return this.#setOpaque(parent, '.');
    // The root of a layer cannot be opaque to overlayfs: each name below is hidden by itself.
    const names = new Set<ByteString>();
    for (const lower of this.#lower()) for (const name of namesIn(lower.fd)) names.add(name);
    for (const name of names) this.#hide(parent, name);
  }

  #setOpaque(parent: number, name: ByteString): void {
    const fd = openAt(parent, name, READ_DIRECTORY);
    try {
      setXattr(fd, OPAQUE_XATTR, OPAQUE_VALUE);
    } finally {
      closeFd(fd);
    }
  }

  /** The directory that the last component of `path` is to be in; what is missing on the way is made. */
  #parent(path: readonly ByteString[]): number {
    return this.#root.directory(path.slice(0, -1), {
      follow: true,
      make: (dir, name, full) => this.#imply(dir, name, full),
    });
  }

  #imply(parent: number, name: ByteString, path: readonly ByteString[]): boolean {
    const there = statAt(parent, name);
    const hidden = there !== undefined && this.#options.whiteouts === 'overlay' && isWhiteout(there);
    if (there && !hidden) {
      throw new EngineError('corrupt', `the archive puts files below what is no directory: ${shown(path.join('/'))}`);
    }
    if (hidden) removeTreeAt(parent, name);
    makeDirectoryAt(parent, name, 0o755);
    const fd = openAt(parent, name, READ_DIRECTORY);
    try {
      fchmodSync(fd, 0o755);
      if (hidden) setXattr(fd, OPAQUE_XATTR, OPAQUE_VALUE);
      const owner = this.#options.owner;
      if (owner) fchownSync(fd, owner.uid, owner.gid);
      const below = this.#below(path);
      if (below) {
        fchownSync(fd, below.uid, below.gid);
        fchmodSync(fd, below.mode);
        this.#directoryTimes.set(path.join('/'), below.mtime);
      }
    } finally {
      closeFd(fd);
    }
    return true;
  }

  /** The directory of the layers below that one at `path` is laid over, if it is one. */
  #below(path: readonly ByteString[]): FileStat | undefined {
    for (const lower of this.#lower()) {
      const stat = lower.stat(path, { follow: false });
      if (stat) return stat.kind === 'directory' ? stat : undefined;
    }
    return undefined;
  }

  #lower(): readonly RootedDirectory[] {
    const { lowerDirs = [] } = this.#options;
    if (lowerDirs === 'to-come') throw new LowerNeeded();
    this.#lowers ??= lowerDirs.map((directory) => new RootedDirectory(directory));
    return this.#lowers;
  }

  #describeRoot(header: TarHeader): void {
    // What is extracted into a directory of a container or an image does not describe that directory by default.
    if (!(this.#options.describeRoot ?? this.#options.whiteouts === 'overlay') || header.type !== 'directory') return;
    this.#describesRoot = true;
    const fd = openAt(this.#root.fd, '.', READ_DIRECTORY);
    try {
      this.#describe(fd, header);
    } finally {
      closeFd(fd);
    }
    this.#directoryTimes.set('', header.mtime);
  }

  /** The mode to make it with: closed to others until it has its owner, or the right one at once where that saves a call. */
  #firstMode(header: TarHeader): number {
    const { uid, gid } = this.#options.owner ?? header;
    return uid === 0 && gid === 0 ? header.mode & 0o777 : 0o700;
  }

  /** Owner, attributes, mode, in this order: changing the owner drops capabilities and setuid bits. What is right already costs no write. */
  #describe(fd: number, header: TarHeader): void {
    const { uid, gid } = this.#options.owner ?? header;
    const now = statFd(fd);
    const chown = now.uid !== uid || now.gid !== gid;
    if (chown) fchownSync(fd, uid, gid);
    for (const [name, value] of header.xattrs) if (isPortableXattr(name)) setAttribute(fd, name, value, header);
    if (now.mode !== header.mode || chown) fchmodSync(fd, header.mode);
  }

  /** Of what cannot be opened without side effects: symlinks, devices, FIFOs. */
  #describeNode(parent: number, name: ByteString, header: TarHeader): void {
    const { uid, gid } = this.#options.owner ?? header;
    changeOwnerAt(parent, name, uid, gid);
    if (header.type !== 'symlink') {
      const fd = openAt(parent, name, O_PATH | constants.O_NOFOLLOW);
      try {
        if (statFd(fd).kind !== 'symlink') chmodSync(`/proc/self/fd/${fd}`, header.mode);
      } finally {
        closeFd(fd);
      }
    }
    setTimesAt(parent, name, header.mtime);
  }

  #guard(header: TarHeader, work: () => void): void {
    try {
      work();
    } catch (error) {
      throw extractionError(error, header.name);
    }
  }
}

/** What the disk was told to begin with must stay open until it has. */
function close({ fd, writeback }: OpenFile): void {
  if (writeback) void writeback.end().then(() => closeFd(fd));
  else closeFd(fd);
}

function setAttribute(fd: number, name: ByteString, value: Uint8Array, header: TarHeader): void {
  try {
    setXattr(fd, name, value);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 'ENOTSUP' || code === 'EOPNOTSUPP') return; // a filesystem without attributes, as Docker does
    if (code === 'ENOSPC' || code === 'E2BIG' || code === 'ERANGE') {
      throw new EngineError(
        'too-large',
        `${shown(header.name)}: this filesystem has no room for the attribute ${textOf(name)} of ${value.length} bytes`,
        { cause: error },
      );
    }
    throw error;
  }
}

/** What a failure to make something of an entry of an archive is, with a word on the entry. */
export function extractionError(error: unknown, name: ByteString): unknown {
  if (error instanceof EngineError) return error;
  const { code, message } = error as { code?: unknown; message: string };
  const text = `cannot extract ${shown(name)}: ${message}`;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new EngineError('no-space', text, { cause: error });
    case 'EINVAL':
      if (!inUserNamespace()) return new EngineError('corrupt', text, { cause: error });
      return new EngineError(
        'unavailable',
        `${text}: does it belong to an id above ${idsFromZero(readIdMap('uid_map')) - 1}? More of them are to be had in /etc/subuid and /etc/subgid`,
        { cause: error },
      );
    case 'ENAMETOOLONG':
      return new EngineError('too-large', text, { cause: error });
    case 'ELOOP':
    case 'ENOTDIR':
    case 'ENOENT':
      return new EngineError('corrupt', text, { cause: error });
    default:
      return new EngineError('internal', text, { cause: error });
  }
}

function shown(name: ByteString): string {
  const text = textOf(name);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

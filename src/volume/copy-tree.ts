import { chmodSync, constants, fchmodSync, fchownSync } from 'node:fs';
import type { ByteString } from '../base/byte-string.ts';
import { EngineError } from '../base/errors.ts';
import { copyContent, shareContent } from '../linux/file-copy.ts';
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
  readLinkAt,
  setTimes,
  setTimesAt,
  statAt,
  statFd,
  symlinkAt,
} from '../linux/files.ts';
import { getXattr, listXattrs, setXattr } from '../linux/xattr.ts';

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;
/** No image has a deeper tree; each level holds two descriptors. */
const MAX_DEPTH = 1000;

/**
 * Copies everything below one open directory into another, empty one: owner, mode, times, xattrs, hard links, devices,
 * holes. Walks by descriptors and follows no symlink, whatever changes meanwhile. `progress` is called for every name and
 * may throw to stop.
 */
export function copyTree(from: number, to: number, progress: () => void): void {
  new TreeCopy(to, progress).directory(from, to, []);
}

/** Owner, mode, times and xattrs of one open directory for another. */
export function copyDirectoryAttributes(from: number, to: number): void {
  const stat = statFd(from);
  fchownSync(to, stat.uid, stat.gid);
  fchmodSync(to, stat.mode);
  copyXattrs(from, to);
  setTimes(to, stat.mtime);
}

class TreeCopy {
  readonly #root: number;
  readonly #progress: () => void;
  readonly #uid: number;
  readonly #gid: number;
  #shares = true;
  /** Where the first name of a file with several was made. */
  readonly #linked = new Map<string, readonly ByteString[]>();

  constructor(root: number, progress: () => void) {
    this.#root = root;
    this.#progress = progress;
    // what is made in a directory with the setgid bit gets its group
    const setgid = (statFd(root).mode & 0o2000) !== 0;
    this.#uid = process.geteuid!();
    this.#gid = setgid ? -1 : process.getegid!();
  }

  directory(from: number, to: number, path: readonly ByteString[]): void {
    if (path.length > MAX_DEPTH) throw new EngineError('invalid-argument', `a tree deeper than ${MAX_DEPTH} levels`);
    for (const name of namesIn(from)) {
      this.#progress();
      const stat = statAt(from, name);
      if (stat) this.#entry(from, to, name, stat, [...path, name]);
    }
  }

  #entry(from: number, to: number, name: ByteString, stat: FileStat, path: readonly ByteString[]): void {
    switch (stat.kind) {
      case 'directory':
        return this.#subdirectory(from, to, name, path);
      case 'file':
        if (!this.#linkToFirst(to, name, stat, path)) this.#file(from, to, name);
        return;
      case 'symlink':
        symlinkAt(readLinkAt(from, name), to, name);
        break;
      case 'fifo':
      case 'character-device':
      case 'block-device':
        makeNodeAt(to, name, stat.kind, stat.mode, { major: stat.deviceMajor, minor: stat.deviceMinor });
        break;
      case 'socket':
        // belongs to a process, not to an image
        return;
    }
    changeOwnerAt(to, name, stat.uid, stat.gid);
    if (stat.kind !== 'symlink') chmodNode(to, name, stat.mode);
    setTimesAt(to, name, stat.mtime);
  }

  #subdirectory(from: number, to: number, name: ByteString, path: readonly ByteString[]): void {
    const source = openAt(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      makeDirectoryAt(to, name, 0o700);
      const target = openAt(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      try {
        this.directory(source, target, path);
        copyDirectoryAttributes(source, target);
      } finally {
        closeFd(target);
      }
    } finally {
      closeFd(source);
    }
  }

  #file(from: number, to: number, name: ByteString): void {
    const source = openAt(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const stat = statFd(source);
      if (stat.kind !== 'file') throw new EngineError('conflict', 'the tree changes while it is copied');
      const target = openAt(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      try {
        // of the same two filesystems either every file can be shared or none
        if (this.#shares && stat.size > 0) this.#shares = shareContent(source, target);
        if (!this.#shares) copyContent(source, target, stat.size, this.#progress);
        // the parent was made by us, so a file has our owner and group already
        if (stat.uid !== this.#uid || stat.gid !== this.#gid) fchownSync(target, stat.uid, stat.gid);
        fchmodSync(target, stat.mode);
        // last: a change of owner takes file capabilities away
        copyXattrs(source, target);
        setTimes(target, stat.mtime);
      } finally {
        closeFd(target);
      }
    } finally {
      closeFd(source);
    }
  }

  /** Makes a further name of a file that was copied already; false for a first one. */
  #linkToFirst(to: number, name: ByteString, stat: FileStat, path: readonly ByteString[]): boolean {
    if (stat.links < 2) return false;
    const key = `${stat.device}:${stat.inode}`;
    const first = this.#linked.get(key);
    if (!first) {
      this.#linked.set(key, path);
      return false;
    }
    const parent = openBelow(this.#root, first.slice(0, -1));
    try {
      linkAt(parent, first.at(-1)!, to, name);
    } finally {
      closeFd(parent);
    }
    return true;
  }
}

function openBelow(root: number, path: readonly ByteString[]): number {
  let fd = openAt(root, '.', O_PATH | O_DIRECTORY);
  for (const name of path) {
    try {
      const next = openAt(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
      closeFd(fd);
      fd = next;
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }
  return fd;
}

/** mknod obeys the umask, and a device cannot be opened to be changed without waking its driver. */
function chmodNode(dir: number, name: ByteString, mode: number): void {
  const node = openAt(dir, name, O_PATH | O_NOFOLLOW);
  try {
    chmodSync(`/proc/self/fd/${node}`, mode);
  } finally {
    closeFd(node);
  }
}

function copyXattrs(from: number, to: number): void {
  for (const name of listXattrs(from)) {
    const value = getXattr(from, name);
    if (value === undefined) continue;
    try {
      setXattr(to, name, value);
    } catch (error) {
      // user.* on a tmpfs, labels of a security module that is off here: the file is as good without
      const code = (error as { code?: string }).code;
      if (code !== 'ENOTSUP' && code !== 'EOPNOTSUPP') throw error;
    }
  }
}

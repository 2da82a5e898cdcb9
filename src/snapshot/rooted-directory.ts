import { constants, fchmodSync } from 'node:fs';
import { constants as system } from 'node:os';
import type { ByteString } from '../base/byte-string.ts';
import { EngineError } from '../base/errors.ts';
import {
  closeFd,
  type FileStat,
  makeDirectoryAt,
  O_PATH,
  openAt,
  openDirectory,
  tryReadLinkAt,
  statAt,
} from '../linux/files.ts';
import { SystemCallError } from '../linux/libc.ts';

const OPEN_DIRECTORY = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** As the kernel does (path_resolution(7)). */
const MAX_SYMLINKS = 40;
/** Open descriptors of one walk stay below any usual limit. */
const MAX_DEPTH = 512;

export interface WalkOptions {
  /** Follow symlinks inside the root, as if the root were `/`. Otherwise they count as not being directories. */
  readonly follow: boolean;
  /** Called for a missing component, and for one that is no directory; when it has made one, the walk goes on. */
  readonly make?: ((parent: number, name: ByteString, path: readonly ByteString[]) => boolean) | undefined;
}

/**
 * A directory that paths are resolved in and never leave, whatever symlinks or renames are met on the way: each
 * component is opened by name in its parent's descriptor without following, and links are resolved by hand, absolute ones
 * from the root, `..` never above it.
 *
 * The descriptors of the last path are kept, so that the next path opens only what differs. Synchronous, for workers.
 */
export class RootedDirectory implements Disposable {
  readonly fd: number;
  readonly #open: { readonly name: ByteString; readonly fd: number }[] = [];
  #path: readonly ByteString[] = [];

  constructor(path: string) {
    this.fd = openDirectory(path);
  }

  /** Where the last `directory` call really led: components from the root, free of symlinks. */
  get resolved(): readonly ByteString[] {
    return this.#path;
  }

  /** A descriptor (O_PATH) of the directory at `components`, valid until the next call. Throws `SystemCallError` (ENOENT, ENOTDIR, ELOOP). */
  directory(components: readonly ByteString[], { follow, make }: WalkOptions): number {
    let pending = components;
    let next = 0;
    let depth = 0;
    let links = 0;
    while (next < pending.length) {
      const name = pending[next++]!;
      if (name === '' || name === '.') continue;
      if (name === '..') {
        depth = Math.max(0, depth - 1);
        continue;
      }
      if (this.#open[depth]?.name === name) {
        depth++;
        continue;
      }
      this.forget(depth);
      const parent = this.#open[depth - 1]?.fd ?? this.fd;
      const fd = tryOpen(parent, name);
      if (typeof fd === 'number') {
        if (depth >= MAX_DEPTH) {
          closeFd(fd);
          throw new EngineError('too-large', `directories are nested more than ${MAX_DEPTH} deep: /${name}`);
        }
        this.#open.push({ name, fd });
        depth++;
        continue;
      }
      const target = follow && fd.code === 'ENOTDIR' ? tryReadLinkAt(parent, name) : undefined;
      if (target !== undefined) {
        if (++links > MAX_SYMLINKS) throw new SystemCallError('openat', system.errno.ELOOP, name);
        pending = [...target.split('/'), ...pending.slice(next)];
        next = 0;
        if (target.startsWith('/')) depth = 0;
        continue;
      }
      const path = this.#open.slice(0, depth).map((entry) => entry.name);
      if (!make?.(parent, name, [...path, name])) throw fd;
      next--;
    }
    this.#path = this.#open.slice(0, depth).map((entry) => entry.name);
    return this.#open[depth - 1]?.fd ?? this.fd;
  }

  /** Of the object at `components`, its last component not followed; undefined when there is none. */
  stat(components: readonly ByteString[], options: Pick<WalkOptions, 'follow'>): FileStat | undefined {
    try {
      if (components.length === 0) return statAt(this.fd, '.');
      return statAt(this.directory(components.slice(0, -1), options), components.at(-1)!);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined;
      throw error;
    }
  }

  /** Lets go of what is kept open below `depth`: after a directory was removed or replaced. */
  forget(depth = 0): void {
    while (this.#open.length > depth) closeFd(this.#open.pop()!.fd);
  }

  [Symbol.dispose](): void {
    this.forget();
    closeFd(this.fd);
  }
}

/** Makes a directory that a path needs and nobody described; what this process takes away from new files (umask) does not count. */
export function makeImpliedDirectory(parent: number, name: ByteString): boolean {
  makeDirectoryAt(parent, name, 0o755);
  const fd = openAt(parent, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    fchmodSync(fd, 0o755);
  } finally {
    closeFd(fd);
  }
  return true;
}

/** The components of a path, `.` and empty ones dropped, `..` resolved by its text. Undefined when it leads above the start. */
export function splitPath(path: ByteString): ByteString[] | undefined {
  const components: ByteString[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') components.push(part);
    else if (components.pop() === undefined) return undefined;
  }
  return components;
}

function tryOpen(parent: number, name: ByteString): number | SystemCallError {
  try {
    return openAt(parent, name, OPEN_DIRECTORY);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return error as SystemCallError;
    throw error;
  }
}

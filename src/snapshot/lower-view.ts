import { constants } from 'node:fs';
import type { ByteString } from '../base/byte-string.ts';
import { closeFd, type FileStat, namesIn, openAt, statAt } from '../linux/files.ts';
import { isOpaque, isWhiteout } from './overlay-format.ts';
import { RootedDirectory } from './rooted-directory.ts';

const READ_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Changes directories of layers, seen as overlayfs merges them, without a mount. Symlinks are not followed. */
export class LowerView implements Disposable {
  readonly #roots: readonly RootedDirectory[];

  /** @param directories top first */
  constructor(directories: readonly string[]) {
    this.#roots = directories.map((directory) => new RootedDirectory(directory));
  }

  stat(path: readonly ByteString[]): FileStat | undefined {
    for (const root of this.#roots) {
      const stat = root.stat(path, { follow: false });
      if (stat) return isWhiteout(stat) ? undefined : stat;
      if (this.#endsAbove(root, path)) return undefined;
    }
    return undefined;
  }

  /** Names in the merged directory at `path`. */
  names(path: readonly ByteString[]): ByteString[] {
    const seen = new Map<ByteString, boolean>();
    for (const root of this.#roots) {
      const stat = root.stat(path, { follow: false });
      if (stat && stat.kind !== 'directory') break;
      if (stat) {
        const fd = root.directory(path, { follow: false });
        for (const name of namesIn(fd)) {
          if (!seen.has(name)) seen.set(name, !isWhiteout(statAt(fd, name)!));
        }
      }
      if (this.#endsAbove(root, [...path, ''])) break;
    }
    return [...seen].filter(([, visible]) => visible).map(([name]) => name);
  }

  [Symbol.dispose](): void {
    for (const root of this.#roots) root[Symbol.dispose]();
  }

  /** Whether something on the way to `path` in this layer hides the layers further down. */
  #endsAbove(root: RootedDirectory, path: readonly ByteString[]): boolean {
    for (let depth = 1; depth < path.length; depth++) {
      const stat = root.stat(path.slice(0, depth), { follow: false });
      if (!stat) return false;
      if (stat.kind !== 'directory') return true;
      const fd = openAt(root.directory(path.slice(0, depth), { follow: false }), '.', READ_DIRECTORY);
      try {
        if (isOpaque(fd)) return true;
      } finally {
        closeFd(fd);
      }
    }
    return false;
  }
}

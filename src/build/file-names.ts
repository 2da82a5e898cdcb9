import type { ByteString } from '../base/byte-string.ts';
import type { FileStat } from '../linux/files.ts';

/** The names of each file that has several, as one walk meets them: a copy of a source has hard links where it has some. */
export class FileNames {
  readonly #first = new Map<string, readonly ByteString[]>();

  /** Under which path the file was met first; undefined when it was not, and this is the first. */
  firstOf(stat: FileStat, path: readonly ByteString[]): readonly ByteString[] | undefined {
    if (stat.kind !== 'file' || stat.links < 2) return undefined;
    const key = `${stat.device}:${stat.inode}`;
    const first = this.#first.get(key);
    if (!first) this.#first.set(key, path);
    return first;
  }
}

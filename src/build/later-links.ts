import type { ByteString } from '../base/byte-string.ts';
import { type FileStat, linkAt, setTimesAt, statAt } from '../linux/files.ts';
import type { SettledTimes } from '../snapshot/settled-times.ts';

/**
 * Files of a copy that become hard links when its target is mounted no more. Until then they are in no directory, so who
 * looks for what is at a place asks here too.
 */
export class LaterLinks {
  readonly #sources = new Map<ByteString, { readonly source: ByteString; readonly stat: LinkedStat }>();
  readonly #known = new Set<bigint | ByteString>();
  readonly #parents = new Set<ByteString>();
  readonly #made = new Set<ByteString>();
  readonly #inMade = new Set<ByteString>();
  readonly #times: SettledTimes | undefined;

  /** @param times what all are brought to afterwards */
  constructor(times: SettledTimes | undefined) {
    this.#times = times;
  }

  /** As `PendingLinks` has them. */
  get links(): string {
    return [...this.#sources].map(([place, { source }]) => `${place}\0${source}\0`).join('');
  }

  /** As `PendingLinks` has them. */
  get stats(): BigInt64Array {
    const stats = new BigInt64Array(this.#sources.size * 5);
    let at = 0;
    for (const { stat } of this.#sources.values()) {
      stats[at++] = BigInt(stat.mode);
      stats[at++] = BigInt(stat.uid);
      stats[at++] = BigInt(stat.gid);
      stats[at++] = BigInt(stat.size);
      stats[at++] = stat.mtime;
    }
    return stats;
  }

  has(place: ByteString): boolean {
    return this.#sources.has(place);
  }

  /** Something was made at this place. */
  made(place: ByteString, isDirectory: boolean): void {
    if (this.#made.has(above(place))) this.#inMade.add(place);
    if (isDirectory) this.#made.add(place);
  }

  isMadeDirectory(place: ByteString): boolean {
    return this.#made.has(place);
  }

  /** Whether nothing can be there, without a look: the copy made the directory itself. Each look into an overlay is one into all of its layers. */
  isFree(place: ByteString): boolean {
    return this.#made.has(above(place)) && !this.#inMade.has(place);
  }

  /** Something else comes to this place. */
  drop(place: ByteString): void {
    this.#sources.delete(place);
  }

  /**
   * False when the target has a link to this file already: two names of one file would be a hard link in its archive. Or
   * when its time would be another in the end. `parent` is not needed of a directory that the copy made.
   */
  add(
    { identity, source, stat }: LaterLink,
    { parent, place }: { readonly parent: number | undefined; readonly place: ByteString },
  ): boolean {
    if (this.#times?.isWrong(stat.mtime)) return false;
    if (this.#known.has(identity)) return false;
    this.#known.add(identity);
    if (parent !== undefined) this.#changed(parent, above(place));
    this.#sources.set(place, { source, stat });
    return true;
  }

  /** A directory of the layers below has to be among the target's own changes before a file can be put into it there. */
  #changed(directory: number, path: ByteString): void {
    if (this.#parents.has(path)) return;
    this.#parents.add(path);
    setTimesAt(directory, '.', statAt(directory, '.')!.mtime);
  }
}

/** A file that may be a link. */
export interface LaterLink {
  /** Of one file always the same. */
  readonly identity: bigint | ByteString;
  readonly source: ByteString;
  readonly stat: LinkedStat;
}

/** What it is as a link. */
type LinkedStat = Pick<FileStat, 'mode' | 'uid' | 'gid' | 'size' | 'mtime'>;

function above(place: ByteString): ByteString {
  return place.slice(0, Math.max(0, place.lastIndexOf('/')));
}

/** False when it cannot be: too many names, another filesystem, something in the way. */
export function tryLink(from: number, fromName: ByteString, to: number, toName: ByteString): boolean {
  try {
    linkAt(from, fromName, to, toName);
    return true;
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === 'EEXIST' || code === 'EMLINK' || code === 'EXDEV' || code === 'EPERM') return false;
    throw error;
  }
}

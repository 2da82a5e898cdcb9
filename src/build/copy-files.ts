import type { Digest } from '../oci/digest.ts';
import { WorkerThreads } from '../base/worker-job.ts';
import type { LayerDigest } from '../snapshot/diff-layer.ts';
import type { TimeRule } from '../snapshot/settled-times.ts';
import type { PathChange } from './file-changes.ts';
import type { ModeChange } from './file-mode.ts';
import type { SealParameters } from './seal-changes-job.ts';

/** What a COPY or ADD takes from where. Paths are as the Dockerfile has them after expansion. */
export interface CopySelection {
  /** Root directory of the context, a stage or an image: no path leads out of it. */
  readonly root: string;
  /** Relative to `root`; with Go's wildcards. */
  readonly sources: readonly string[];
  /** Lines of `.dockerignore`: what they match is not there. */
  readonly ignore: readonly string[];
  /** Patterns of `--exclude`, relative to each directory that is a source. */
  readonly exclude: readonly string[];
  /** Keep the directories above a source (behind `/./` in it), made as they are there (`--parents`). */
  readonly parents: boolean;
  /** Keep owner and group of the source (`--from`); otherwise 0:0. */
  readonly keepOwner: boolean;
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  readonly mode?: ModeChange | undefined;
  /** Unpack sources that are tar archives, compressed or not, into the destination (`ADD`). */
  readonly unpack: boolean;
  /** What is in the way and is of another kind (a file where a directory goes) is replaced, instead of an error. */
  readonly replace?: boolean | undefined;
  /** A source that is a symlink is copied as one, instead of what it points to. */
  readonly keepLinks?: boolean | undefined;
  /** For messages: `build context`, or the stage. */
  readonly sourceName: string;
  /** Digests of the content of all files below `root`, where they are known: they need not be read for that. */
  readonly known?: KnownFiles | undefined;
  /**
   * Nobody ever writes into one of the files, so a copy that would be the same in all may be another name of it. Those of
   * an `own` directory are nobody else's, and may be given the copy's time; those that are `shared` must have it.
   */
  readonly steady?: 'own' | 'shared' | undefined;
  /** Seconds since the epoch: the time of all that is copied, instead of its own. */
  readonly time?: number | undefined;
}

/**
 * Seconds since the epoch: how old files of a context are. Their own times are those of whoever checked them out, and a
 * layer is to be the same wherever it is made. 1980-01-01, as zip archives know nothing older.
 */
export const CONTEXT_TIME = 315_532_800;

/** A list of the files of a directory with the digest of each one's content, by name. */
export interface KnownFiles {
  /** A file of two lines: something about it, and a JSON list of `[[path, …], sha256 in hex]`. */
  readonly list: string;
  /**
   * The list has all that is in the directory, as `[[path, mode, size, time, stamp, link], digest]` with the type in the
   * mode: root's, of the contexts' time, without extended attributes. Nothing else is asked of the filesystem then.
   */
  readonly complete?: boolean | undefined;
  /** Of the same list, equal for equal trees. */
  readonly tree: string;
}

export interface SelectionDigest {
  readonly digest: Digest;
  readonly files: number;
  readonly bytes: number;
  /** A part of each entry's digest by its name; undefined when there are more than a thousand. */
  readonly entries: Readonly<Record<string, string>> | undefined;
}

/**
 * Files that a copy left out because the layer may have the source's own as hard links. They are placed when the target is
 * mounted no more: nothing links into an overlay from outside of it, and nobody may change a directory that lies in one.
 */
export interface PendingLinks {
  readonly selection: CopySelection;
  /** Where each goes and where it is, below the two roots: byte strings, each ended by a NUL. */
  readonly links: string;
  /** Of each: the twelve permission bits, user, group, bytes, nanoseconds since the epoch. */
  readonly stats: BigInt64Array;
}

/** An archive among the sources: to be unpacked where the copy goes. */
export interface FoundArchive {
  /** Of the file, on the host, without symlinks. */
  readonly path: string;
}

export interface CopyTarget {
  /** Root directory, mounted, that the files go to. */
  readonly root: string;
  /** Absolute. Ends with `/` when it must be a directory. */
  readonly destination: string;
  /**
   * The caller sees to `PendingLinks`, and nothing else is put into the target before. Where all times are
   * brought to others after that, these: a file that others have too is not changed for it.
   */
  readonly linksLater?: TimeRule | true | undefined;
}

const threads = new WorkerThreads('build/copy-files');

/**
 * Nothing below `directory` stays newer than `seconds` since the epoch: the times are set to it. With `exact`, nothing stays
 * older either: files of a context are as old as whoever checked them out made them.
 */
export async function clampTimes(
  directory: string,
  { seconds, exact, signal }: { readonly seconds: number; readonly exact: boolean; readonly signal?: AbortSignal },
): Promise<void> {
  await threads.run({ job: 'clamp', parameters: { directory, seconds, exact }, signal });
}

/**
 * What the selection is, by content: names, kinds, modes, owners, bytes and link targets, not times.
 * Throws `not-found` (`COPY failed: …`) when a source without wildcards matches nothing.
 */
export async function digestSelection(selection: CopySelection, signal?: AbortSignal): Promise<SelectionDigest> {
  const { known, root: _, steady: __, time: ___, ...rest } = selection;
  const key = known && JSON.stringify([rest, known.tree]);
  const found = key === undefined ? undefined : DIGESTS.get(key);
  if (found) return found;
  const digest = await threads.run<SelectionDigest>({ job: 'digest', parameters: { selection }, signal });
  if (key !== undefined) {
    DIGESTS.set(key, digest);
    if (DIGESTS.size > MAX_DIGESTS) DIGESTS.delete(DIGESTS.keys().next().value!);
  }
  return digest;
}

/** Of selections of known trees: a build whose context did not change looks at none of its files. */
const DIGESTS = new Map<string, SelectionDigest>();
const MAX_DIGESTS = 500;

/**
 * Copies the selection below the target's root, parents made as 0:0 0755; symlinks of the target never lead out of it.
 * Archives that are to be unpacked are only reported; the destination is a directory then. So are, with `linksLater`, files
 * that can be links.
 */
export async function copySelection(
  selection: CopySelection,
  target: CopyTarget,
  signal?: AbortSignal,
): Promise<{ readonly archives: readonly FoundArchive[]; readonly pending: PendingLinks | undefined }> {
  const { archives, links, stats } = await threads.run<{
    readonly archives: readonly FoundArchive[];
    readonly links: string;
    readonly stats: BigInt64Array;
  }>({
    job: 'copy',
    parameters: { selection, target },
    signal,
  });
  return { archives, pending: links === '' ? undefined : { selection, links, stats } };
}

/**
 * Makes a layer of `directory`, which has the changes of a target that is mounted no more: puts the files into it that a
 * copy left out, and brings all times to `times`. Gives the digest of what it is then.
 */
export async function sealChanges(
  directory: string,
  {
    pending,
    times,
    signal,
  }: {
    readonly pending?: PendingLinks | undefined;
    readonly times: TimeRule;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<LayerDigest> {
  const parameters: SealParameters = { directory, pending, times };
  const work = (job: string): Promise<LayerDigest> => threads.run<LayerDigest>({ job, parameters, signal });
  if (!pending || pending.stats.length < APART) return work('seal');
  // Half of the work is the filesystem's, and the digest needs nothing of it.
  const [placed, digest] = await Promise.allSettled([work('place'), work('digest-sealed')]);
  if (placed.status === 'rejected') throw placed.reason;
  if (digest.status === 'rejected') throw digest.reason;
  return digest.value;
}

/** Puts the files that a copy left out into `directory`, as `sealChanges`; directories keep their times. */
export async function placeLinks(pending: PendingLinks, directory: string, signal?: AbortSignal): Promise<void> {
  await threads.run({ job: 'place', parameters: { directory, pending } satisfies SealParameters, signal });
}

/** For so many numbers of `PendingLinks.stats` a second thread is worth its start. */
const APART = 5 * 1000;

/** Changes paths below `root`, in order. Throws `not-found`, `invalid-argument`. */
export async function changeFiles(root: string, changes: readonly PathChange[], signal?: AbortSignal): Promise<void> {
  await threads.run({ job: 'change', parameters: { root, changes }, signal });
}

/** Makes what is below `to` what is below `from`, with as few changes as there are differences. */
export async function equalizeFiles(from: string, to: string, signal?: AbortSignal): Promise<void> {
  await threads.run({ job: 'equalize', parameters: { from, to }, signal });
}

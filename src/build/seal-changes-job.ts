import { constants } from 'node:fs';
import type { ByteString } from '../base/byte-string.ts';
import type { JobContext } from '../base/worker-server.ts';
import { openAt, setTimesAt, statAt, statFd } from '../linux/files.ts';
import type { ComingFile, ComingFiles } from '../snapshot/coming-files.ts';
import type { LayerDigest } from '../snapshot/diff-layer.ts';
import { digestTree } from '../snapshot/diff-layer-job.ts';
import { RootedDirectory } from '../snapshot/rooted-directory.ts';
import { SettledTimes, type TimeRule } from '../snapshot/settled-times.ts';
import type { PendingLinks } from './copy-files.ts';
import { tryLink } from './later-links.ts';

export interface SealParameters {
  readonly directory: string;
  readonly pending: PendingLinks | undefined;
  /** Undefined where a link is no change of the directory that it is in. */
  readonly times?: TimeRule | undefined;
}

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Of what is there: settled and digested on one walk. */
export function digestSettled({ directory, times }: SealParameters, context: JobContext): LayerDigest {
  return digestTree(directory, { times: times && new SettledTimes(times), check: () => context.check() });
}

/** The same while `placePending` is at work on the directory, or before. */
export function digestComing({ directory, pending, times }: SealParameters, context: JobContext): LayerDigest {
  using coming = new PendingFiles(pending!);
  return digestTree(directory, { times: times && new SettledTimes(times), coming, check: () => context.check() });
}

/** Puts the pending files in their places; `copy` is called for one that cannot be a link. */
export function placePending(
  { directory, pending, times }: SealParameters,
  copy: (to: RootedDirectory, path: readonly ByteString[], source: { dir: number; name: ByteString }) => void,
  context: JobContext,
): void {
  const { selection, links, stats } = pending!;
  const settled = times && new SettledTimes(times);
  using from = new RootedDirectory(selection.root);
  using to = new RootedDirectory(directory);
  const paths = links.split('\0');
  const parents = new Map<ByteString, bigint>();
  for (let at = 0; at + 1 < paths.length; at += 2) {
    context.check();
    const path = paths[at]!.split('/');
    const source = paths[at + 1]!.split('/');
    const dir = from.directory(source.slice(0, -1), { follow: true });
    const name = source.at(-1)!;
    const parent = to.directory(path.slice(0, -1), { follow: false });
    const above = paths[at]!.slice(0, Math.max(0, paths[at]!.lastIndexOf('/')));
    if (!parents.has(above)) parents.set(above, settled ? settled.time : statFd(parent).mtime);
    if (!tryLink(dir, name, parent, path.at(-1)!)) copy(to, path, { dir, name });
    else if (selection.steady !== 'shared') {
      const mtime = stats[(at / 2) * 5 + 4]!;
      if (statAt(parent, path.at(-1)!)?.mtime !== mtime) setTimesAt(parent, path.at(-1)!, mtime);
    }
  }
  for (const [path, mtime] of parents) setTimesAt(to.directory(path.split('/'), { follow: false }), '.', mtime);
}

/** Pending files as those that come to an archive. */
class PendingFiles implements ComingFiles, Disposable {
  readonly #directories = new Map<ByteString, Map<ByteString, ComingFile>>();
  readonly #from: RootedDirectory;

  constructor({ selection, links, stats }: PendingLinks) {
    this.#from = new RootedDirectory(selection.root);
    const xattrs = selection.known === undefined;
    const paths = links.split('\0');
    for (let at = 0; at + 1 < paths.length; at += 2) {
      const place = paths[at]!;
      const cut = place.lastIndexOf('/') + 1;
      const prefix = place.slice(0, cut);
      let files = this.#directories.get(prefix);
      if (!files) this.#directories.set(prefix, (files = new Map()));
      const first = (at / 2) * 5;
      files.set(place.slice(cut), {
        mode: Number(stats[first]),
        uid: Number(stats[first + 1]),
        gid: Number(stats[first + 2]),
        size: Number(stats[first + 3]),
        mtime: stats[first + 4]!,
        xattrs,
        open: () => this.#open(paths[at + 1]!),
      });
    }
  }

  in(prefix: ByteString): ReadonlyMap<ByteString, ComingFile> | undefined {
    return this.#directories.get(prefix);
  }

  #open(source: ByteString): number {
    const parts = source.split('/');
    const name = parts.pop()!;
    return openAt(this.#from.directory(parts, { follow: true }), name, READ);
  }

  [Symbol.dispose](): void {
    this.#from[Symbol.dispose]();
  }
}

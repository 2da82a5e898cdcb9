import { constants } from 'node:fs';
import type { FilesystemChange } from '../api/container.ts';
import { type ByteString, textOf } from '../base/byte-string.ts';
import type { JobContext } from '../base/worker-server.ts';
import { closeFd, type FileStat, namesIn, statAt, tryOpenAt } from '../linux/files.ts';
import { LowerView } from './lower-view.ts';
import { isOpaque, isWhiteout } from './overlay-format.ts';
import { RootedDirectory } from './rooted-directory.ts';

const READ_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const [MODIFIED, ADDED, DELETED] = [0, 1, 2] as const;

/** The worker's side of `changes`. */
export function changesJob(
  { changesDir, lowerDirs }: { changesDir: string; lowerDirs: readonly string[] },
  context: JobContext,
): FilesystemChange[] {
  using upper = new RootedDirectory(changesDir);
  using lower = new LowerView(lowerDirs);
  return [...changesIn(upper.fd, [], { lower, context, covered: false })];
}

interface Comparison {
  readonly lower: LowerView;
  readonly context: JobContext;
  /** An opaque directory further up: what the layers below have here is not seen. */
  readonly covered: boolean;
}

/** Changes below the directory at `path`, which is open as `fd` and is one in the lower view too, or new. */
function* changesIn(fd: number, path: readonly ByteString[], comparison: Comparison): Generator<FilesystemChange> {
  const { lower, context } = comparison;
  const covered = comparison.covered || (path.length > 0 && isOpaque(fd));
  const names = namesIn(fd);
  const hidden = covered ? lower.names(path).filter((name) => !names.includes(name)) : [];
  for (const name of [...names, ...hidden].sort()) {
    context.check();
    const here = [...path, name];
    const now = statAt(fd, name);
    const before = lower.stat(here);
    if (!now || isWhiteout(now)) {
      if (before) yield { Path: shown(here), Kind: DELETED };
      continue;
    }
    if (now.kind !== 'directory') {
      if (!before) yield { Path: shown(here), Kind: ADDED };
      else if (differs(now, before)) yield { Path: shown(here), Kind: MODIFIED };
      continue;
    }
    yield* directoryChanges(fd, name, here, now, before, { ...comparison, covered });
  }
}

function* directoryChanges(
  parent: number,
  name: ByteString,
  path: readonly ByteString[],
  now: FileStat,
  before: FileStat | undefined,
  comparison: Comparison,
): Generator<FilesystemChange> {
  const fd = tryOpenAt(parent, name, READ_DIRECTORY);
  if (fd === undefined) return; // a running container removed it
  try {
    const isNew = before?.kind !== 'directory';
    const below = isNew ? { ...comparison, lower: NOTHING } : comparison;
    let said = isNew || differs(now, before);
    if (said) yield { Path: shown(path), Kind: before ? MODIFIED : ADDED };
    for (const change of changesIn(fd, path, below)) {
      // A directory is listed before what changed in it, though it did not change itself.
      if (!said) yield { Path: shown(path), Kind: MODIFIED };
      said = true;
      yield change;
    }
  } finally {
    closeFd(fd);
  }
}

/** Size and time of a directory say little: they change with what is in it. */
function differs(now: FileStat, before: FileStat): boolean {
  return (
    now.kind !== before.kind ||
    now.mode !== before.mode ||
    now.uid !== before.uid ||
    now.gid !== before.gid ||
    now.deviceMajor !== before.deviceMajor ||
    now.deviceMinor !== before.deviceMinor ||
    (now.kind !== 'directory' && (now.size !== before.size || now.mtime !== before.mtime))
  );
}

const NOTHING = new LowerView([]);

function shown(path: readonly ByteString[]): string {
  return `/${textOf(path.join('/'))}`;
}

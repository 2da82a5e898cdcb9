import type { PathStat } from '../api/container.ts';
import { type ByteString, byteString, textOf } from '../base/byte-string.ts';
import { EngineError } from '../base/errors.ts';
import { formatNanos } from '../base/time.ts';
import type { JobContext } from '../base/worker-server.ts';
import { type FileKind, type FileStat, tryReadLinkAt, statAt } from '../linux/files.ts';
import { applyLayerJob } from './apply-layer-job.ts';
import type { ArchivePutOptions, ContainerPath } from './container-archive.ts';
import { RootedDirectory } from './rooted-directory.ts';
import { shifted } from './shifted-ids.ts';
import { TreeArchive } from './tree-archive.ts';

/** The worker's side of `archiveStat`. */
export function archiveStatJob(place: ContainerPath): PathStat {
  using root = new RootedDirectory(place.root);
  const { name, parent, entry, stat } = locate(root, place);
  const link = stat.kind === 'symlink' ? tryReadLinkAt(parent, entry) : undefined;
  return {
    name: textOf(name),
    size: stat.size,
    mode: goFileMode(stat),
    mtime: formatNanos(stat.mtime),
    linkTarget: link === undefined ? '' : linkTarget(root, place, link),
  };
}

/** The worker's side of `archiveGet`. */
export async function archiveGetJob(place: ContainerPath, context: JobContext): Promise<void> {
  using root = new RootedDirectory(place.root);
  const { name, parent, entry } = locate(root, place);
  // `/s/link/..` is called what it turns out to be; `/` and `.` are names that clients cut off again.
  const as = name === '..' ? (root.resolved.at(-1) ?? '/') : name;
  const archive = new TreeArchive({
    overlay: false,
    skipKernelFilesystems: true,
    ids: place.ids,
    check: () => context.check(),
  });
  for (const chunk of archive.object(parent, entry, as)) await context.write(chunk);
  for (const chunk of archive.end()) await context.write(chunk);
}

/** The worker's side of `archivePut`. */
export async function archivePutJob(
  { options, ...place }: ContainerPath & { options: Omit<ArchivePutOptions, 'signal'> },
  context: JobContext,
): Promise<void> {
  using root = new RootedDirectory(place.root);
  const directory = extractionPoint(root, place);
  try {
    await applyLayerJob(
      {
        path: undefined,
        // The directory that was found, whatever its name leads to by now.
        target: `/proc/self/fd/${directory}`,
        options: {
          ...options,
          owner: ownerOnHost(options.owner, place.ids),
          ids: place.ids,
          whiteouts: 'literal',
          allowExternal: true,
        },
      },
      context,
    );
  } catch (error) {
    const code = ((error as Error).cause as { code?: unknown } | undefined)?.code;
    if (code === 'EROFS')
      throw new EngineError('invalid-argument', 'mounted volume is marked read-only', { cause: error });
    throw error;
  }
}

function ownerOnHost(owner: ArchivePutOptions['owner'], ids: ContainerPath['ids']): ArchivePutOptions['owner'] {
  return owner && ids ? { uid: shifted(owner.uid, ids.uid), gid: shifted(owner.gid, ids.gid) } : owner;
}

interface Located {
  /** The last component as given: it names entries. */
  readonly name: ByteString;
  readonly parent: number;
  /** Name in `parent`; `.` when the path is a directory by the way it is written. */
  readonly entry: ByteString;
  readonly stat: FileStat;
}

function locate(root: RootedDirectory, place: ContainerPath): Located {
  const components = componentsOf(place);
  const name = components.at(-1) ?? '/';
  const isDirectory = /(?:^|\/)\.{0,2}$/.test(place.path);
  return lookUp(place, () => {
    const parent = root.directory(isDirectory ? components : components.slice(0, -1), { follow: true });
    const entry = isDirectory ? '.' : name;
    const stat = statAt(parent, entry);
    return stat && { name: place.path === '.' || place.path.endsWith('/.') ? '.' : name, parent, entry, stat };
  });
}

/** The directory at the path, its symlinks followed. */
function extractionPoint(root: RootedDirectory, place: ContainerPath): number {
  const components = componentsOf(place);
  return lookUp(place, () => {
    try {
      return root.directory(components, { follow: true });
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOTDIR') throw error;
      throw new EngineError('invalid-argument', 'extraction point is not a directory', { cause: error });
    }
  });
}

function componentsOf({ path }: ContainerPath): ByteString[] {
  if (path === '') throw new EngineError('invalid-argument', 'bad parameter: path cannot be empty');
  if (path.includes('\0')) throw new EngineError('invalid-argument', 'bad parameter: path holds a NUL');
  return byteString(path)
    .split('/')
    .filter((part) => part !== '' && part !== '.');
}

function lookUp<T>({ path, container }: ContainerPath, find: () => T | undefined): T {
  try {
    const found = find();
    if (found !== undefined) return found;
  } catch (error) {
    switch ((error as { code?: unknown }).code) {
      case 'ENOENT':
        break;
      case 'ENOTDIR':
        throw new EngineError('invalid-argument', `lstat ${path}: not a directory`, { cause: error });
      case 'ELOOP':
        throw new EngineError('invalid-argument', `lstat ${path}: too many levels of symbolic links`, { cause: error });
      case 'ENAMETOOLONG':
        throw new EngineError('invalid-argument', `lstat ${path}: file name too long`, { cause: error });
      default:
        throw error;
    }
  }
  throw new EngineError('not-found', `Could not find the file ${path} in container ${container}`);
}

/** Where a symlink leads in the container, links on the way followed; what does not exist stays as written. */
function linkTarget(root: RootedDirectory, place: ContainerPath, target: ByteString): string {
  let pending = target.startsWith('/') ? target.split('/') : [...root.resolved, ...target.split('/')];
  const resolved: ByteString[] = [];
  for (let links = 0; pending.length > 0;) {
    const [next, ...rest] = pending as [ByteString, ...ByteString[]];
    pending = rest;
    if (next === '' || next === '.') continue;
    if (next === '..') {
      resolved.pop();
      continue;
    }
    const further = linkTargetAt(root, [...resolved, next]);
    if (further === undefined) {
      resolved.push(next);
      continue;
    }
    if (++links > 40) {
      throw new EngineError('invalid-argument', `lstat ${place.path}: too many levels of symbolic links`);
    }
    if (further.startsWith('/')) resolved.length = 0;
    pending = [...further.split('/'), ...rest];
  }
  return `/${textOf(resolved.join('/'))}`;
}

function linkTargetAt(root: RootedDirectory, path: readonly ByteString[]): ByteString | undefined {
  if (root.stat(path, { follow: false })?.kind !== 'symlink') return undefined;
  return tryReadLinkAt(root.directory(path.slice(0, -1), { follow: false }), path.at(-1)!);
}

/** Bits of Go's `os.FileMode`, which the Engine API speaks. */
const GO_KIND: Readonly<Record<FileKind, number>> = {
  file: 0,
  directory: 2 ** 31,
  symlink: 2 ** 27,
  'block-device': 2 ** 26,
  'character-device': 2 ** 26 + 2 ** 21,
  fifo: 2 ** 25,
  socket: 2 ** 24,
};

export function goFileMode({ kind, mode }: Pick<FileStat, 'kind' | 'mode'>): number {
  return (
    GO_KIND[kind] +
    (mode & 0o4000 ? 2 ** 23 : 0) +
    (mode & 0o2000 ? 2 ** 22 : 0) +
    (mode & 0o1000 ? 2 ** 20 : 0) +
    (mode & 0o777)
  );
}

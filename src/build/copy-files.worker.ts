import { createHash, type Hash } from 'node:crypto';
import { constants, fchmodSync, readSync, writeSync } from 'node:fs';
import { byteString, type ByteString, textOf } from '../base/byte-string.ts';
import { EngineError } from '../base/errors.ts';
import { PathPatterns } from '../base/path-patterns.ts';
import { type JobContext, serveJobs } from '../base/worker-server.ts';
import {
  changeOwnerAt,
  closeFd,
  type FileStat,
  makeDirectoryAt,
  makeNodeAt,
  namesIn,
  openAt,
  readLinkAt,
  setTimes,
  setTimesAt,
  statAt,
  symlinkAt,
  unlinkAt,
} from '../linux/files.ts';
import { getXattr, listXattrs, setXattr } from '../linux/xattr.ts';
import { makeImpliedDirectory, RootedDirectory, splitPath } from '../snapshot/rooted-directory.ts';
import type { CopySelection, CopyTarget } from './copy-files.ts';
import { matchName } from './match-name.ts';

/** One thing to copy: where it is below the source's root, and what it is called below the destination. */
interface Source {
  readonly path: readonly ByteString[];
  readonly stat: FileStat;
  readonly name: ByteString;
}

/** Something met on a walk: an open parent directory and a name in it. */
interface Visit {
  readonly dir: number;
  readonly name: ByteString;
  readonly stat: FileStat;
  /** Below the source that was named; empty for itself. */
  readonly below: readonly ByteString[];
}

const BUFFER = Buffer.allocUnsafe(1 << 20);
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

serveJobs({
  digest: ({ selection }: { selection: CopySelection }, context: JobContext) => {
    const total = createHash('sha256');
    let files = 0;
    let bytes = 0;
    eachSource(selection, (root, source, exclude) => {
      walk(root, source, exclude, context, (visit) => {
        files++;
        if (visit.stat.kind === 'file') bytes += visit.stat.size;
        digestEntry(total, source, visit, selection);
      });
    });
    return { digest: `sha256:${total.digest('hex')}`, files, bytes };
  },
  copy: ({ selection, target }: { selection: CopySelection; target: CopyTarget }, context: JobContext) => {
    using to = new RootedDirectory(target.root);
    const destination = splitPath(byteString(target.destination)) ?? [];
    const sources: Source[] = [];
    eachSource(selection, (_, source) => void sources.push(source));
    const intoDirectory =
      target.destination.endsWith('/') || to.stat(destination, { follow: true })?.kind === 'directory';
    if (sources.length > 1 && !intoDirectory && !sources.every((source) => source.stat.kind === 'directory')) {
      throw new EngineError(
        'invalid-argument',
        'When using COPY with more than one source file, the destination must be a directory and end with a /',
      );
    }
    eachSource(selection, (root, source, exclude) => {
      const base = source.stat.kind !== 'directory' && intoDirectory ? [...destination, source.name] : destination;
      const times: { path: readonly ByteString[]; mtime: bigint }[] = [];
      walk(root, source, exclude, context, (visit) => {
        const path = [...base, ...visit.below];
        copyEntry(to, path, visit, selection, context);
        // A directory that was there keeps its times; its own are set when nothing more is put into it.
        if (visit.stat.kind === 'directory' && visit.below.length > 0) times.push({ path, mtime: visit.stat.mtime });
      });
      for (const { path, mtime } of times.reverse()) setTimes2(to, path, mtime);
    });
    return undefined;
  },
});

function setTimes2(to: RootedDirectory, path: readonly ByteString[], mtime: bigint): void {
  setTimesAt(to.directory(path.slice(0, -1), { follow: true }), path.at(-1)!, mtime);
}

/** Calls back for every source of the selection, wildcards resolved, in order. */
function eachSource(
  selection: CopySelection,
  use: (root: RootedDirectory, source: Source, exclude: PathPatterns) => void,
): void {
  using root = new RootedDirectory(selection.root);
  const exclude = new PathPatterns(selection.exclude);
  for (const text of selection.sources) {
    const pattern = splitPath(byteString(text));
    if (!pattern)
      throw new EngineError(
        'invalid-argument',
        `COPY failed: forbidden path outside the ${selection.sourceName}: ${text}`,
      );
    const matches = [...resolvePattern(root, pattern, exclude)];
    if (matches.length === 0) {
      const what = /[*?[]/.test(text)
        ? `no source files were specified: ${text} matches nothing`
        : `file not found in ${selection.sourceName} or excluded by .dockerignore: stat ${text.replace(/^\/+/, '')}: file does not exist`;
      throw new EngineError('not-found', `COPY failed: ${what}`);
    }
    for (const path of matches) {
      const resolved = followLast(root, path);
      if (resolved) use(root, { ...resolved, name: path.at(-1) ?? '' }, exclude);
    }
  }
}

function* resolvePattern(
  root: RootedDirectory,
  pattern: readonly ByteString[],
  exclude: PathPatterns,
): Generator<ByteString[]> {
  let candidates: ByteString[][] = [[]];
  for (const part of pattern) {
    const next: ByteString[][] = [];
    for (const path of candidates) {
      if (!/[*?[\\]/.test(part)) {
        if (root.stat([...path, part], { follow: true })) next.push([...path, part]);
        continue;
      }
      for (const name of listNames(root, path)) if (matchName(part, name)) next.push([...path, name]);
    }
    candidates = next;
  }
  for (const path of candidates) {
    if (path.length === 0 || exclude.hasExceptions || !exclude.matches(textOf(path.join('/')))) yield path;
  }
}

function listNames(root: RootedDirectory, path: readonly ByteString[]): ByteString[] {
  if (root.stat(path, { follow: true })?.kind !== 'directory') return [];
  const fd = openAt(root.directory(path, { follow: true }), '.', constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return namesIn(fd).sort();
  } finally {
    closeFd(fd);
  }
}

/** A source that is itself a symlink stands for what it points to, inside the root. */
function followLast(
  root: RootedDirectory,
  path: readonly ByteString[],
): { path: readonly ByteString[]; stat: FileStat } | undefined {
  let current = path;
  for (let links = 0; links <= 40; links++) {
    const stat = root.stat(current, { follow: true });
    if (!stat) return undefined;
    if (stat.kind !== 'symlink') return { path: current, stat };
    const target = readLinkAt(root.directory(current.slice(0, -1), { follow: true }), current.at(-1)!);
    const parent = root.resolved;
    const parts = target.startsWith('/') ? target : `${parent.join('/')}/${target}`;
    const kept: ByteString[] = [];
    for (const part of parts.split('/')) {
      if (part === '' || part === '.') continue;
      if (part === '..') kept.pop();
      else kept.push(part);
    }
    current = kept;
  }
  throw new EngineError(
    'invalid-argument',
    `COPY failed: too many levels of symbolic links: ${textOf(path.join('/'))}`,
  );
}

function walk(
  root: RootedDirectory,
  source: Source,
  exclude: PathPatterns,
  context: JobContext,
  visit: (visit: Visit) => void,
): void {
  const parent = source.path.length === 0 ? root.fd : root.directory(source.path.slice(0, -1), { follow: true });
  const descend = (dir: number, name: ByteString, stat: FileStat, below: readonly ByteString[]): void => {
    context.check();
    const path = textOf([...source.path, ...below].join('/'));
    const excluded = path !== '' && exclude.matches(path);
    if (excluded && (stat.kind !== 'directory' || !exclude.hasExceptions)) return;
    if (!excluded) visit({ dir, name, stat, below });
    if (stat.kind !== 'directory') return;
    const fd = openAt(dir, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      for (const child of namesIn(fd).sort()) {
        const childStat = statAt(fd, child);
        if (childStat) descend(fd, child, childStat, [...below, child]);
      }
    } finally {
      closeFd(fd);
    }
  };
  descend(parent, source.path.at(-1) ?? '.', source.stat, []);
}

function ownerOf(stat: FileStat, selection: CopySelection): { uid: number; gid: number } {
  if (selection.owner) return selection.owner;
  return selection.keepOwner ? { uid: stat.uid, gid: stat.gid } : { uid: 0, gid: 0 };
}

function digestEntry(total: Hash, source: Source, visit: Visit, selection: CopySelection): void {
  const { stat } = visit;
  // The source's own name counts only where it is given to the copy: for a file, not for a directory's content.
  const name =
    stat.kind === 'directory' && visit.below.length === 0
      ? ''
      : [source.stat.kind === 'directory' ? '' : source.name, ...visit.below].join('/');
  const { uid, gid } = ownerOf(stat, selection);
  total.update(`${name}\0${stat.kind}\0${(selection.mode ?? stat.mode).toString(8)}\0${uid}:${gid}\0`, 'latin1');
  if (stat.kind === 'symlink') total.update(readLinkAt(visit.dir, visit.name), 'latin1');
  else if (stat.kind === 'file') {
    const content = createHash('sha256');
    withFile(visit, (fd) => {
      for (const key of listXattrs(fd).filter(copiedXattr).sort())
        content.update(`${key}\0`, 'latin1').update(getXattr(fd, key) ?? '');
      for (let read = readSync(fd, BUFFER); read > 0; read = readSync(fd, BUFFER))
        content.update(BUFFER.subarray(0, read));
    });
    total.update(content.digest());
  } else if (stat.kind.endsWith('device')) total.update(`${stat.deviceMajor}:${stat.deviceMinor}`);
  total.update('\n');
}

function copiedXattr(name: ByteString): boolean {
  return name === 'security.capability' || name.startsWith('user.');
}

function withFile(visit: Visit, use: (fd: number) => void): void {
  const fd = openAt(visit.dir, visit.name, READ);
  try {
    use(fd);
  } finally {
    closeFd(fd);
  }
}

function copyEntry(
  to: RootedDirectory,
  path: readonly ByteString[],
  visit: Visit,
  selection: CopySelection,
  context: JobContext,
): void {
  const { stat } = visit;
  const { uid, gid } = ownerOf(stat, selection);
  if (path.length === 0) return; // the root itself
  const parent = to.directory(path.slice(0, -1), { follow: true, make: makeImpliedDirectory });
  const name = path.at(-1)!;
  const before = statAt(parent, name);
  if (stat.kind === 'directory') {
    if (before?.kind === 'directory' || (before?.kind === 'symlink' && visit.below.length === 0)) return;
    if (before)
      throw new EngineError(
        'invalid-argument',
        `COPY failed: cannot copy a directory to ${textOf(path.join('/'))}: it is not a directory`,
      );
    makeDirectoryAt(parent, name, 0o755);
    changeOwnerAt(parent, name, uid, gid);
    const fd = openAt(parent, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    chmodFd(fd, selection.mode ?? stat.mode);
    closeFd(fd);
    return;
  }
  if (before?.kind === 'directory')
    throw new EngineError(
      'invalid-argument',
      `COPY failed: cannot copy a file to ${textOf(path.join('/'))}: it is a directory`,
    );
  if (before) unlinkAt(parent, name);
  switch (stat.kind) {
    case 'symlink':
      symlinkAt(readLinkAt(visit.dir, visit.name), parent, name);
      changeOwnerAt(parent, name, uid, gid);
      setTimesAt(parent, name, stat.mtime);
      return;
    case 'file':
      withFile(visit, (from) => {
        const fd = openAt(
          parent,
          name,
          constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
          0o600,
        );
        try {
          for (let read = readSync(from, BUFFER); read > 0; read = readSync(from, BUFFER)) {
            context.check();
            for (let done = 0; done < read;) done += writeSync(fd, BUFFER, done, read - done);
          }
          changeOwnerAt(parent, name, uid, gid);
          chmodFd(fd, selection.mode ?? stat.mode);
          for (const key of listXattrs(from).filter(copiedXattr))
            setXattr(fd, key, getXattr(from, key) ?? Buffer.alloc(0));
          setTimes(fd, stat.mtime);
        } finally {
          closeFd(fd);
        }
      });
      return;
    case 'fifo':
    case 'character-device':
    case 'block-device':
      makeNodeAt(parent, name, stat.kind, stat.mode, { major: stat.deviceMajor, minor: stat.deviceMinor });
      changeOwnerAt(parent, name, uid, gid);
      return;
    case 'socket':
    case undefined:
      return;
  }
}

function chmodFd(fd: number, mode: number): void {
  fchmodSync(fd, mode & 0o7777);
}

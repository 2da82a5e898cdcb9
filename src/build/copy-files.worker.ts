import { createHash, hash } from 'node:crypto';
import { constants, fchmodSync, readSync, writeSync } from 'node:fs';
import { byteString, type ByteString, textOf } from '../base/byte-string.ts';
import { EngineError } from '../base/errors.ts';
import { PathPatterns } from '../base/path-patterns.ts';
import type { JobContext, Jobs } from '../base/worker-server.ts';
import {
  changeOwnerAt,
  closeFd,
  type FileStat,
  makeDirectoryAt,
  makeNodeAt,
  namesIn,
  openDirectory,
  openAt,
  readLinkAt,
  setTimes,
  setTimesAt,
  statAt,
  statFd,
  symlinkAt,
  unlinkAt,
} from '../linux/files.ts';
import { getXattr, listXattrs, setXattr } from '../linux/xattr.ts';
import { removeTreeAt } from '../snapshot/remove-tree.ts';
import { makeImpliedDirectory, RootedDirectory, splitPath } from '../snapshot/rooted-directory.ts';
import { SettledTimes } from '../snapshot/settled-times.ts';
import { looksLikeArchive, MAGIC_BYTES } from './archive-magic.ts';
import { CONTEXT_TIME, type CopySelection, type CopyTarget, type FoundArchive } from './copy-files.ts';
import { changePath, type PathChange } from './file-changes.ts';
import { changeMode } from './file-mode.ts';
import { FileNames } from './file-names.ts';
import { KnownList, type ListedEntry } from './known-list.ts';
import { type LaterLink, LaterLinks, tryLink } from './later-links.ts';
import { matchName } from './match-name.ts';
import { digestComing, digestSettled, placePending, type SealParameters } from './seal-changes-job.ts';

/** One thing to copy: where it is below the source's root, and what it is called below the destination. */
interface Source {
  readonly path: readonly ByteString[];
  readonly stat: FileStat;
  /** What of its path is kept: the last name, more with `--parents`. */
  readonly kept: readonly ByteString[];
  /** Paths of the directories in front of the last name of `kept`. */
  readonly above: readonly (readonly ByteString[])[];
}

/** Something met on a walk: an open parent directory and a name in it. */
interface Visit {
  readonly dir: number;
  readonly name: ByteString;
  readonly stat: FileStat;
  /** Below the source that was named; empty for itself. */
  readonly below: readonly ByteString[];
  /** Below the root of the selection. */
  readonly path?: ByteString;
  /** What the list of the tree has for it, where that has everything. */
  readonly entry?: ListedEntry;
}

/** What a walk over a source meets. */
interface WalkVisit extends Visit {
  /** `below` as a path. */
  readonly local: ByteString;
}

/** As the kernel does. */
const MAX_LINKS = 40;
/** Entries that are told by name; more are only one digest. */
const MAX_ENTRIES = 1000;
const BUFFER = Buffer.allocUnsafe(1 << 20);
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export const jobs: Jobs = {
  digest: ({ selection }: { selection: CopySelection }, context: JobContext) => {
    const total = createHash('sha256');
    const entries = new Map<string, string>();
    const add = (name: ByteString, visit: Visit, more = ''): void => {
      const digest = digestEntry(name, visit, selection, more);
      total.update(digest);
      if (entries.size <= MAX_ENTRIES) entries.set(textOf(name), digest.toString('base64url', 0, 9));
    };
    let files = 0;
    let bytes = 0;
    eachSource(selection, (root, source) => {
      for (const [index, path] of source.above.entries()) {
        const visit = visitOf(root, path);
        if (visit) add(source.kept.slice(0, index + 1).join('/'), visit);
      }
      const archive = selection.unpack && isArchive(root, source);
      const names = namesOf(selection);
      // The source's own name counts only where it is given to the copy: for a file, not for a directory's content.
      const own = source.stat.kind === 'directory' && !selection.parents ? '' : source.kept.join('/');
      walk(root, source, selection, context, (visit) => {
        files++;
        if (visit.stat.kind === 'file') bytes += visit.stat.size;
        const first = names?.firstOf(visit.stat, visit.below);
        const more = first ? `link to ${first.join('/')}` : archive ? 'unpacked' : '';
        add(joined(own, visit.local), visit, more);
      });
    });
    return {
      digest: `sha256:${total.digest('hex')}`,
      files,
      bytes,
      entries: entries.size > MAX_ENTRIES ? undefined : Object.fromEntries(entries),
    };
  },
  copy: ({ selection, target }: { selection: CopySelection; target: CopyTarget }, context: JobContext) => {
    using to = new RootedDirectory(target.root);
    using copied = new RootedDirectory(target.root);
    const destination = splitPath(byteString(target.destination)) ?? [];
    const archives: FoundArchive[] = [];
    const asDirectory = target.destination.endsWith('/');
    const { linksLater } = target;
    const later = linksLater && new LaterLinks(linksLater === true ? undefined : new SettledTimes(linksLater));
    eachSource(selection, (root, source) => {
      if (selection.unpack && isArchive(root, source)) {
        archives.push({ path: hostPath(selection.root, root, source) });
        return;
      }
      const intoDirectory =
        selection.parents || asDirectory || to.stat(destination, { follow: true })?.kind === 'directory';
      const base =
        selection.parents || (source.stat.kind !== 'directory' && intoDirectory)
          ? [...destination, ...source.kept]
          : throughLinks(to, destination);
      for (const [index, path] of source.above.entries()) {
        const visit = visitOf(root, path);
        if (visit)
          copyEntry(to, [...destination, ...source.kept.slice(0, index + 1)], visit, selection, context, later);
      }
      const directories: { path: readonly ByteString[]; mtime: bigint }[] = [];
      const names = namesOf(selection);
      const folder = later && new NewFolder(later, selection);
      walk(root, source, selection, context, (visit) => {
        if (folder?.takes(visit)) return;
        const path = [...base, ...visit.below];
        const first = names?.firstOf(visit.stat, path);
        copyEntry(to, path, visit, selection, context, later, first && { root: copied, path: first });
        if (visit.stat.kind === 'directory') folder?.enter(visit, [...to.resolved, ...path.slice(-1)].join('/'));
        // A directory that was there keeps its times; its own are set when nothing more is put into it.
        if (visit.stat.kind === 'directory' && visit.below.length > 0)
          directories.push({ path, mtime: timeOf(visit.stat, selection) });
      });
      for (const { path, mtime } of directories.reverse()) setTimesOf(to, path, mtime);
    });
    return { archives, links: later?.links ?? '', stats: later?.stats ?? NO_STATS };
  },
  place: (parameters: SealParameters, context: JobContext) => place(parameters, context),
  seal: (parameters: SealParameters, context: JobContext) => {
    if (parameters.pending) place(parameters, context);
    return digestSettled(parameters, context);
  },
  'digest-sealed': digestComing,
  change: ({ root, changes }: { root: string; changes: readonly PathChange[] }, context: JobContext) => {
    for (const change of changes) changePath(root, change, () => context.check());
  },
  equalize: ({ from, to }: { from: string; to: string }, context: JobContext) => {
    using target = new RootedDirectory(to);
    const fd = openDirectory(from);
    try {
      equalizeBelow(fd, target, [], context);
    } finally {
      closeFd(fd);
    }
  },
  clamp: (
    { directory, seconds, exact }: { directory: string; seconds: number; exact: boolean },
    context: JobContext,
  ) => {
    const times = new SettledTimes({ seconds, exact });
    const fd = openDirectory(directory);
    try {
      clampBelow(fd, times, context);
      times.settle(fd, '.', statFd(fd).mtime);
    } finally {
      closeFd(fd);
    }
  },
};

const NO_STATS = new BigInt64Array(0);

function place(parameters: SealParameters, context: JobContext): void {
  const { selection } = parameters.pending!;
  placePending(
    parameters,
    (to, path, { dir, name }) =>
      copyEntry(to, path, { dir, name, stat: statAt(dir, name)!, below: path }, selection, context),
    context,
  );
}

/** Everything as it is. */
const AS_IT_IS: CopySelection = {
  root: '',
  sources: [],
  ignore: [],
  exclude: [],
  parents: true,
  keepOwner: true,
  unpack: false,
  sourceName: '',
};

function equalizeBelow(from: number, to: RootedDirectory, path: readonly ByteString[], context: JobContext): void {
  const wanted = namesIn(from);
  const known = new Set(wanted);
  for (const name of namesIn(to.directory(path, { follow: false }))) {
    if (known.has(name)) continue;
    removeTreeAt(to.directory(path, { follow: false }), name, () => context.check());
    to.forget(path.length);
  }
  for (const name of wanted) {
    context.check();
    const stat = statAt(from, name)!;
    const place = [...path, name];
    const visit = { dir: from, name, stat, below: place };
    const before = to.stat(place, { follow: false });
    if (before && before.kind !== stat.kind) {
      removeTreeAt(to.directory(path, { follow: false }), name, () => context.check());
      to.forget(path.length);
    }
    if (stat.kind !== 'directory') {
      if (!before || !isSame(visit, before, to, place)) copyEntry(to, place, visit, AS_IT_IS, context);
      continue;
    }
    if (before?.kind !== 'directory') copyEntry(to, place, visit, AS_IT_IS, context);
    const fd = openAt(from, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      equalizeBelow(fd, to, place, context);
    } finally {
      closeFd(fd);
    }
    const after = to.stat(place, { follow: false })!;
    const parent = to.directory(path, { follow: false });
    if (after.uid !== stat.uid || after.gid !== stat.gid) changeOwnerAt(parent, name, stat.uid, stat.gid);
    if (after.mode !== stat.mode) {
      const own = openAt(parent, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      chmodFd(own, stat.mode);
      closeFd(own);
    }
    if (after.mtime !== stat.mtime) setTimesAt(parent, name, stat.mtime);
  }
}

/** Equal in all that a layer has of it. Times to the second come from archives: then content is looked at. */
function isSame(visit: Visit, before: FileStat, to: RootedDirectory, path: readonly ByteString[]): boolean {
  const { stat } = visit;
  if (before.kind !== stat.kind || before.uid !== stat.uid || before.gid !== stat.gid) return false;
  if (before.mtime !== stat.mtime) return false;
  const dir = to.directory(path.slice(0, -1), { follow: false });
  const name = path.at(-1)!;
  if (stat.kind === 'symlink') return readLinkAt(visit.dir, visit.name) === readLinkAt(dir, name);
  if (before.mode !== stat.mode || before.size !== stat.size) return false;
  if (stat.kind !== 'file') return before.deviceMajor === stat.deviceMajor && before.deviceMinor === stat.deviceMinor;
  if (stat.mtime % 1_000_000_000n !== 0n) return true;
  const other = { dir, name, stat: before, below: path };
  return digestEntry('', visit, AS_IT_IS, '').equals(digestEntry('', other, AS_IT_IS, ''));
}

function clampBelow(dir: number, times: SettledTimes, context: JobContext): void {
  for (const name of namesIn(dir)) {
    context.check();
    const stat = statAt(dir, name);
    if (stat?.kind === 'directory') {
      const fd = openAt(dir, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      try {
        clampBelow(fd, times, context);
      } finally {
        closeFd(fd);
      }
    }
    if (stat) times.settle(dir, name, stat.mtime);
  }
}

function setTimesOf(to: RootedDirectory, path: readonly ByteString[], mtime: bigint): void {
  setTimesAt(to.directory(path.slice(0, -1), { follow: true }), path.at(-1)!, mtime);
}

function visitOf(root: RootedDirectory, path: readonly ByteString[]): Visit | undefined {
  const stat = root.stat(path, { follow: true });
  if (stat?.kind !== 'directory') return undefined;
  return { dir: root.directory(path.slice(0, -1), { follow: true }), name: path.at(-1)!, stat, below: [] };
}

/** Whether a source is an archive that `ADD` unpacks: by its content, as its name may be anything. */
function isArchive(root: RootedDirectory, source: Source): boolean {
  if (source.stat.kind !== 'file' || source.stat.size < 4) return false;
  const dir = root.directory(source.path.slice(0, -1), { follow: true });
  const start = Buffer.allocUnsafe(MAGIC_BYTES);
  let length = 0;
  withFile({ dir, name: source.path.at(-1)!, stat: source.stat, below: [] }, (fd) => {
    length = readSync(fd, start);
  });
  return looksLikeArchive(start.subarray(0, length));
}

function hostPath(hostRoot: string, root: RootedDirectory, source: Source): string {
  root.directory(source.path.slice(0, -1), { follow: true });
  return [hostRoot, ...[...root.resolved, source.path.at(-1)!].map(textOf)].join('/');
}

/** Calls back for every source of the selection, wildcards resolved, in order. */
function eachSource(selection: CopySelection, use: (root: RootedDirectory, source: Source) => void): void {
  using root = new RootedDirectory(selection.root);
  const ignore = new PathPatterns(selection.ignore);
  for (const text of selection.sources) {
    const pattern = inside(text);
    const wild = /[*?[]/.test(text);
    const pivot = selection.parents ? pivotOf(text) : 0;
    let found = false;
    for (const path of resolvePattern(root, pattern, ignore, selection.parents)) {
      const resolved = selection.keepLinks ? asItIs(root, path) : followLast(root, path);
      if (!resolved) continue;
      found = true;
      const kept = selection.parents ? path.slice(pivot) : path.slice(-1);
      use(root, { ...resolved, kept, above: kept.slice(0, -1).map((_, index) => path.slice(0, pivot + index + 1)) });
    }
    // As with BuildKit, a pattern may match nothing; a name must be there.
    if (!found && !wild) {
      const what = `file not found in ${selection.sourceName} or excluded by .dockerignore: stat ${text.replace(/^\/+/, '')}: file does not exist`;
      throw new EngineError('not-found', `COPY failed: ${what}`);
    }
  }
}

/** Components of a source: `..` stops at the root, as for a process inside. */
function inside(text: string): ByteString[] {
  const kept: ByteString[] = [];
  for (const part of byteString(text).split('/')) {
    if (part === '..') kept.pop();
    else if (part !== '' && part !== '.') kept.push(part);
  }
  return kept;
}

/** How many components stand in front of `/./`. */
function pivotOf(text: string): number {
  const at = text.indexOf('/./');
  return at < 0 ? 0 : inside(text.slice(0, at)).length;
}

function* resolvePattern(
  root: RootedDirectory,
  pattern: readonly ByteString[],
  ignore: PathPatterns,
  deep: boolean,
): Generator<ByteString[]> {
  let candidates: ByteString[][] = [[]];
  for (const part of pattern) {
    const next: ByteString[][] = [];
    for (const path of candidates) {
      if (deep && part === '**') {
        next.push(...directoriesBelow(root, path));
        continue;
      }
      if (!/[*?[\\]/.test(part)) {
        if (root.stat([...path, part], { follow: true })) next.push([...path, part]);
        continue;
      }
      for (const name of listNames(root, path)) if (matchName(part, name)) next.push([...path, name]);
    }
    candidates = next;
  }
  for (const path of candidates) {
    if (path.length === 0 || ignore.hasExceptions || !ignore.matches(textOf(path.join('/')))) yield path;
  }
}

/** `path` and the directories below it; links to directories are not followed. */
function* directoriesBelow(root: RootedDirectory, path: ByteString[]): Generator<ByteString[]> {
  yield path;
  for (const name of listNames(root, path)) {
    const child = [...path, name];
    if (root.stat(child, { follow: true })?.kind === 'directory') yield* directoriesBelow(root, child);
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

/** A destination that is a symlink means what it points to, also when that is not there yet. */
function throughLinks(to: RootedDirectory, destination: readonly ByteString[]): readonly ByteString[] {
  let current = destination;
  for (let links = 0; links < MAX_LINKS; links++) {
    if (to.stat(current, { follow: true })?.kind !== 'symlink') return current;
    current = linkTarget(to, current);
  }
  throw tooManyLinks(destination);
}

/** Where the symlink at `path` points to, inside the root. */
function linkTarget(root: RootedDirectory, path: readonly ByteString[]): readonly ByteString[] {
  const target = readLinkAt(root.directory(path.slice(0, -1), { follow: true }), path.at(-1)!);
  const kept: ByteString[] = target.startsWith('/') ? [] : [...root.resolved];
  for (const part of target.split('/')) {
    if (part === '..') kept.pop();
    else if (part !== '' && part !== '.') kept.push(part);
  }
  return kept;
}

function tooManyLinks(path: readonly ByteString[]): EngineError {
  return new EngineError(
    'invalid-argument',
    `COPY failed: too many levels of symbolic links: ${textOf(path.join('/'))}`,
  );
}

/** A source that is itself a symlink stands for what it points to, inside the root. */
function followLast(
  root: RootedDirectory,
  path: readonly ByteString[],
): { path: readonly ByteString[]; stat: FileStat } | undefined {
  let current = path;
  for (let links = 0; links < MAX_LINKS; links++) {
    const stat = root.stat(current, { follow: true });
    if (!stat) return undefined;
    if (stat.kind !== 'symlink') return { path: current, stat };
    current = linkTarget(root, current);
  }
  throw tooManyLinks(path);
}

function asItIs(
  root: RootedDirectory,
  path: readonly ByteString[],
): { path: readonly ByteString[]; stat: FileStat } | undefined {
  const stat = root.stat(path, { follow: true });
  return stat && { path, stat };
}

function walk(
  root: RootedDirectory,
  source: Source,
  selection: CopySelection,
  context: JobContext,
  visit: (visit: WalkVisit) => void,
): void {
  const top = source.path.join('/');
  const kept = source.kept.join('/');
  const ignore = new PathPatterns(selection.ignore);
  const exclude = new PathPatterns(selection.exclude);
  const hasExceptions = ignore.hasExceptions || exclude.hasExceptions;
  const isExcluded = (below: ByteString): boolean => {
    if (ignore.isEmpty && exclude.isEmpty) return false;
    const path = textOf(joined(top, below));
    // With --parents the kept path is what patterns are about, otherwise what is below the source.
    const local = textOf(selection.parents ? joined(kept, below) : below);
    return (path !== '' && ignore.matches(path)) || (local !== '' && exclude.matches(local));
  };
  const descendListed = (entry: ListedEntry, local: ByteString): void => {
    context.check();
    const { stat, children } = entry;
    const excluded = isExcluded(local);
    if (excluded && (stat.kind !== 'directory' || !hasExceptions)) return;
    if (!excluded) visit(new ListedVisit(root, entry, joined(top, local), local));
    for (const [name, child] of children) descendListed(child, joined(local, name));
  };
  const listed = selection.known?.complete ? KnownList.read(selection.known).find(source.path) : undefined;
  if (listed) return descendListed(listed, '');
  const descend = (dir: number, name: ByteString, stat: FileStat, below: readonly ByteString[]): void => {
    context.check();
    const local = below.join('/');
    const excluded = isExcluded(local);
    if (excluded && (stat.kind !== 'directory' || !hasExceptions)) return;
    if (!excluded) visit({ dir, name, stat, below, local, path: joined(top, local) });
    if (stat.kind !== 'directory') return;
    const fd = openAt(dir, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      for (const child of namesIn(fd)) {
        const childStat = statAt(fd, child);
        if (childStat) descend(fd, child, childStat, [...below, child]);
      }
    } finally {
      closeFd(fd);
    }
  };
  const parent = source.path.length === 0 ? root.fd : root.directory(source.path.slice(0, -1), { follow: true });
  descend(parent, source.path.at(-1) ?? '.', source.stat, []);
}

/** Something that a list has: its directory is opened when somebody wants more than the list knows. */
class ListedVisit implements WalkVisit {
  readonly stat: FileStat;
  readonly entry: ListedEntry;
  readonly path: ByteString;
  readonly local: ByteString;
  readonly root: RootedDirectory;

  constructor(root: RootedDirectory, entry: ListedEntry, path: ByteString, local: ByteString) {
    this.stat = entry.stat;
    this.entry = entry;
    this.path = path;
    this.local = local;
    this.root = root;
  }

  get name(): ByteString {
    return this.path === '' ? '.' : this.path.slice(this.path.lastIndexOf('/') + 1);
  }

  get below(): readonly ByteString[] {
    return this.local === '' ? [] : this.local.split('/');
  }

  get dir(): number {
    return this.root.directory(this.path.split('/').slice(0, -1), { follow: false });
  }
}

/**
 * The directory that a walk has entered last, where the copy made it: of a file in it that is to be a link nothing is asked
 * but whether its name is free.
 */
class NewFolder {
  readonly #later: LaterLinks;
  readonly #selection: CopySelection;
  /** `local` of what is in it begins with it; undefined when it was there before. */
  #prefix: ByteString | undefined;
  #place: ByteString = '';

  constructor(later: LaterLinks, selection: CopySelection) {
    this.#later = later;
    this.#selection = selection;
  }

  /** The walk comes to a directory that the target has at `place`. */
  enter({ local }: WalkVisit, place: ByteString): void {
    this.#prefix = this.#later.isMadeDirectory(place) ? (local === '' ? '' : `${local}/`) : undefined;
    this.#place = place;
  }

  /** Whether it is one of them, and all is done for it. */
  takes(visit: WalkVisit): boolean {
    const { local, entry, stat } = visit;
    if (entry === undefined || stat.kind !== 'file' || this.#prefix === undefined || local === '') return false;
    const cut = local.lastIndexOf('/') + 1;
    if (cut !== this.#prefix.length || !local.startsWith(this.#prefix)) return false;
    const place = `${this.#place}/${local.slice(cut)}`;
    if (!this.#later.isFree(place) || !mayLink(visit, this.#selection)) return false;
    this.#later.drop(place);
    return this.#later.add(linkOf(visit, this.#selection), { parent: undefined, place });
  }
}

/** Two relative paths as one; either may be empty. */
function joined(first: ByteString, second: ByteString): ByteString {
  if (first === '' || second === '') return first + second;
  return `${first}/${second}`;
}

/** Files of a directory that nobody writes into may share an inode without being meant to be one. */
function namesOf(selection: CopySelection): FileNames | undefined {
  return selection.steady === undefined ? new FileNames() : undefined;
}

function ownerOf(stat: FileStat, selection: CopySelection): { uid: number; gid: number } {
  if (selection.owner) return selection.owner;
  return selection.keepOwner ? { uid: stat.uid, gid: stat.gid } : { uid: 0, gid: 0 };
}

function digestEntry(name: ByteString, visit: Visit, selection: CopySelection, more: string): Buffer {
  const { stat } = visit;
  const { uid, gid } = ownerOf(stat, selection);
  const mode = changeMode(stat.mode, selection.mode, stat.kind === 'directory');
  const head = `${name}\0${stat.kind}\0${mode.toString(8)}\0${uid}:${gid}\0${more}\0`;
  const known = contentOf(visit, selection);
  if (known !== undefined) return hash('sha256', Buffer.from(head + known, 'latin1'), 'buffer');
  const entry = createHash('sha256').update(head, 'latin1');
  withFile(visit, (fd) => {
    for (const key of listXattrs(fd).filter(copiedXattr).sort()) {
      const value = getXattr(fd, key) ?? Buffer.alloc(0);
      entry.update(`${key}\0${value.length}\0`, 'latin1').update(value);
    }
    const content = createHash('sha256');
    for (let read = readSync(fd, BUFFER); read > 0; read = readSync(fd, BUFFER))
      content.update(BUFFER.subarray(0, read));
    entry.update('\0').update(content.digest('hex'));
  });
  return entry.digest();
}

/** What an entry is beside its head, for `digestEntry`; undefined for a file that has to be read for that. */
function contentOf(visit: Visit, selection: CopySelection): string | undefined {
  const { stat, entry, path } = visit;
  if (stat.kind === 'symlink') return entry?.text ?? readLinkAt(visit.dir, visit.name);
  if (stat.kind.endsWith('device')) return `${stat.deviceMajor}:${stat.deviceMinor}`;
  if (stat.kind !== 'file') return '';
  const digest =
    entry?.text ??
    (path === undefined || !selection.known ? undefined : KnownList.read(selection.known).digests.get(path));
  return digest === undefined || digest === '' ? undefined : `\0${digest}`;
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
  later?: LaterLinks,
  /** A copy of the same file, which this may be another name of. */
  twin?: { readonly root: RootedDirectory; readonly path: readonly ByteString[] },
): void {
  const { stat } = visit;
  const { uid, gid } = ownerOf(stat, selection);
  if (path.length === 0) return; // the root itself
  const parent = parentFor(to, path, selection, later);
  const name = path.at(-1)!;
  const place = later ? [...to.resolved, name].join('/') : '';
  let before = later?.isFree(place) ? undefined : statAt(parent, name);
  if (selection.replace && before && (before.kind === 'directory') !== (stat.kind === 'directory')) {
    removeTreeAt(parent, name, () => context.check());
    before = undefined;
  }
  if (stat.kind === 'directory') {
    if (before?.kind === 'symlink' && visit.below.length === 0) return;
    if (before?.kind === 'directory') {
      // One that was there becomes as the one that is put over it, except that which all is copied into.
      if (visit.below.length > 0)
        setDirectory(parent, name, { uid, gid, mode: changeMode(stat.mode, selection.mode, true) });
      return;
    }
    if (before || later?.has(place))
      throw new EngineError(
        'invalid-argument',
        `COPY failed: cannot copy a directory to ${textOf(path.join('/'))}: it is not a directory`,
      );
    // What a directory is copied to is a directory of its own: it takes neither mode nor owner from the source.
    const isTarget = visit.below.length === 0 && !selection.parents;
    makeDirectoryAt(parent, name, 0o755);
    later?.made(place, true);
    if (!isTarget) changeOwnerAt(parent, name, uid, gid);
    else if (selection.owner) changeOwnerAt(parent, name, selection.owner.uid, selection.owner.gid);
    // Of a change in words only its contents take part.
    const change = isTarget && typeof selection.mode === 'object' ? undefined : selection.mode;
    setDirectory(parent, name, { mode: changeMode(isTarget ? 0o755 : stat.mode, change, true) });
    return;
  }
  if (before?.kind === 'directory')
    throw new EngineError(
      'invalid-argument',
      `COPY failed: cannot copy a file to ${textOf(path.join('/'))}: it is a directory`,
    );
  if (before) unlinkAt(parent, name);
  later?.drop(place);
  switch (stat.kind) {
    case 'symlink':
      symlinkAt(visit.entry?.text ?? readLinkAt(visit.dir, visit.name), parent, name);
      later?.made(place, false);
      changeOwnerAt(parent, name, uid, gid);
      setTimesAt(parent, name, timeOf(stat, selection));
      return;
    case 'file':
      // The name of one that is gone is taken in the target's changes.
      if (!before && later && mayLink(visit, selection) && later.add(linkOf(visit, selection), { parent, place }))
        return;
      later?.made(place, false);
      if (twin?.root.stat(twin.path, { follow: true })?.kind === 'file') {
        const dir = twin.root.directory(twin.path.slice(0, -1), { follow: true });
        if (tryLink(dir, twin.path.at(-1)!, parent, name)) return;
      }
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
          chmodFd(fd, changeMode(stat.mode, selection.mode, false));
          for (const key of listXattrs(from).filter(copiedXattr))
            setXattr(fd, key, getXattr(from, key) ?? Buffer.alloc(0));
          setTimes(fd, timeOf(stat, selection));
        } finally {
          closeFd(fd);
        }
      });
      return;
    case 'fifo':
    case 'character-device':
    case 'block-device':
      later?.made(place, false);
      makeNodeAt(parent, name, stat.kind, stat.mode, { major: stat.deviceMajor, minor: stat.deviceMinor });
      changeOwnerAt(parent, name, uid, gid);
      return;
    case 'socket':
    case undefined:
      return;
  }
}

function setDirectory(
  parent: number,
  name: ByteString,
  { uid, gid, mode }: { readonly uid?: number; readonly gid?: number; readonly mode: number },
): void {
  const fd = openAt(parent, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    if (uid !== undefined && gid !== undefined) changeOwnerAt(parent, name, uid, gid);
    chmodFd(fd, mode);
  } finally {
    closeFd(fd);
  }
}

/** Whether another name for the file is as good as a copy: both would be the same in content, mode, owner and time. */
function mayLink({ stat, path }: Visit, selection: CopySelection): boolean {
  if (selection.steady === undefined || path === undefined) return false;
  if (stat.mtime !== timeOf(stat, selection) && selection.steady !== 'own') return false;
  const { uid, gid } = ownerOf(stat, selection);
  return stat.uid === uid && stat.gid === gid && changeMode(stat.mode, selection.mode, false) === stat.mode;
}

function linkOf(visit: Visit, selection: CopySelection): LaterLink {
  const { stat, path = '', entry } = visit;
  const { mode, uid, gid, size } = stat;
  return {
    identity: entry ? path : stat.inode,
    source: path,
    stat: { mode, uid, gid, size, mtime: timeOf(stat, selection) },
  };
}

function timeOf(stat: FileStat, selection: CopySelection): bigint {
  if (selection.time === undefined) return stat.mtime;
  return selection.time === CONTEXT_TIME ? CONTEXT_NANOSECONDS : BigInt(selection.time) * 1_000_000_000n;
}

const CONTEXT_NANOSECONDS = BigInt(CONTEXT_TIME) * 1_000_000_000n;

/** The directory that `path` goes into; missing ones are made, with the owner and the mode that the copy gives to all. Throws `invalid-argument` when a file is in the way. */
function parentFor(
  to: RootedDirectory,
  path: readonly ByteString[],
  { owner, mode }: Pick<CopySelection, 'owner' | 'mode'>,
  later?: LaterLinks,
): number {
  return to.directory(path.slice(0, -1), {
    follow: true,
    make: (parent, name, path) => {
      if (statAt(parent, name) || later?.has(path.join('/')))
        throw new EngineError('invalid-argument', `COPY failed: ${textOf(name)} in the destination is not a directory`);
      makeImpliedDirectory(parent, name);
      later?.made(path.join('/'), true);
      if (owner) changeOwnerAt(parent, name, owner.uid, owner.gid);
      if (typeof mode === 'number') setDirectory(parent, name, { mode });
      return true;
    },
  });
}

function chmodFd(fd: number, mode: number): void {
  fchmodSync(fd, mode & 0o7777);
}

import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { tarHeader } from '../../content/tar/header.ts';
import { type TarSource, writeTar } from '../../content/tar/writer.ts';
import { CommandError } from '../command.ts';
import { type ClientTree, listClientTree } from './client-tree.ts';
import { ContextSelection, ignoreFileNames } from './context-selection.ts';
import { packTree } from './pack.ts';

export interface BuildContext {
  readonly tar: AsyncIterable<Uint8Array>;
  /** The Dockerfile's name in it. */
  readonly dockerfile: string;
}

export interface ContextOptions {
  /** What git ignores stays behind as well. */
  readonly gitignore?: boolean;
}

const ROOT = { uid: 0, gid: 0 };

/**
 * A directory as a build context: without what its .dockerignore leaves out, everything owned by root. `dockerfile` is
 * the path given by `-f` (from where the command runs, or below the context), empty for the default; or the text itself.
 */
export function directoryContext(
  folder: string,
  dockerfile: string | { readonly text: Uint8Array },
  { gitignore = false }: ContextOptions = {},
): BuildContext {
  const root = checkedDirectory(folder);
  const place =
    typeof dockerfile === 'string'
      ? placeOf(root, dockerfile)
      : { name: `.dockerfile.${randomBytes(10).toString('hex')}`, text: dockerfile.text };
  const selection = new ContextSelection(root, { dockerfile: place.name, gitignore });
  async function* entries(): AsyncGenerator<TarSource, void, void> {
    yield* packTree(root, {
      name: '.',
      owner: ROOT,
      excluded: (path, isDirectory) => selection.excludes(path, isDirectory),
      enter: (path) => selection.enters(path),
    });
    if (place.text) {
      yield {
        header: tarHeader({ type: 'file', name: place.name, size: place.text.byteLength, mode: 0o600 }),
        body: [place.text],
      };
    }
  }
  return { tar: writeTar(entries()), dockerfile: place.name };
}

/** A directory whose files are sent when they are asked for. */
export interface AskedContext {
  readonly tree: ClientTree;
  readonly folder: string;
  /** The Dockerfile's name. */
  readonly dockerfile: string;
  /** The Dockerfile, when it is not in the directory. */
  readonly text?: Uint8Array | undefined;
  /** What is listed only because the builder reads it: steps must not see it. */
  readonly ignore: readonly string[];
}

/** As `directoryContext`, for an engine that asks. */
export function askedContext(
  folder: string,
  dockerfile: string | { readonly text: Uint8Array },
  { gitignore = false }: ContextOptions = {},
): AskedContext {
  const root = checkedDirectory(folder);
  const place =
    typeof dockerfile === 'string' ? placeOf(root, dockerfile) : { name: 'Dockerfile', text: dockerfile.text };
  const selection = new ContextSelection(root, { dockerfile: place.name, gitignore });
  const tree = listClientTree(root, {
    excluded: (path, isDirectory) => selection.excludes(path, isDirectory),
    enter: (path) => selection.enters(path),
    variant: selection.source,
  });
  return {
    tree,
    folder: root,
    dockerfile: place.text ? 'Dockerfile' : place.name,
    text: place.text,
    ignore: selection.kept.map((path) => path.replace(/[*?[\\]/g, '\\$&')),
  };
}

/** A directory with all that is in it: a context with a name. */
export function namedTree(folder: string, { gitignore = false }: ContextOptions = {}): ClientTree {
  const root = checkedDirectory(folder);
  const selection = new ContextSelection(root, { dockerfile: undefined, gitignore });
  return listClientTree(root, {
    excluded: (path, isDirectory) => selection.excludes(path, isDirectory),
    enter: (path) => selection.enters(path),
    variant: `named ${selection.source}`,
  });
}

/** Names of one context that a check is told. */
const MAX_NAMES = 20_000;
/** As many as the engine includes at most. */
const MAX_INCLUDED = 500;

/**
 * Of a directory the Dockerfile and its ignore file, and the names of what a build would be sent, as empty files: what a
 * check looks at. `complete` is false where there are too many names.
 */
export function checkContext(
  folder: string,
  dockerfile: string,
  { gitignore = false }: ContextOptions = {},
): BuildContext & { readonly complete: boolean } {
  const root = resolve(folder);
  const place = placeOf(root, dockerfile);
  const files = [place.name, ...ignoreFileNames(place.name)].flatMap((name) => {
    if (name === place.name && place.text) return [{ name, text: place.text }];
    const path = join(root, name);
    return fs.existsSync(path) ? [{ name, text: fs.readFileSync(path) }] : [];
  });
  for (const { text } of files.slice(0, 1))
    for (const name of includedFiles(root, Buffer.from(text).toString()))
      if (!files.some((file) => file.name === name)) files.push({ name, text: fs.readFileSync(join(root, name)) });
  const known = new Set(files.map(({ name }) => name));
  const names: string[] = [];
  for (const { path, sent, kind } of contextEntries(
    root,
    new ContextSelection(root, { dockerfile: place.name, gitignore }),
  )) {
    if (!sent || known.has(path)) continue;
    names.push(kind === 'directory' ? `${path}/` : path);
    if (names.length > MAX_NAMES) break;
  }
  const complete = names.length <= MAX_NAMES;
  function* entries(): Generator<TarSource, void, void> {
    for (const { name, text } of files)
      yield { header: tarHeader({ type: 'file', name: latin(name), size: text.byteLength }), body: [text] };
    for (const name of complete ? names : [])
      yield { header: tarHeader({ type: name.endsWith('/') ? 'directory' : 'file', name: latin(name) }) };
  }
  return { tar: writeTar(entries()), dockerfile: place.name, complete };
}

/** What a Dockerfile may include of its context, whose INCLUDE lines the engine reads. */
function includedFiles(root: string, dockerfile: string): ReadonlySet<string> {
  const found = new Set<string>();
  const real = fs.realpathSync(root);
  const look = (text: string): void => {
    for (const [, given = ''] of text.matchAll(/^[ \t]*INCLUDE[ \t]+([^\s-]\S*)[ \t]*$/gim)) {
      const name = join('/', given).slice(1);
      const isFile = fs.lstatSync(join(root, name), { throwIfNoEntry: false })?.isFile() === true;
      // Through a link it may be anybody's file: the engine refuses that name, and needs no content to.
      if (
        !isFile ||
        fs.realpathSync(join(root, name)) !== join(real, name) ||
        found.has(name) ||
        found.size >= MAX_INCLUDED
      )
        continue;
      found.add(name);
      look(fs.readFileSync(join(root, name), 'utf8'));
    }
  };
  if (/^#\s*syntax\s*=\s*gantry\/dockerfile:1(\s|$)/im.test(dockerfile)) look(dockerfile);
  return found;
}

/** Names in archives are bytes. */
function latin(name: string): string {
  return Buffer.from(name).toString('latin1');
}

export interface ContextEntry {
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  /** Bytes. */
  readonly size: number;
  readonly sent: boolean;
  /** The line of the ignore file that decided, for one of git with the file and its number; undefined when none did. */
  readonly rule: string | undefined;
}

/** What is in a context, in the order of names, and what becomes of it. A folder that stays behind as a whole is one entry. */
function* contextEntries(root: string, selection: ContextSelection, below = ''): Generator<ContextEntry, void, void> {
  const found = fs.readdirSync(join(root, below), { withFileTypes: true });
  for (const entry of found.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    const { sent, rule } = selection.decide(path, () => entry.isDirectory());
    const kind = entry.isDirectory()
      ? 'directory'
      : entry.isFile()
        ? 'file'
        : entry.isSymbolicLink()
          ? 'symlink'
          : 'other';
    const size = kind === 'file' ? (fs.statSync(join(root, path), { throwIfNoEntry: false })?.size ?? 0) : 0;
    yield { path, kind, size, sent, rule };
    if (kind === 'directory' && (sent || selection.enters(path))) yield* contextEntries(root, selection, path);
  }
}

/** The entries of the directory that a build with this Dockerfile would be sent, with the rules of its ignore file. */
export function listContext(
  folder: string,
  dockerfile: string,
  { gitignore = false }: ContextOptions = {},
): Generator<ContextEntry, void, void> {
  const root = resolve(folder);
  return contextEntries(root, new ContextSelection(root, { dockerfile: placeOf(root, dockerfile).name, gitignore }));
}

/** A context that is nothing but a Dockerfile. */
export function textContext(text: Uint8Array): BuildContext {
  return {
    tar: writeTar([{ header: tarHeader({ type: 'file', name: 'Dockerfile', size: text.byteLength }), body: [text] }]),
    dockerfile: 'Dockerfile',
  };
}

/** The name that the Dockerfile of a directory has when none is given; undefined where there is none. */
export function defaultDockerfile(folder: string): string | undefined {
  return ['Dockerfile', 'dockerfile', 'Containerfile'].find((name) => fs.existsSync(join(folder, name)));
}

/** Where the Dockerfile is in the context; one from elsewhere is sent along under a name that hides nothing. */
function placeOf(root: string, given: string): { name: string; text?: Uint8Array } {
  if (given === '') {
    const name = defaultDockerfile(root);
    if (name !== undefined) return { name };
    throw new CommandError(
      `unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat ${join(root, 'Dockerfile')}: no such file or directory`,
    );
  }
  const path = isAbsolute(given) || fs.existsSync(resolve(given)) ? resolve(given) : resolve(root, given);
  if (!fs.existsSync(path)) {
    throw new CommandError(
      `unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat ${path}: no such file or directory`,
    );
  }
  const below = relative(fs.realpathSync(root), fs.realpathSync(path));
  if (below !== '' && !below.startsWith('..') && !isAbsolute(below))
    return { name: relative(root, path).split(sep).join('/').startsWith('..') ? below : relative(root, path) };
  return { name: `.dockerfile.${randomBytes(10).toString('hex')}`, text: fs.readFileSync(path) };
}

function checkedDirectory(folder: string): string {
  const root = resolve(folder);
  if (fs.statSync(root, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new CommandError(
      fs.existsSync(root)
        ? `unable to prepare context: context must be a directory: ${root}`
        : `unable to prepare context: path ${JSON.stringify(folder)} not found`,
    );
  }
  return root;
}

import fs from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { CommandError } from '../command.ts';
import { type GitPattern, readGitPattern } from './git-pattern.ts';

/** What git ignored something by. */
export interface GitRule {
  /** `.gitignore`, `src/.gitignore`, relative to the repository, or to the directory asked about where there is none. */
  readonly file: string;
  /** Counted from 1; 0 for what no file says. */
  readonly line: number;
  /** As written. */
  readonly text: string;
}

interface Rule extends GitRule {
  readonly pattern: GitPattern;
}

/** Rules of one file, and how much of a path (in bytes, from the top) stands before what they are held against. */
interface RuleFile {
  readonly rules: readonly Rule[];
  readonly base: number;
}

/** What counts in a directory. */
interface Place {
  /** The nearest first: what it decides, the others do not. */
  readonly files: readonly RuleFile[];
  /** It, or a directory above it, is ignored. */
  readonly by: GitRule | undefined;
}

const ITSELF: GitRule = { file: '.git', line: 0, text: '.git' };

/**
 * What git ignores below a directory (gitignore(5)): by the `.gitignore` of each directory up to the repository's own, by
 * its `info/exclude`, and `.git`. What the user has for all repositories (`core.excludesFile`) does not count, as others
 * would build something else. The index is not looked at: what is tracked and matches a rule is ignored, too.
 */
export class GitIgnore {
  /** The repository's directory, or the one asked about where there is none; with links resolved. */
  readonly #top: string;
  /** Of the directory asked about, in bytes, with its slash. */
  readonly #below: string;
  readonly #places = new Map<string, Place>();

  /** Throws `CommandError` when the directory is itself ignored: nothing of it would be left. */
  constructor(root: string) {
    const real = fs.realpathSync(root);
    this.#top = repositoryOf(real) ?? real;
    const below = relative(this.#top, real).split(sep).join('/');
    this.#below = below === '' ? '' : `${bytesOf(below)}/`;
    const by = below === '' ? undefined : this.#decide(bytesOf(below), () => true);
    if (by)
      throw new CommandError(
        `--gitignore leaves nothing of the context ${root}: git ignores it (${describeGitRule(by)})`,
      );
  }

  /** The rule by which `path` (relative, `/` between components) or a directory above it is ignored; undefined when it is not. */
  decide(path: string, isDirectory: () => boolean): GitRule | undefined {
    return this.#decide(this.#below + bytesOf(path), isDirectory);
  }

  #decide(path: string, isDirectory: () => boolean): GitRule | undefined {
    const cut = path.lastIndexOf('/');
    const { by, files } = this.#place(cut < 0 ? '' : path.slice(0, cut));
    if (by) return by;
    const name = path.slice(cut + 1);
    if (name === '.git') return ITSELF;
    for (const { rules, base } of files) {
      const from = path.slice(base);
      const rule = rules.findLast(
        ({ pattern }) => pattern.matches(pattern.anywhere ? name : from) && (!pattern.directories || isDirectory()),
      );
      if (rule) return rule.pattern.negated ? undefined : rule;
    }
    return undefined;
  }

  #place(directory: string): Place {
    const known = this.#places.get(directory);
    if (known) return known;
    const place = this.#look(directory);
    this.#places.set(directory, place);
    return place;
  }

  #look(directory: string): Place {
    const full = directory === '' ? this.#top : join(this.#top, textOf(directory));
    const base = directory === '' ? 0 : directory.length + 1;
    if (directory !== '') {
      const by = this.#decide(directory, () => true);
      if (by) return { files: [], by };
    }
    const above = directory === '' ? '' : dirname(directory);
    const exclude = excludeFileOf(full);
    // A repository inside is one of its own: what is above it says nothing of what it holds.
    const files =
      directory === '' || exclude !== undefined
        ? exclude === undefined
          ? []
          : readRules(exclude, '.git/info/exclude', base, 0)
        : this.#place(above === '.' ? '' : above).files;
    const shown = directory === '' ? '.gitignore' : `${textOf(directory)}/.gitignore`;
    // As git: a link is not followed.
    return {
      files: [...readRules(join(full, '.gitignore'), shown, base, fs.constants.O_NOFOLLOW), ...files],
      by: undefined,
    };
  }
}

/** `src/.gitignore:3: *.log` */
export function describeGitRule({ file, line, text }: GitRule): string {
  return line === 0 ? `${text} is git's own` : `${file}:${line}: ${text}`;
}

function readRules(path: string, file: string, base: number, flags: number): RuleFile[] {
  let text: string;
  try {
    const open = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | flags);
    try {
      if (!fs.fstatSync(open).isFile()) return [];
      text = fs.readFileSync(open, 'latin1');
    } finally {
      fs.closeSync(open);
    }
  } catch {
    return []; // git goes on without what it cannot read, too
  }
  const rules: Rule[] = [];
  for (const [index, line] of text
    .replace(/^\xef\xbb\xbf/, '')
    .split('\n')
    .entries()) {
    const pattern = readGitPattern(line);
    if (pattern) rules.push({ file, line: index + 1, text: textOf(pattern.text), pattern });
  }
  return rules.length === 0 ? [] : [{ rules, base }];
}

function repositoryOf(directory: string): string | undefined {
  for (let at = directory; ; at = dirname(at)) {
    if (excludeFileOf(at) !== undefined) return at;
    if (at === dirname(at)) return undefined;
  }
}

/** Where the rules of a repository that is nobody else's are; undefined for a directory that is no repository's. */
function excludeFileOf(directory: string): string | undefined {
  const git = join(directory, '.git');
  const found = fs.statSync(git, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) return fs.existsSync(join(git, 'HEAD')) ? join(git, 'info', 'exclude') : undefined;
  if (found?.isFile() !== true) return undefined;
  // A worktree, or a submodule: the file says where (gitrepository-layout(5)).
  const target = /^gitdir: (.+?)\r?\n?$/.exec(readText(git))?.[1];
  if (target === undefined) return undefined;
  const own = resolve(directory, target);
  const common = readText(join(own, 'commondir')).trim();
  return join(common === '' ? own : resolve(own, common), 'info', 'exclude');
}

function readText(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}

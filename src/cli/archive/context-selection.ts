import fs from 'node:fs';
import { basename, join } from 'node:path';
import { PathPatterns } from '../../base/path-patterns.ts';
import { CommandError } from '../command.ts';
import { describeGitRule, GitIgnore } from './git-ignore.ts';

export interface SelectionOptions {
  /** The Dockerfile's name in the directory; undefined where there is none. */
  readonly dockerfile: string | undefined;
  /** What git ignores is left out as well. */
  readonly gitignore: boolean;
}

/**
 * What of a directory is sent as a build context: not what the ignore file leaves out, `<Dockerfile>.dockerignore` before
 * `.dockerignore` before `.containerignore`. The Dockerfile and that file are always sent: the builder reads them.
 */
export class ContextSelection {
  /** What is ignored and sent all the same. */
  readonly kept: readonly string[];
  /** Tells selections of one directory apart. */
  readonly source: string;
  readonly #patterns: PathPatterns;
  readonly #git: GitIgnore | undefined;

  /** Throws `CommandError` for an ignore file that is none. */
  constructor(root: string, { dockerfile, gitignore }: SelectionOptions) {
    const { name, text } = ignoreFile(root, dockerfile);
    const written = patternsOf(name, text);
    const wanted = dockerfile === undefined ? [] : [dockerfile, ...(name === '' ? [] : [name])];
    const kept = wanted.filter((path) => written.matches(path));
    this.#patterns =
      kept.length === 0 ? written : patternsOf(name, `${text}\n${kept.map((path) => `!${path}`).join('\n')}\n`);
    this.#git = gitignore ? new GitIgnore(root) : undefined;
    this.kept = wanted.filter((path) => kept.includes(path) || this.#git?.decide(path, () => false) !== undefined);
    this.source = gitignore ? `${name} gitignore` : name;
  }

  excludes(path: string, isDirectory: () => boolean): boolean {
    if (this.#patterns.matches(path)) return true;
    return this.#git !== undefined && this.#git.decide(path, isDirectory) !== undefined && !this.kept.includes(path);
  }

  /** Whether something in the excluded directory `path` may be sent. */
  enters(path: string): boolean {
    if (this.#git?.decide(path, () => true) === undefined) return this.#patterns.hasExceptions;
    return this.kept.some((name) => name.startsWith(`${path}/`));
  }

  /** Whether `path` is sent, and the rule that says so; undefined when none does. */
  decide(path: string, isDirectory: () => boolean): { readonly sent: boolean; readonly rule: string | undefined } {
    const decided = this.#patterns.decide(path);
    if (decided?.negated === false) return { sent: false, rule: decided.source };
    const by = this.kept.includes(path) ? undefined : this.#git?.decide(path, isDirectory);
    return by ? { sent: false, rule: describeGitRule(by) } : { sent: true, rule: decided?.source };
  }
}

/** Names of ignore files: the first that is there counts. */
export function ignoreFileNames(dockerfile: string | undefined): string[] {
  return [...(dockerfile === undefined ? [] : [`${dockerfile}.dockerignore`]), '.dockerignore', '.containerignore'];
}

function ignoreFile(root: string, dockerfile: string | undefined): { readonly name: string; readonly text: string } {
  for (const name of ignoreFileNames(dockerfile)) {
    try {
      return { name, text: fs.readFileSync(join(root, name), 'utf8') };
    } catch {
      continue;
    }
  }
  return { name: '', text: '' };
}

function patternsOf(name: string, text: string): PathPatterns {
  try {
    return PathPatterns.parse(text);
  } catch (error) {
    throw new CommandError(
      `unable to prepare context: error checking context: ${basename(name)}: ${(error as Error).message}`,
      1,
      { cause: error },
    );
  }
}

import { EngineError } from '../../../base/errors.ts';

/** A place in a git repository, as contexts and ADD name it. */
export interface GitAddress {
  /** What git is given. */
  readonly remote: string;
  /** Branch, tag, full reference or commit; undefined is the repository's default branch. */
  readonly ref: string | undefined;
  /** Directory in it, without slashes around it; empty for all of it. */
  readonly subdirectory: string;
  /** The commit must begin with it. */
  readonly checksum: string | undefined;
  readonly submodules: boolean;
  readonly keepGitDir: boolean | undefined;
}

const QUERY = new Set(['ref', 'tag', 'branch', 'commit', 'checksum', 'subdir', 'submodules', 'keep-git-dir']);

/**
 * Reads `https://host/repo.git#ref:dir`, `git://…`, `ssh://…`, `git@host:repo`, `github.com/owner/repo`, and the form with a
 * query (`?branch=…&subdir=…`). Undefined for what is no git repository. Throws `invalid-argument`.
 */
export function readGitAddress(text: string): GitAddress | undefined {
  const cut = text.indexOf('#');
  const fragment = cut < 0 ? undefined : text.slice(cut + 1);
  let remote = cut < 0 ? text : text.slice(0, cut);
  if (/^github\.com\/[^/]+\/[^/?]+/.test(remote)) remote = `https://${remote}`;
  const at = remote.indexOf('?');
  const query = at < 0 ? undefined : new URLSearchParams(remote.slice(at + 1));
  const base = at < 0 ? remote : remote.slice(0, at);
  const isHttp = /^https?:\/\//.test(base);
  const github = /^https:\/\/github\.com\/[^/]+\/[^/]+\/?$/.test(base) && !text.startsWith('https:');
  if (
    !(
      /^(git|ssh):\/\/[^/]+\/./.test(base) ||
      /^[\w.-]+@[\w.-]+:(?!\/\/)./.test(base) ||
      (isHttp && (/\.git\/?$/.test(base) || github))
    )
  )
    return undefined;
  if (/[\0\n\r]/.test(text)) throw fail(text, 'it has a character that no address has');
  const [ref = '', ...directory] = (fragment ?? '').split(':');
  const options = new Map<string, string>();
  for (const [key, value] of query ?? []) {
    if (!QUERY.has(key)) throw fail(text, `unexpected query parameter ${JSON.stringify(key)}`);
    options.set(key, value);
  }
  const named = ['ref', 'tag', 'branch', 'commit'].filter((key) => options.has(key) && key !== 'commit');
  if (fragment !== undefined && (named.length > 0 || options.has('subdir')))
    throw fail(text, 'the reference is given twice, behind # and in the query');
  if (named.length > 1) throw fail(text, `only one of ${named.join(', ')} can be given`);
  const [kind] = named;
  const value = kind === undefined ? undefined : options.get(kind)!;
  const wanted =
    kind === 'tag' ? `refs/tags/${value}` : kind === 'branch' ? `refs/heads/${value}` : (value ?? (ref || undefined));
  const chosen = wanted ?? options.get('commit');
  if (chosen !== undefined && !isReference(chosen)) throw fail(text, `${JSON.stringify(chosen)} is no reference`);
  const checksum = options.get('checksum') ?? (wanted === undefined ? undefined : options.get('commit'));
  return {
    remote: base,
    ref: chosen,
    subdirectory: cleanDirectory(options.get('subdir') ?? directory.join(':'), text),
    checksum,
    submodules: flag(options.get('submodules')) ?? true,
    keepGitDir: flag(options.get('keep-git-dir')),
  };
}

/** The address without what is nobody's business: for messages and records. */
export function withoutPassword(text: string): string {
  return text.replace(/^(\w+:\/\/)[^/@]*@/, '$1');
}

function isReference(text: string): boolean {
  // What git takes for an option, or its own syntax of revisions, is no name.
  return /^[^-\s~^:?*[\\][^\s~^:?*[\\]*$/.test(text) && !text.includes('..') && !text.includes('@{');
}

function cleanDirectory(directory: string, text: string): string {
  const parts = directory.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw fail(text, 'its directory leads out of the repository');
  return parts.join('/');
}

function flag(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  return text === '' || text === 'true' || text === '1';
}

function fail(text: string, message: string): EngineError {
  return new EngineError(
    'invalid-argument',
    `invalid git address ${JSON.stringify(withoutPassword(text))}: ${message}`,
  );
}

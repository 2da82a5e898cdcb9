import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { EngineError } from '../base/errors.ts';
import type { RemoteFile } from '../compose/model/remote-file.ts';

/**
 * The local path of a file, or of the directory of one, in a git repository: `URL#REF:PATH`, as includes name them. What
 * was fetched of a commit is kept below `cache`, and is fetched once. Throws `unavailable`, `not-found`, and
 * `invalid-argument` for a path that leaves the repository.
 */
export function repositoryPath(source: string, cache: string): RemoteFile {
  const [url, fragment = ''] = source.split('#') as [string, string?];
  const [reference = '', path = ''] = fragment.split(':') as [string?, string?];
  const address = url.startsWith('github.com/') ? `https://${url}` : url;
  if (address.startsWith('-') || reference.startsWith('-'))
    throw new EngineError('invalid-argument', `${source} names no repository`);
  const commit = commitOf(address, reference, source);
  const directory = join(cache, createHash('sha256').update(address).digest('hex').slice(0, 16), commit);
  if (!fs.existsSync(directory)) fetchCommit(address, commit, directory, source);
  const found = resolve(directory, path);
  const inside = (one: string): boolean => one === directory || one.startsWith(`${directory}${sep}`);
  if (!inside(found)) throw new EngineError('invalid-argument', `${source}: ${path} is outside of the repository`);
  if (!fs.existsSync(found)) throw new EngineError('not-found', `${source}: the repository has no ${path}`);
  if (!inside(fs.realpathSync(found)))
    throw new EngineError('invalid-argument', `${source}: ${path} leads out of the repository`);
  return { path: found, root: directory };
}

function commitOf(address: string, reference: string, source: string): string {
  if (/^[0-9a-f]{40}$/.test(reference)) return reference;
  const wanted = reference === '' ? 'HEAD' : reference;
  const lines = git(['ls-remote', '--', address, wanted], source).split('\n');
  // A tag that is an object of its own is followed by the commit it stands for.
  const line = lines.find((one) => one.endsWith('^{}')) ?? lines.find((one) => /^[0-9a-f]{40}\t/.test(one));
  if (line === undefined) throw new EngineError('not-found', `${source}: the repository has no ${wanted}`);
  return line.slice(0, 40);
}

/** Made aside and renamed, so that what is there is whole. */
function fetchCommit(address: string, commit: string, directory: string, source: string): void {
  const aside = `${directory}.${process.pid}`;
  fs.rmSync(aside, { recursive: true, force: true });
  fs.mkdirSync(aside, { recursive: true, mode: 0o700 });
  try {
    git(['init', '-q', aside], source);
    git(['-C', aside, 'fetch', '-q', '--depth', '1', '--', address, commit], source);
    git(['-C', aside, '-c', 'advice.detachedHead=false', 'checkout', '-q', 'FETCH_HEAD'], source);
    fs.renameSync(aside, directory);
  } finally {
    fs.rmSync(aside, { recursive: true, force: true });
  }
}

function git(args: readonly string[], source: string): string {
  const ended = spawnSync('git', args, {
    encoding: 'utf8',
    // Nobody is there to be asked.
    env: { ...process.env, GIT_TERMINAL_PROMPT: '0', GIT_ALLOW_PROTOCOL: 'file:git:http:https:ssh' },
    timeout: 120_000,
  });
  if (ended.error)
    throw new EngineError(
      'unavailable',
      (ended.error as NodeJS.ErrnoException).code === 'ENOENT'
        ? `${source} is in a git repository, and there is no git here: install it`
        : `${source}: ${ended.error.message}`,
      { cause: ended.error },
    );
  if (ended.status !== 0)
    throw new EngineError('unavailable', `${source}: ${ended.stderr.trim().split('\n').at(-1) ?? 'git failed'}`);
  return ended.stdout;
}

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError, errorMessage } from '../../../base/errors.ts';
import { KeyedMutex } from '../../../base/mutex.ts';
import { clampTimes } from '../../../build/copy-files.ts';
import { runTool, TOOL_PATH } from '../../../linux/tool.ts';
import { sha256 } from '../../../oci/digest.ts';
import { measureTree } from '../tree-size.ts';
import { type GitAddress, withoutPassword } from './git-address.ts';
import type { KeptSource } from './kept-source.ts';
import { hostSecret, type SourceSecrets } from './source-secrets.ts';

export interface GitCheckout {
  /** 40 or 64 hex digits. */
  readonly commit: string;
}

export interface GitOptions {
  readonly secrets: SourceSecrets;
  readonly keepGitDir: boolean;
  readonly checksum: string | undefined;
  readonly signal: AbortSignal | undefined;
}

const GIT = '/usr/bin/git';
const TIMEOUT_MS = 30 * 60_000;

/**
 * Repositories that builds take files from: `<root>/<hash of the address>` is a bare one, fetched into as it is needed, so
 * that a commit crosses the network once. What is fetched is named by its commit and checked by git; a repository that a
 * dead engine left half-fetched is one with less in it.
 */
export class GitRepositories {
  readonly #root: string;
  readonly #locks = new KeyedMutex();

  /** @param root `<data-root>/cache/git` */
  constructor(root: string) {
    this.#root = root;
  }

  /** The commit that the address means now. Throws `invalid-argument`. */
  async resolve(address: GitAddress, options: GitOptions): Promise<string> {
    const { repository, git } = await this.#open(address, options);
    const commit = await this.#commit(address, repository, git);
    const expected = options.checksum ?? address.checksum;
    if (expected !== undefined && !commit.startsWith(expected.toLowerCase().replace(/^sha1:|^sha256:/, '')))
      throw new EngineError(
        'invalid-argument',
        `expected checksum to match ${expected}, got ${commit} (of ${withoutPassword(address.remote)})`,
      );
    return commit;
  }

  /** Files of a commit in `directory`, which it makes, as old as the commit; only those below the address's subdirectory. */
  async checkOut(address: GitAddress, commit: string, directory: string, options: GitOptions): Promise<void> {
    const { repository, git } = await this.#open(address, options);
    await using _lock = await this.#locks.acquire(repository);
    const reference = `refs/gantry/${commit}`;
    if (!(await has(git, commit))) await this.#fetch(git, address, commit, reference);
    await git(['update-ref', reference, commit]);
    await mkdir(directory, { recursive: true });
    const { remote } = address;
    // From here the repository is a directory of ours: nothing of it may lead anywhere else.
    const local = (words: readonly string[]): Promise<string> =>
      this.#git(['-C', directory, ...words], { ...options, protocols: 'file' }, remote);
    await local(['init', '--quiet', '--template=']);
    await local(['fetch', '--quiet', '--depth=1', '--no-tags', repository, `${reference}:refs/gantry/head`]);
    await local(['-c', 'advice.detachedHead=false', 'checkout', '--quiet', '--force', commit]);
    await local(['update-ref', '-d', 'refs/gantry/head']);
    await local(['remote', 'add', 'origin', withoutPassword(remote)]);
    const seconds = Number(await local(['log', '-1', '--format=%ct']));
    if (address.submodules && existsSync(join(directory, '.gitmodules'))) {
      const far = ['-C', directory, 'submodule', 'update', '--quiet', '--init', '--recursive', '--depth=1'];
      await this.#git(far, options, remote);
    }
    if (!options.keepGitDir) await removeGitDirs(directory);
    await clampTimes(directory, { seconds, exact: true, ...(options.signal && { signal: options.signal }) });
  }

  async list(): Promise<KeptSource[]> {
    const kept: KeptSource[] = [];
    for (const id of await names(this.#root)) {
      const path = join(this.#root, id);
      const found = await stat(path).catch(() => undefined);
      if (!found) continue;
      const name = await readFile(join(path, 'description'), 'utf8').catch(() => '');
      kept.push({ id, kind: 'git', name: name.trim(), size: await measureTree(path), usedAt: found.mtimeMs });
    }
    return kept;
  }

  async remove(id: string): Promise<void> {
    const path = join(this.#root, id);
    await using _lock = await this.#locks.acquire(path);
    // Aside first: half of a repository must not be taken for one.
    await rename(path, `${path}.old`).catch(() => undefined);
    await rm(`${path}.old`, { recursive: true, force: true });
  }

  async #open(
    address: GitAddress,
    options: GitOptions,
  ): Promise<{ repository: string; git: (words: readonly string[]) => Promise<string> }> {
    const repository = join(this.#root, sha256(address.remote).slice(7, 39));
    const git = (words: readonly string[]): Promise<string> =>
      this.#git(['--git-dir', repository, ...words], options, address.remote);
    await using _lock = await this.#locks.acquire(repository);
    if (!existsSync(join(repository, 'HEAD'))) {
      const aside = `${repository}.new`;
      await rm(aside, { recursive: true, force: true });
      await mkdir(this.#root, { recursive: true, mode: 0o700 });
      await this.#git(['init', '--quiet', '--bare', '--template=', aside], options, address.remote);
      await writeFile(join(aside, 'description'), withoutPassword(address.remote));
      await rename(aside, repository);
    }
    const now = new Date();
    await utimes(repository, now, now);
    return { repository, git };
  }

  async #commit(
    address: GitAddress,
    repository: string,
    git: (words: readonly string[]) => Promise<string>,
  ): Promise<string> {
    const { ref = 'HEAD', remote } = address;
    if (/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(ref)) return ref;
    const lines = (await git(['ls-remote', '--', remote])).split('\n');
    const refs = new Map(lines.map((line) => [line.slice(line.indexOf('\t') + 1), line.slice(0, line.indexOf('\t'))]));
    for (const name of [`refs/heads/${ref}`, `refs/tags/${ref}`, ref, `refs/${ref}`]) {
      const commit = refs.get(`${name}^{}`) ?? refs.get(name);
      if (commit) return commit;
    }
    if (/^[0-9a-f]{7,39}$/.test(ref)) {
      await using _lock = await this.#locks.acquire(repository);
      await git(['fetch', '--quiet', '--no-tags', '--force', remote, '+refs/heads/*:refs/gantry/heads/*']);
      return (await git(['rev-parse', '--verify', '--quiet', `${ref}^{commit}`])).trim();
    }
    throw new EngineError('invalid-argument', `repository ${withoutPassword(remote)} does not contain ref ${ref}`);
  }

  async #fetch(
    git: (words: readonly string[]) => Promise<string>,
    { remote, ref }: GitAddress,
    commit: string,
    reference: string,
  ): Promise<void> {
    const fetch = (words: readonly string[]): Promise<string> =>
      git(['fetch', '--quiet', '--no-tags', '--force', ...words]);
    try {
      return void (await fetch(['--depth=1', remote, `+${commit}:${reference}`]));
    } catch (error) {
      if ((error as EngineError).code === 'cancelled') throw error;
      // Some servers give only what has a name, some have no shallow fetch.
      const name =
        ref === undefined || /^[0-9a-f]{7,}$/.test(ref) ? '+refs/*:refs/gantry/all/*' : `+${ref}:refs/gantry/named`;
      await fetch([remote, name]);
    }
    if (!(await has(git, commit)))
      throw new EngineError(
        'invalid-argument',
        `repository ${withoutPassword(remote)} does not contain the commit ${commit}`,
      );
  }

  /** Nothing of the host's, of the user's or of the repository's configuration has a say; only what we ask for is spoken. */
  async #git(
    words: readonly string[],
    { secrets, signal, protocols = 'http:https:git:ssh' }: GitOptions & { readonly protocols?: string },
    remote: string,
  ): Promise<string> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    const settings: [string, string][] = [
      ['core.hooksPath', '/dev/null'],
      ['core.fsmonitor', 'false'],
      ['core.symlinks', 'true'],
      ['core.autocrlf', 'false'],
      ['gc.auto', '0'],
      ['safe.directory', '*'],
      ['transfer.fsckObjects', 'false'],
      ['protocol.version', '2'],
      ...(protocols === 'file' ? [] : await authorization(remote, secrets)),
    ];
    const ssh = secrets.sshSocket === undefined || protocols === 'file' ? undefined : await secrets.sshSocket();
    const env = [
      TOOL_PATH,
      `HOME=${this.#root}`,
      'LC_ALL=C',
      'GIT_CONFIG_NOSYSTEM=1',
      'GIT_CONFIG_GLOBAL=/dev/null',
      'GIT_TERMINAL_PROMPT=0',
      'GIT_ASKPASS=/bin/false',
      `GIT_ALLOW_PROTOCOL=${protocols}`,
      `GIT_SSH_COMMAND=ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=${join(this.#root, '..', 'known_hosts')}`,
      ...(ssh === undefined ? [] : [`SSH_AUTH_SOCK=${ssh}`]),
      // By the environment, which nobody else can read: a token on a command line could be.
      `GIT_CONFIG_COUNT=${settings.length}`,
      ...settings.flatMap(([key, value], index) => [
        `GIT_CONFIG_KEY_${index}=${key}`,
        `GIT_CONFIG_VALUE_${index}=${value}`,
      ]),
    ];
    try {
      const { stdout } = await runTool(GIT, words, { env, timeoutMs: TIMEOUT_MS, signal, maxOutput: 64 << 20 });
      return stdout.toString('utf8');
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== 'internal') throw error;
      const said = withoutPassword(errorMessage(error).replaceAll(remote, withoutPassword(remote)));
      throw new EngineError(
        'invalid-argument',
        `failed to read the git repository ${withoutPassword(remote)}: ${said}`,
        {
          cause: error,
        },
      );
    }
  }
}

async function authorization(remote: string, secrets: SourceSecrets): Promise<[string, string][]> {
  if (!/^https?:\/\//.test(remote)) return [];
  const { origin, hostname } = new URL(remote);
  const key = `http.${origin}/.extraHeader`;
  const header = await hostSecret(secrets, 'GIT_AUTH_HEADER', hostname, '.');
  if (header !== undefined) return [[key, `Authorization: ${header}`]];
  const token = await hostSecret(secrets, 'GIT_AUTH_TOKEN', hostname, '.');
  if (token === undefined) return [];
  return [[key, `Authorization: basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`]];
}

async function has(git: (words: readonly string[]) => Promise<string>, commit: string): Promise<boolean> {
  return git(['cat-file', '-e', `${commit}^{commit}`]).then(
    () => true,
    () => false,
  );
}

/** The repository's own and those of its submodules. */
async function removeGitDirs(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.name === '.git') await rm(path, { recursive: true, force: true });
    else if (entry.isDirectory()) await removeGitDirs(path);
  }
}

async function names(root: string): Promise<string[]> {
  const found = await readdir(root).catch(() => []);
  return found.filter((name) => /^[0-9a-f]{32}$/.test(name));
}

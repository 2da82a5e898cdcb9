import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../../../base/errors.ts';
import { looksLikeArchive, MAGIC_BYTES } from '../../../build/archive-magic.ts';
import type { Bytes } from '../../../content/content-store.ts';
import type { ResolvedSource } from '../solved-build.ts';
import { readGitAddress, withoutPassword } from './git-address.ts';
import type { GitRepositories } from './git-repositories.ts';
import type { HttpFiles } from './http-files.ts';
import type { SourceSecrets } from './source-secrets.ts';

export interface RemoteOptions {
  readonly secrets: SourceSecrets;
  readonly signal: AbortSignal | undefined;
}

/** Files that were fetched into a directory of the build. */
export interface FetchedTree {
  readonly root: string;
  readonly source: ResolvedSource;
  /** It was no archive but a Dockerfile: `Dockerfile` in `root`. */
  readonly isDockerfile: boolean;
}

/** Git repositories and files of the web. */
export class RemoteSources {
  readonly git: GitRepositories;
  readonly http: HttpFiles;
  readonly #extract: (archive: Bytes, directory: string, signal: AbortSignal | undefined) => Promise<void>;

  constructor(parts: {
    readonly git: GitRepositories;
    readonly http: HttpFiles;
    /** Unpacks a tar, compressed or not, from somebody who is not trusted. */
    readonly extract: (archive: Bytes, directory: string, signal: AbortSignal | undefined) => Promise<void>;
  }) {
    this.git = parts.git;
    this.http = parts.http;
    this.#extract = parts.extract;
  }

  /** A context by its address, below `directory`. Throws `invalid-argument`. */
  async context(address: string, directory: string, options: RemoteOptions): Promise<FetchedTree> {
    const place = readGitAddress(address);
    if (place) {
      const git = { ...options, keepGitDir: place.keepGitDir ?? false, checksum: undefined };
      const commit = await this.git.resolve(place, git);
      await this.git.checkOut(place, commit, directory, git);
      const name = withoutPassword(address);
      const root = await subdirectoryOf(directory, place.subdirectory, name);
      return { root, source: { kind: 'git', name, digest: `sha1:${commit}` }, isDockerfile: false };
    }
    if (!/^https?:\/\//.test(address))
      throw new EngineError(
        'invalid-argument',
        `unable to prepare context: ${JSON.stringify(withoutPassword(address))} is no address that can be fetched`,
      );
    const fetched = await this.http.fetch(address, `${directory}.file`, {
      ...options,
      checksum: undefined,
      name: 'context',
    });
    const source = { kind: 'http', name: withoutPassword(address), digest: fetched.digest } as const;
    const path = join(fetched.directory, fetched.name);
    await mkdir(directory, { recursive: true });
    const isArchive = looksLikeArchive(await firstBytes(path));
    if (isArchive) await this.#extract(createReadStream(path) as unknown as Bytes, directory, options.signal);
    else await rename(path, join(directory, 'Dockerfile'));
    await rm(fetched.directory, { recursive: true, force: true });
    return { root: directory, source, isDockerfile: !isArchive };
  }
}

/** A directory of a checkout: no link of the repository leads there, or anywhere. Throws `invalid-argument`. */
export async function subdirectoryOf(root: string, path: string, name: string): Promise<string> {
  let at = root;
  for (const part of path === '' ? [] : path.split('/')) {
    at = join(at, part);
    const found = await lstat(at).catch(() => undefined);
    if (found?.isDirectory() !== true)
      throw new EngineError('invalid-argument', `${JSON.stringify(path)} is not a directory of ${name}`);
  }
  return at;
}

async function firstBytes(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const start = Buffer.alloc(MAGIC_BYTES);
    const { bytesRead } = await file.read(start, 0, MAGIC_BYTES, 0);
    return start.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

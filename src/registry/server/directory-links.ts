import { randomUUID } from 'node:crypto';
import type { Stats } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Digest, isDigest } from '../../oci/digest.ts';
import type { ManifestRecord, RepositoryLinks, TagTime } from './repository-links.ts';

/** Manifest records kept in memory. */
const MAX_CACHED = 10_000;
/** The time of a tag's last pull is so exact. */
const READ_MS = 3600_000;

/**
 * Links as files. Names of repositories cannot begin with an underscore, so nothing of one is taken for another:
 *
 *     <root>/<name>/_tags/<tag>                   the digest
 *     <root>/<name>/_reads/<tag>                  empty; its time is that of the last pull, an hour more or less
 *     <root>/<name>/_manifests/<algorithm>-<hex>  the record
 *     <root>/<name>/_referrers/<subject>/<digest> empty
 *     <root>/<name>/_blobs/<algorithm>-<hex>      empty; its time is that of the last link
 */
export class DirectoryLinks implements RepositoryLinks {
  readonly #root: string;
  /** Records never change under their digest. */
  readonly #records = new Map<string, ManifestRecord>();
  /** When the time of a tag's last pull was written. */
  readonly #reads = new Map<string, number>();

  constructor(root: string) {
    this.#root = root;
  }

  async repositories(): Promise<string[]> {
    const found: string[] = [];
    const walk = async (name: string): Promise<void> => {
      const entries = await list(join(this.#root, name));
      if (name !== '' && entries.some((entry) => entry.startsWith('_'))) found.push(name);
      for (const entry of entries) if (!entry.startsWith('_')) await walk(name === '' ? entry : `${name}/${entry}`);
    };
    await walk('');
    return found.sort(compare);
  }

  async tags(repository: string): Promise<string[] | undefined> {
    const parts = await list(join(this.#root, repository));
    return parts.some((part) => part.startsWith('_'))
      ? (await list(this.#at(repository, '_tags'))).sort(compare)
      : undefined;
  }

  async tag(repository: string, tag: string): Promise<Digest | undefined> {
    const text = await read(this.#at(repository, '_tags', tag));
    return text !== undefined && isDigest(text) ? text : undefined;
  }

  async tagTimes(repository: string): Promise<TagTime[]> {
    const times: TagTime[] = [];
    for (const tag of (await this.tags(repository)) ?? []) {
      const digest = await this.tag(repository, tag);
      const info = await statOf(this.#at(repository, '_tags', tag));
      const read = await statOf(this.#at(repository, '_reads', tag));
      if (digest && info) times.push({ tag, digest, setAt: info.mtime, readAt: read?.mtime ?? info.mtime });
    }
    return times;
  }

  async readTag(repository: string, tag: string): Promise<void> {
    const path = this.#at(repository, '_reads', tag);
    const last = this.#reads.get(path) ?? 0;
    if (Date.now() - last < READ_MS) return;
    if (this.#reads.size >= MAX_CACHED) this.#reads.clear();
    this.#reads.set(path, Date.now());
    try {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, '');
      await utimes(path, new Date(), new Date());
    } catch {
      // The disk cannot be written to: no reason to refuse a pull.
    }
  }

  async manifestTime(repository: string, digest: Digest): Promise<Date | undefined> {
    return (await statOf(this.#at(repository, '_manifests', fileName(digest))))?.mtime;
  }

  async setTag(repository: string, tag: string, digest: Digest): Promise<void> {
    await write(this.#at(repository, '_tags', tag), digest);
  }

  async deleteTag(repository: string, tag: string): Promise<boolean> {
    await remove(this.#at(repository, '_reads', tag));
    return remove(this.#at(repository, '_tags', tag));
  }

  async manifest(repository: string, digest: Digest): Promise<ManifestRecord | undefined> {
    const path = this.#at(repository, '_manifests', fileName(digest));
    const known = this.#records.get(path);
    if (known) return known;
    const text = await read(path);
    if (text === undefined) return undefined;
    const record = JSON.parse(text) as ManifestRecord;
    if (this.#records.size >= MAX_CACHED) this.#records.delete(this.#records.keys().next().value!);
    this.#records.set(path, record);
    return record;
  }

  async manifests(repository: string): Promise<ManifestRecord[]> {
    const records: ManifestRecord[] = [];
    for (const name of await list(this.#at(repository, '_manifests'))) {
      const record = await this.manifest(repository, digestOf(name));
      if (record) records.push(record);
    }
    return records;
  }

  async putManifest(repository: string, manifest: ManifestRecord): Promise<void> {
    if (manifest.subject !== undefined) {
      await write(this.#at(repository, '_referrers', fileName(manifest.subject), fileName(manifest.digest)), '');
    }
    await write(this.#at(repository, '_manifests', fileName(manifest.digest)), JSON.stringify(manifest));
  }

  async deleteManifest(repository: string, digest: Digest): Promise<boolean> {
    const record = await this.manifest(repository, digest);
    if (!record) return false;
    for (const tag of (await this.tags(repository)) ?? []) {
      if ((await this.tag(repository, tag)) === digest) await this.deleteTag(repository, tag);
    }
    const path = this.#at(repository, '_manifests', fileName(digest));
    const removed = await remove(path);
    this.#records.delete(path);
    if (record.subject !== undefined) {
      await remove(this.#at(repository, '_referrers', fileName(record.subject), fileName(digest)));
    }
    return removed;
  }

  async referrers(repository: string, digest: Digest): Promise<ManifestRecord[]> {
    const records: ManifestRecord[] = [];
    for (const name of (await list(this.#at(repository, '_referrers', fileName(digest)))).sort(compare)) {
      const record = await this.manifest(repository, digestOf(name));
      if (record) records.push(record);
    }
    return records;
  }

  async hasBlob(repository: string, digest: Digest): Promise<boolean> {
    return (await read(this.#at(repository, '_blobs', fileName(digest)))) !== undefined;
  }

  async linkBlob(repository: string, digest: Digest): Promise<void> {
    const path = this.#at(repository, '_blobs', fileName(digest));
    try {
      const now = new Date();
      await utimes(path, now, now);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await write(path, '');
    }
  }

  unlinkBlob(repository: string, digest: Digest): Promise<boolean> {
    return remove(this.#at(repository, '_blobs', fileName(digest)));
  }

  async blobs(repository: string): Promise<{ digest: Digest; linkedAt: Date }[]> {
    const folder = this.#at(repository, '_blobs');
    const found: { digest: Digest; linkedAt: Date }[] = [];
    for (const name of await list(folder)) {
      found.push({ digest: digestOf(name), linkedAt: (await stat(join(folder, name))).mtime });
    }
    return found;
  }

  #at(repository: string, ...parts: readonly string[]): string {
    return join(this.#root, repository, ...parts);
  }
}

/** A colon is no letter for a file's name everywhere. */
function fileName(digest: Digest): string {
  return digest.replace(':', '-');
}

function digestOf(name: string): Digest {
  return name.replace('-', ':') as Digest;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function list(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).filter((name) => !name.startsWith('.'));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Whole or not at all, and there after a power cut. */
async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const aside = join(dirname(path), `.${randomUUID()}`);
  try {
    await writeFile(aside, text, { flush: true });
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await using directory = await open(dirname(path), 'r');
  await directory.sync();
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function remove(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
}

import { type Digest, isDigest } from '../../oci/digest.ts';
import type { LinkFiles } from './link-files.ts';
import type { ManifestRecord, RepositoryLinks, TagTime } from './repository-links.ts';

/** Manifest records kept in memory. */
const MAX_CACHED = 10_000;
/** The time of a tag's last pull is so exact. */
const READ_MS = 3600_000;

/**
 * Links as files. Names of repositories cannot begin with an underscore, so nothing of one is taken for another:
 *
 *     <name>/_tags/<tag>                   the digest
 *     <name>/_reads/<tag>                  empty; its time is that of the last pull, an hour more or less
 *     <name>/_manifests/<algorithm>-<hex>  the record
 *     <name>/_referrers/<subject>/<digest> empty
 *     <name>/_blobs/<algorithm>-<hex>      empty; its time is that of the last link
 */
export class FileLinks implements RepositoryLinks {
  readonly #files: LinkFiles;
  /** Records never change under their digest. */
  readonly #records = new Map<string, ManifestRecord>();
  /** When the time of a tag's last pull was written. */
  readonly #reads = new Map<string, number>();

  constructor(files: LinkFiles) {
    this.#files = files;
  }

  async repositories(): Promise<string[]> {
    const found: string[] = [];
    const walk = async (name: string): Promise<void> => {
      const entries = await this.#files.list(name);
      if (name !== '' && entries.some((entry) => entry.startsWith('_'))) found.push(name);
      for (const entry of entries) if (!entry.startsWith('_')) await walk(name === '' ? entry : `${name}/${entry}`);
    };
    await walk('');
    return found.sort(compare);
  }

  async tags(repository: string): Promise<string[] | undefined> {
    const parts = await this.#files.list(repository);
    return parts.some((part) => part.startsWith('_'))
      ? (await this.#files.list(at(repository, '_tags'))).sort(compare)
      : undefined;
  }

  async tag(repository: string, tag: string): Promise<Digest | undefined> {
    const text = await this.#files.read(at(repository, '_tags', tag));
    return text !== undefined && isDigest(text) ? text : undefined;
  }

  async tagTimes(repository: string): Promise<TagTime[]> {
    const reads = new Map(
      (await this.#files.entries(at(repository, '_reads'))).map((one) => [one.name, one.modifiedAt]),
    );
    const times: TagTime[] = [];
    for (const { name: tag, modifiedAt: setAt } of await this.#files.entries(at(repository, '_tags'))) {
      const digest = await this.tag(repository, tag);
      if (digest) times.push({ tag, digest, setAt, readAt: reads.get(tag) ?? setAt });
    }
    return times.sort((a, b) => compare(a.tag, b.tag));
  }

  async readTag(repository: string, tag: string): Promise<void> {
    const path = at(repository, '_reads', tag);
    const last = this.#reads.get(path) ?? 0;
    if (Date.now() - last < READ_MS) return;
    if (this.#reads.size >= MAX_CACHED) this.#reads.clear();
    this.#reads.set(path, Date.now());
    // What cannot be written is no reason to refuse a pull.
    await this.#files.touch(path).catch(() => undefined);
  }

  manifestTime(repository: string, digest: Digest): Promise<Date | undefined> {
    return this.#files.modifiedAt(at(repository, '_manifests', fileName(digest)));
  }

  setTag(repository: string, tag: string, digest: Digest, options: { readonly once?: boolean } = {}): Promise<boolean> {
    return this.#files.write(at(repository, '_tags', tag), digest, options);
  }

  async deleteTag(repository: string, tag: string): Promise<boolean> {
    await this.#files.remove(at(repository, '_reads', tag));
    return this.#files.remove(at(repository, '_tags', tag));
  }

  async manifest(repository: string, digest: Digest): Promise<ManifestRecord | undefined> {
    const path = at(repository, '_manifests', fileName(digest));
    const known = this.#records.get(path);
    if (known) return known;
    const text = await this.#files.read(path);
    if (text === undefined) return undefined;
    const record = JSON.parse(text) as ManifestRecord;
    if (this.#files.shared) return record;
    if (this.#records.size >= MAX_CACHED) this.#records.delete(this.#records.keys().next().value!);
    this.#records.set(path, record);
    return record;
  }

  async manifests(repository: string): Promise<ManifestRecord[]> {
    const records: ManifestRecord[] = [];
    for (const name of await this.#files.list(at(repository, '_manifests'))) {
      const record = await this.manifest(repository, digestOf(name));
      if (record) records.push(record);
    }
    return records;
  }

  async putManifest(repository: string, manifest: ManifestRecord): Promise<void> {
    if (manifest.subject !== undefined) {
      await this.#files.write(at(repository, '_referrers', fileName(manifest.subject), fileName(manifest.digest)), '');
    }
    await this.#files.write(at(repository, '_manifests', fileName(manifest.digest)), JSON.stringify(manifest));
  }

  async deleteManifest(repository: string, digest: Digest): Promise<boolean> {
    const record = await this.manifest(repository, digest);
    if (!record) return false;
    for (const tag of (await this.tags(repository)) ?? []) {
      if ((await this.tag(repository, tag)) === digest) await this.deleteTag(repository, tag);
    }
    const path = at(repository, '_manifests', fileName(digest));
    const removed = await this.#files.remove(path);
    this.#records.delete(path);
    if (record.subject !== undefined) {
      await this.#files.remove(at(repository, '_referrers', fileName(record.subject), fileName(digest)));
    }
    return removed;
  }

  async referrers(repository: string, digest: Digest): Promise<ManifestRecord[]> {
    const records: ManifestRecord[] = [];
    for (const name of (await this.#files.list(at(repository, '_referrers', fileName(digest)))).sort(compare)) {
      const record = await this.manifest(repository, digestOf(name));
      if (record) records.push(record);
    }
    return records;
  }

  async hasBlob(repository: string, digest: Digest): Promise<boolean> {
    return (await this.#files.read(at(repository, '_blobs', fileName(digest)))) !== undefined;
  }

  linkBlob(repository: string, digest: Digest): Promise<void> {
    return this.#files.touch(at(repository, '_blobs', fileName(digest)));
  }

  unlinkBlob(repository: string, digest: Digest): Promise<boolean> {
    return this.#files.remove(at(repository, '_blobs', fileName(digest)));
  }

  async blobs(repository: string): Promise<{ digest: Digest; linkedAt: Date }[]> {
    const entries = await this.#files.entries(at(repository, '_blobs'));
    return entries.map(({ name, modifiedAt }) => ({ digest: digestOf(name), linkedAt: modifiedAt }));
  }
}

function at(repository: string, ...parts: readonly string[]): string {
  return [repository, ...parts].join('/');
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

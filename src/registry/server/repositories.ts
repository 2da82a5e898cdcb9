import { errorCode, errorMessage } from '../../base/errors.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import { bytesOf } from '../../content/bytes.ts';
import { isDescriptor, isIndex, isManifest, parseIndex, parseManifest } from '../../content/children.ts';
import { MEDIA_TYPES } from '../../oci/descriptor.ts';
import { type Digest, hasherFor, sha256 } from '../../oci/digest.ts';
import type { Condemned } from './condemned.ts';
import type { ImmutableTags, Quotas } from './policy.ts';
import { ProtocolError } from './protocol-error.ts';
import type { Upload } from './uploads.ts';
import type { RegistryContent } from './registry-content.ts';
import type { ManifestRecord, RepositoryLinks, SharedStore } from './repository-links.ts';

/** Manifests up to this size are kept in memory, so many bytes of them. */
const CACHE_BYTES = 32 << 20;
/** A blob that no manifest names is kept so long after someone asked for it: its manifest may be on its way. */
const DEFAULT_GRACE_MS = 24 * 3600_000;

export interface PutManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
  /** Names it afterwards. */
  readonly tags: readonly string[];
  /** What the client calls it; the digest that it is kept by. */
  readonly digest?: Digest | undefined;
}

export interface RepositoriesOptions {
  /** Without it the blobs are the registry's alone. */
  readonly shared?: SharedStore | undefined;
  readonly immutable?: ImmutableTags | undefined;
  readonly quotas?: Quotas | undefined;
  /** Other servers write to the same store: what this one knows may be old, and what it deletes may be wanted by them. */
  readonly condemned?: Condemned | undefined;
}

export interface CollectedBlobs {
  readonly blobs: number;
  readonly bytes: number;
}

/** Repositories over one store of blobs: what may be said of a manifest, and what stays. */
export class Repositories {
  readonly links: RepositoryLinks;
  readonly content: RegistryContent;
  /** Tags that stay where they were put. */
  readonly immutable: ImmutableTags | undefined;
  readonly #shared: SharedStore | undefined;
  readonly #quotas: Quotas | undefined;
  readonly #condemned: Condemned | undefined;
  /** Blobs that were found without a link, and when first. */
  readonly #unlinked = new Map<Digest, number>();
  /** A manifest that begins to name a blob, and the blob's collection, are one after the other. */
  readonly #commits = new KeyedMutex();
  /** A blob's deletion comes before or after its file and its link are made, or found: never between. */
  readonly #blobs = new KeyedMutex();
  readonly #documents = new Map<Digest, Buffer>();
  #documentBytes = 0;

  constructor(content: RegistryContent, links: RepositoryLinks, options: RepositoriesOptions = {}) {
    this.content = content;
    this.links = links;
    this.immutable = options.immutable;
    this.#shared = options.shared;
    this.#quotas = options.quotas;
    this.#condemned = options.condemned;
  }

  /** Whether there is room for so many bytes more. Throws 403. */
  async checkQuota(repository: string, bytes: number): Promise<void> {
    using _room = await this.#quotas?.take(this, repository, undefined, bytes);
  }

  /** Takes an upload into the store and the repository. Throws `corrupt` when it is not `digest`. */
  async addBlob(repository: string, digest: Digest, upload: Upload): Promise<void> {
    using _held = this.#shared?.hold([digest]);
    using _room = await this.#quotas?.take(this, repository, digest, upload.offset).catch(async (error: unknown) => {
      await upload.abort();
      throw error;
    });
    {
      await using _lock = await this.#blobs.acquire(digest);
      await upload.commit(digest);
      await this.links.linkBlob(repository, digest);
    }
    if (!this.#condemned) return;
    await this.#condemned.spared(digest);
    if (await this.content.stat(digest)) return;
    // Another server took the one that was there before, and this with it.
    await this.links.unlinkBlob(repository, digest);
    throw new ProtocolError(503, 'BLOB_UPLOAD_INVALID', `${digest} was deleted while it was pushed: push it again`);
  }

  async manifest(repository: string, digest: Digest): Promise<{ record: ManifestRecord; bytes: Buffer } | undefined> {
    const record = await this.links.manifest(repository, digest);
    if (!record) return undefined;
    let bytes = this.#documents.get(digest);
    if (!bytes) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of this.content.read(record)) chunks.push(chunk);
      bytes = Buffer.concat(chunks);
      this.#keep(digest, bytes);
    }
    return { record, bytes };
  }

  /** Idempotent. Throws 400 for what is no manifest, or names what the repository does not have. */
  async putManifest(repository: string, put: PutManifest): Promise<ManifestRecord> {
    const record = describeManifest(put);
    using _held = this.#shared?.hold([record.digest, ...record.children]);
    await this.#checkChildren(repository, put);
    // Another server's collection sees by that that they are wanted; it lets a day go by between two looks.
    if (this.#condemned) await this.#renewLinks(repository, record.children);
    await this.#checkImmutable(repository, record.digest, put.tags);
    using _room = await this.#quotas?.take(this, repository, record.digest, record.size);
    await this.content.write(record, bytesOf(put.bytes));
    await this.#admit(repository, record, put.tags);
    await using _lock = await this.#commits.acquire('commit');
    // Once more: they may have been deleted, and what is written from here on keeps them.
    await this.#checkChildren(repository, put);
    await this.#checkImmutable(repository, record.digest, put.tags);
    if (!(await this.content.has(record))) await this.content.write(record, bytesOf(put.bytes));
    await this.links.putManifest(repository, record, put.tags);
    if (this.#condemned) await this.#restoreLinks(repository, put);
    await this.#spare(record, put.bytes);
    for (const tag of put.tags) {
      const once = this.immutable?.has(repository, tag) ?? false;
      const done = await this.links.setTag(repository, tag, record.digest, { once });
      if (!done && (await this.links.tag(repository, tag)) !== record.digest) this.immutable?.refuse(repository, tag);
    }
    return record;
  }

  /** What another server may have deleted right before it could see the link is written again. */
  async #spare(record: ManifestRecord, bytes: Buffer): Promise<void> {
    if (!this.#condemned) return;
    await this.#condemned.spared(record.digest);
    await this.content.write(record, bytesOf(bytes));
  }

  async #renewLinks(repository: string, digests: readonly Digest[]): Promise<void> {
    for (const digest of digests) {
      if (await this.links.hasBlob(repository, digest)) await this.links.linkBlob(repository, digest);
    }
  }

  /** Another server may have let go of a link right before it could see the manifest; the blob is there for a day more. */
  async #restoreLinks(repository: string, put: PutManifest): Promise<void> {
    for (const digest of required(put)) {
      if ((await this.links.hasBlob(repository, digest)) || (await this.links.manifest(repository, digest))) continue;
      await this.links.linkBlob(repository, digest);
    }
  }

  /** Takes a manifest over from elsewhere: what it names may come later. */
  async copyManifest(
    repository: string,
    record: ManifestRecord,
    bytes: Buffer,
    tags: readonly string[],
  ): Promise<void> {
    using _held = this.#shared?.hold([record.digest]);
    await using _lock = await this.#commits.acquire('commit');
    await this.content.write(record, bytesOf(bytes));
    await this.links.putManifest(repository, record, tags);
    await this.#spare(record, bytes);
    for (const tag of tags) await this.links.setTag(repository, tag, record.digest);
  }

  async #admit(repository: string, record: ManifestRecord, tags: readonly string[]): Promise<void> {
    try {
      await this.#shared?.admit(repository, record, tags);
    } catch (error) {
      throw errorCode(error) === 'corrupt' ? invalid(errorMessage(error)) : error;
    }
  }

  async #checkImmutable(repository: string, digest: Digest, tags: readonly string[]): Promise<void> {
    for (const tag of tags) {
      if (!this.immutable?.has(repository, tag)) continue;
      const now = await this.links.tag(repository, tag);
      if (now !== undefined && now !== digest) this.immutable.refuse(repository, tag);
    }
  }

  /** Throws 403 for a tag that stays. */
  async deleteTag(repository: string, tag: string): Promise<boolean> {
    this.immutable?.refuse(repository, tag);
    return this.links.deleteTag(repository, tag);
  }

  /** Deletes a tag unless it was moved meanwhile. */
  async expireTag(repository: string, tag: string, digest: Digest): Promise<boolean> {
    await using _lock = await this.#commits.acquire('commit');
    return (await this.links.tag(repository, tag)) === digest && this.links.deleteTag(repository, tag);
  }

  /** Deletes a manifest unless it was tagged meanwhile. */
  async expireManifest(repository: string, digest: Digest): Promise<boolean> {
    await using _lock = await this.#commits.acquire('commit');
    for (const tag of (await this.links.tags(repository)) ?? []) {
      if ((await this.links.tag(repository, tag)) === digest) return false;
    }
    return this.links.deleteManifest(repository, digest);
  }

  /** With the tags on it. Throws 403 when one of them stays. */
  async deleteManifest(repository: string, digest: Digest): Promise<boolean> {
    await using _lock = await this.#commits.acquire('commit');
    if (this.immutable) {
      for (const tag of (await this.links.tags(repository)) ?? []) {
        if (this.immutable.has(repository, tag) && (await this.links.tag(repository, tag)) === digest) {
          this.immutable.refuse(repository, tag);
        }
      }
    }
    return this.links.deleteManifest(repository, digest);
  }

  async #checkChildren(repository: string, put: PutManifest): Promise<void> {
    for (const digest of required(put)) {
      if (await this.links.hasBlob(repository, digest)) continue;
      if (await this.links.manifest(repository, digest)) continue;
      throw new ProtocolError(
        400,
        'MANIFEST_BLOB_UNKNOWN',
        `the repository has no ${digest}, which the manifest names`,
      );
    }
  }

  /** Links a blob of another repository. False when that one does not have it. */
  async mount(repository: string, digest: Digest, from: string): Promise<boolean> {
    using _held = this.#shared?.hold([digest]);
    await using _lock = await this.#commits.acquire('commit');
    const blob = (await this.links.hasBlob(from, digest)) ? await this.content.stat(digest) : undefined;
    if (!blob) return false;
    using _room = await this.#quotas?.take(this, repository, digest, blob.size);
    await this.links.linkBlob(repository, digest);
    if (!this.#condemned) return true;
    await this.#condemned.spared(digest);
    if (await this.content.stat(digest)) return true;
    await this.links.unlinkBlob(repository, digest);
    return false;
  }

  /** Says that somebody is about to name the blob; false when it has gone. */
  async touchBlob(repository: string, digest: Digest): Promise<boolean> {
    await using _lock = await this.#blobs.acquire(digest);
    if (!(await this.links.hasBlob(repository, digest)) || !(await this.content.stat(digest))) return false;
    await this.links.linkBlob(repository, digest);
    return true;
  }

  /** Whether the repository has the blob; asking keeps it from being collected for a while. */
  async blob(repository: string, digest: Digest): Promise<{ size: number } | undefined> {
    if (!(await this.links.hasBlob(repository, digest))) {
      // Manifests can be had as blobs too.
      return (await this.links.manifest(repository, digest)) ? this.content.stat(digest) : undefined;
    }
    return this.content.stat(digest);
  }

  /** Deletes blobs that no manifest has named for a day, beside everything that goes on. */
  async collect({ graceMs = DEFAULT_GRACE_MS }: { graceMs?: number } = {}): Promise<CollectedBlobs> {
    if (this.#shared) return this.#shared.collect();
    const before = Date.now() - graceMs;
    const linked = new Set<Digest>();
    for (const repository of await this.links.repositories()) {
      const named = new Set((await this.links.manifests(repository)).flatMap(({ children }) => children));
      for (const { digest, linkedAt } of await this.links.blobs(repository)) {
        const unused = !named.has(digest) && linkedAt.getTime() <= before;
        if (!unused || !(await this.#unlinkUnused(repository, digest, before))) linked.add(digest);
      }
    }
    for (const digest of linked) this.#unlinked.delete(digest);
    let count = 0;
    let bytes = 0;
    for await (const blob of this.content.list()) {
      if (linked.has(blob.digest) || blob.createdAt.getTime() > before || !this.#isDue(blob.digest, graceMs)) continue;
      await using _lock = await this.#commits.acquire('commit');
      await using _blob = await this.#blobs.acquire(blob.digest);
      if (!(await this.#delete(blob.digest))) continue;
      count++;
      bytes += blob.size;
    }
    return { blobs: count, bytes };
  }

  /** Unless something leads to it by now. */
  async #delete(digest: Digest): Promise<boolean> {
    const isWanted = async (): Promise<boolean> => {
      const linked = await this.#isLinked(digest);
      if (linked) this.#unlinked.delete(digest);
      return linked;
    };
    const remove = (): Promise<void> => this.content.delete(digest);
    if (this.#condemned) return this.#condemned.condemn(digest, { isWanted, remove });
    if (await isWanted()) return false;
    await remove();
    return true;
  }

  /** Where others write too, a blob goes that has had no link for as long again: nobody can be about to name it. */
  #isDue(digest: Digest, graceMs: number): boolean {
    if (!this.#condemned) return true;
    const since = this.#unlinked.get(digest) ?? Date.now();
    this.#unlinked.set(digest, since);
    return since <= Date.now() - graceMs;
  }

  /** Looks once more, where nothing can come between the look and the deed. */
  async #unlinkUnused(repository: string, digest: Digest, before: number): Promise<boolean> {
    await using _lock = await this.#commits.acquire('commit');
    if (await this.#isNamed(repository, digest)) return false;
    const link = (await this.links.blobs(repository)).find((blob) => blob.digest === digest);
    if (!link || link.linkedAt.getTime() > before) return false;
    const unlinked = await this.links.unlinkBlob(repository, digest);
    if (!this.#condemned || !(await this.#isNamed(repository, digest))) return unlinked;
    await this.links.linkBlob(repository, digest);
    return false;
  }

  async #isNamed(repository: string, digest: Digest): Promise<boolean> {
    return (await this.links.manifests(repository)).some(({ children }) => children.includes(digest));
  }

  async #isLinked(digest: Digest): Promise<boolean> {
    for (const repository of await this.links.repositories()) {
      if (await this.links.hasBlob(repository, digest)) return true;
      if (await this.links.manifest(repository, digest)) return true;
    }
    return false;
  }

  #keep(digest: Digest, bytes: Buffer): void {
    this.#documents.set(digest, bytes);
    this.#documentBytes += bytes.byteLength;
    for (const [oldest, { byteLength }] of this.#documents) {
      if (this.#documentBytes <= CACHE_BYTES) break;
      this.#documents.delete(oldest);
      this.#documentBytes -= byteLength;
    }
  }
}

/** Throws 400 for what is no manifest. */
export function describeManifest({
  mediaType,
  bytes,
  digest,
}: Pick<PutManifest, 'mediaType' | 'bytes' | 'digest'>): ManifestRecord {
  const found = digest?.startsWith('sha512:')
    ? (`sha512:${hasherFor(digest).update(bytes).digest('hex')}` as const)
    : sha256(bytes);
  if (digest !== undefined && found !== digest) {
    throw new ProtocolError(400, 'DIGEST_INVALID', `provided digest did not match uploaded content: it is ${found}`);
  }
  const document = isIndex(mediaType) ? checked(() => parseIndex(bytes)) : parseAsManifest(mediaType, bytes);
  if (document.mediaType !== undefined && document.mediaType !== mediaType) {
    throw invalid(`it was sent as ${mediaType} and says that it is ${document.mediaType}`);
  }
  if (document.subject !== undefined && !isDescriptor(document.subject)) throw invalid('its subject is no descriptor');
  const config = 'config' in document ? document.config : undefined;
  const artifactType = document.artifactType || config?.mediaType;
  const children = 'manifests' in document ? document.manifests : [document.config, ...document.layers];
  return {
    digest: found,
    mediaType,
    size: bytes.byteLength,
    children: children.map((child) => child.digest),
    ...(document.subject && { subject: document.subject.digest }),
    ...(artifactType !== undefined && { artifactType }),
    ...(document.annotations && { annotations: document.annotations }),
  };
}

function parseAsManifest(mediaType: string, bytes: Buffer): ReturnType<typeof parseManifest> {
  if (!isManifest(mediaType))
    throw invalid(`manifests of type ${JSON.stringify(mediaType.slice(0, 100))} are not kept here`);
  return checked(() => parseManifest(bytes));
}

function checked<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw invalid((error as Error).message);
  }
}

/** What must be there: not the layers that are said to be elsewhere. */
function required({ mediaType, bytes }: PutManifest): Digest[] {
  if (isIndex(mediaType)) return parseIndex(bytes).manifests.map((child) => child.digest);
  const { config, layers } = parseManifest(bytes);
  const own = layers.filter((layer) => layer.mediaType !== MEDIA_TYPES.dockerForeignLayer);
  return [config, ...own].map((child) => child.digest);
}

function invalid(message: string): ProtocolError {
  return new ProtocolError(400, 'MANIFEST_INVALID', `manifest invalid: ${message}`);
}

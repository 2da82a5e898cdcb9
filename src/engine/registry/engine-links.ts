import { EngineError, errorCode } from '../../base/errors.ts';
import { readDocument } from '../../content/children.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { familiar, parseReference } from '../../oci/reference.ts';
import { describeManifest } from '../../registry/server/repositories.ts';
import type { ManifestRecord, RepositoryLinks, TagTime } from '../../registry/server/repository-links.ts';
import type { ImageReference } from '../../state/images.ts';
import { nameImage } from '../images/names.ts';
import type { ImageParts } from '../images/parts.ts';
import { imageSource, isWhole } from '../images/push.ts';
import { removeImage } from '../images/remove.ts';
import { bytesOf } from '../../content/bytes.ts';
import type { RegistryRoots } from './registry-roots.ts';
import { canonicalRepository, servedPath } from './served-repository.ts';

/** What was pushed by its digest alone may be named later, by an index or a tag; after so long it goes. */
const KEEP_UNTAGGED_MS = 7 * 24 * 3600_000;
const MAX_CACHED = 1000;

/**
 * The engine's images as repositories. A tag is a name of an image, and the other way round; a manifest is what an image
 * came with, or what a push of it would make; beside these there is what was pushed and is no image of this machine:
 * other platforms, signatures, artifacts.
 */
export class EngineLinks implements RepositoryLinks {
  readonly #parts: ImageParts;
  readonly #roots: RegistryRoots;
  /** Domains that this registry itself is known by. */
  readonly #own: ReadonlySet<string>;
  /** Documents never change under their digest. */
  readonly #described = new Map<Digest, ManifestRecord>();

  readonly #admitted: (manifest: Digest) => Digest | undefined;
  readonly #admit: (path: string, manifest: ManifestRecord, tags: readonly string[]) => Promise<void>;

  constructor(options: {
    parts: ImageParts;
    roots: RegistryRoots;
    own: ReadonlySet<string>;
    /** The image that a manifest or index was just made. */
    admitted: (manifest: Digest) => Digest | undefined;
    /** Makes it once more. */
    admit: (path: string, manifest: ManifestRecord, tags: readonly string[]) => Promise<void>;
  }) {
    this.#parts = options.parts;
    this.#roots = options.roots;
    this.#own = options.own;
    this.#admitted = options.admitted;
    this.#admit = options.admit;
  }

  async repositories(): Promise<string[]> {
    const all = [
      ...this.#parts.images.references().map(({ repository }) => repository),
      ...this.#records.repositories(),
    ];
    return [...new Set(all.flatMap((repository) => servedPath(repository, this.#own) ?? []))].sort(compare);
  }

  async tags(path: string): Promise<string[] | undefined> {
    const repository = canonicalRepository(path);
    const references = this.#references(path);
    const tags = references
      .filter(({ reference }) => !reference.includes('@'))
      .map(({ reference }) => tagOf(reference));
    for (const { tag } of this.#records.tags(repository)) tags.push(tag);
    if (tags.length === 0 && references.length === 0 && !this.#records.repositories().includes(repository))
      return undefined;
    return [...new Set(tags)].sort(compare);
  }

  async tag(path: string, tag: string): Promise<Digest | undefined> {
    // Who gave the name to an image did it after the registry was told of something else by that name.
    const reference = this.#reference(path, tag);
    if (reference) return (await this.#manifestOf(path, reference))?.digest;
    return this.#records.tag(canonicalRepository(path), tag);
  }

  /** What an engine keeps is for its own commands to say. */
  async tagTimes(): Promise<TagTime[]> {
    return [];
  }

  async readTag(): Promise<void> {}

  async manifestTime(): Promise<undefined> {}

  async setTag(
    path: string,
    tag: string,
    digest: Digest,
    { once = false }: { readonly once?: boolean } = {},
  ): Promise<boolean> {
    if (once && (await this.tag(path, tag)) !== undefined) return false;
    const repository = canonicalRepository(path);
    const row = this.#records.manifest(repository, digest);
    // Its last other name may have been taken away meanwhile, and the image with it; what it is made of is held.
    for (let tries = 0; row && this.#isLost(this.#admitted(digest)) && tries < 3; tries++) {
      await this.#admit(path, JSON.parse(row.document) as ManifestRecord, [tag]);
    }
    const image = this.#admitted(digest);
    if (!row || image === undefined || !this.#parts.images.get(image)) {
      await this.#untag(path, tag);
      this.#records.setTag(repository, tag, digest);
      return true;
    }
    const { mediaType, size } = JSON.parse(row.document) as ManifestRecord;
    const target = { mediaType, digest, size };
    const name = parseReference(`${repository}:${tag}`);
    const before = await this.#parts.db.durableTransaction(() => {
      this.#records.deleteTag(repository, tag);
      nameImage(this.#parts, image, { ...name, tag: undefined, digest }, target);
      return nameImage(this.#parts, image, name, target);
    });
    if (before !== undefined) this.#parts.publish('untag', before, { name: familiar(name.repository) });
    this.#parts.publish('tag', image, { name: familiar(`${repository}:${tag}`) });
    return true;
  }

  /**
   * As `docker rmi` takes a name away; what it named can be had by its digest for a while. Throws `conflict` while a
   * container uses the image by its last name.
   */
  async deleteTag(path: string, tag: string): Promise<boolean> {
    const digest = await this.tag(path, tag);
    const record = digest && (await this.manifest(path, digest));
    if (record) await this.putManifest(path, record, []);
    const removed = this.#records.deleteTag(canonicalRepository(path), tag);
    return (await this.#untag(path, tag)) || removed;
  }

  async manifest(path: string, digest: Digest): Promise<ManifestRecord | undefined> {
    const row = this.#records.manifest(canonicalRepository(path), digest);
    if (row && this.#roots.keeps(row)) return JSON.parse(row.document) as ManifestRecord;
    for (const descriptor of this.#imageManifests(path)) {
      if (descriptor.digest === digest) return this.#describe(descriptor);
    }
    return undefined;
  }

  async manifests(path: string): Promise<ManifestRecord[]> {
    const rows = this.#records.manifests(canonicalRepository(path)).filter((row) => this.#roots.keeps(row));
    const found = new Map(rows.map((row) => [row.digest, JSON.parse(row.document) as ManifestRecord]));
    for (const descriptor of this.#imageManifests(path)) {
      const record = await this.#describe(descriptor);
      if (record && !found.has(record.digest)) found.set(record.digest, record);
    }
    return [...found.values()];
  }

  async putManifest(path: string, manifest: ManifestRecord, tags: readonly string[]): Promise<void> {
    this.#records.putManifest({
      repository: canonicalRepository(path),
      digest: manifest.digest,
      subject: manifest.subject,
      keepUntil: tags.length > 0 ? 0 : Date.now() + KEEP_UNTAGGED_MS,
      document: JSON.stringify(manifest),
      children: manifest.children,
    });
  }

  async deleteManifest(path: string, digest: Digest): Promise<boolean> {
    const record = await this.manifest(path, digest);
    if (!record) return false;
    const repository = canonicalRepository(path);
    for (;;) {
      const named = this.#references(path).find((reference) => this.#isServedAs(reference, digest));
      if (!named) break;
      await removeImage(this.#parts, familiar(named.reference));
    }
    this.#records.deleteTagsOf(repository, digest);
    this.#records.deleteManifest(repository, digest);
    await this.#parts.collector.collect({ blobs: [digest, ...record.children], snapshots: [] });
    if (await this.manifest(path, digest)) {
      throw new EngineError('conflict', `${digest} is a part of something else in the repository: delete that first`);
    }
    return true;
  }

  async referrers(path: string, digest: Digest): Promise<ManifestRecord[]> {
    return this.#records
      .referrers(canonicalRepository(path), digest)
      .filter((row) => this.#roots.keeps(row))
      .map((row) => JSON.parse(row.document) as ManifestRecord);
  }

  async hasBlob(path: string, digest: Digest): Promise<boolean> {
    const repository = canonicalRepository(path);
    if (this.#records.hasBlob(repository, digest)) return true;
    return this.#isNamed(path, digest);
  }

  async linkBlob(path: string, digest: Digest): Promise<void> {
    if (!(await this.#isNamed(path, digest))) this.#records.linkBlob(canonicalRepository(path), digest, Date.now());
  }

  /** What a manifest names stays: it goes with the manifest. */
  async unlinkBlob(path: string, digest: Digest): Promise<boolean> {
    const removed = this.#records.unlinkBlob(canonicalRepository(path), digest);
    if (removed) await this.#parts.collector.collect({ blobs: [digest], snapshots: [] });
    return removed;
  }

  async blobs(path: string): Promise<{ digest: Digest; linkedAt: Date }[]> {
    return this.#records.blobs(canonicalRepository(path));
  }

  async #isNamed(path: string, digest: Digest): Promise<boolean> {
    const repository = canonicalRepository(path);
    for (const parent of this.#records.parents(repository, digest)) {
      const row = this.#records.manifest(repository, parent);
      if (row && this.#roots.keeps(row)) return true;
    }
    for (const descriptor of this.#imageManifests(path)) {
      const record = await this.#describe(descriptor);
      if (record?.children.includes(digest)) return true;
    }
    return false;
  }

  #isLost(image: Digest | undefined): boolean {
    return image !== undefined && !this.#parts.images.get(image);
  }

  get #records(): RegistryRoots['records'] {
    return this.#roots.records;
  }

  /** The names of images that are served under a path: its own first, then those that carry this registry's name. */
  #references(path: string): ImageReference[] {
    const { images } = this.#parts;
    const repositories = [canonicalRepository(path), ...[...this.#own].map((domain) => `${domain}/${path}`)];
    return repositories.flatMap((repository) => images.referencesIn(repository));
  }

  #reference(path: string, tag: string): ImageReference | undefined {
    return this.#references(path).find(({ reference, repository }) => reference === `${repository}:${tag}`);
  }

  /** Manifests and indexes of the images under a path, as far as they are known: a push or pull of an image makes its own known. */
  #imageManifests(path: string): Descriptor[] {
    const found = new Map<Digest, Descriptor>();
    for (const { image, target } of this.#references(path)) {
      const own = this.#parts.images.get(image)?.manifest;
      for (const one of [target, own]) if (one) found.set(one.digest, one);
    }
    return [...found.values()];
  }

  /** What a tag of an image is served as: what the registry it came from calls so, else the image's manifest, made once. */
  async #manifestOf(path: string, { target, image: id }: ImageReference): Promise<Descriptor | undefined> {
    const { images, leases, content } = this.#parts;
    const image = images.get(id);
    if (!image) return undefined;
    using lease = leases.acquire('registry');
    if (target) {
      const row = this.#records.manifest(canonicalRepository(path), target.digest);
      if (row && this.#roots.keeps(row)) return target;
      lease.add('blob', target.digest);
      const whole = image.manifest && (await isWhole(this.#parts, image.manifest, lease, undefined));
      if (whole && (await content.has(target))) return target;
    }
    const { manifest, source } = await imageSource(this.#parts, image, { lease });
    if (manifest.digest === image.manifest?.digest) return manifest;
    await content.write(
      { digest: image.id, size: Buffer.byteLength(image.configText) },
      bytesOf(Buffer.from(image.configText)),
    );
    await content.write(manifest, source.read(manifest));
    images.setManifest(image.id, manifest);
    return manifest;
  }

  #isServedAs({ target, image }: ImageReference, digest: Digest): boolean {
    return (target ?? this.#parts.images.get(image)?.manifest)?.digest === digest;
  }

  async #describe(descriptor: Descriptor): Promise<ManifestRecord | undefined> {
    const known = this.#described.get(descriptor.digest);
    if (known) return known;
    let record: ManifestRecord;
    try {
      const bytes = await readDocument(this.#parts.content, descriptor);
      record = describeManifest({ mediaType: descriptor.mediaType, bytes, digest: descriptor.digest });
    } catch (error) {
      if (errorCode(error) === 'not-found') return undefined;
      throw error;
    }
    if (this.#described.size >= MAX_CACHED) this.#described.delete(this.#described.keys().next().value!);
    this.#described.set(descriptor.digest, record);
    return record;
  }

  async #untag(path: string, tag: string): Promise<boolean> {
    const reference = this.#reference(path, tag);
    if (!reference) return false;
    await removeImage(this.#parts, familiar(reference.reference));
    return true;
  }
}

function tagOf(reference: string): string {
  return reference.slice(reference.lastIndexOf(':') + 1);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

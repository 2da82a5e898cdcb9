import { ZERO_TIME } from '../base/time.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { ChainId, Digest } from '../oci/digest.ts';
import type { ImageConfig } from '../oci/image.ts';
import type { Database, Row } from './database.ts';
import { ImageTargetStore } from './image-targets.ts';

/** An image of this machine: one platform, all of its layers present as snapshots. */
export interface ImageRecord {
  /** Digest of the config document. */
  readonly id: Digest;
  readonly config: ImageConfig;
  /** The config document byte for byte. */
  readonly configText: string;
  /** The top of its layers; undefined when it has none. */
  readonly chain: ChainId | undefined;
  /** Bytes of all its layers' files. */
  readonly size: number;
  /** The image it was made from on this machine. */
  readonly parent: Digest | undefined;
  /** The manifest it came with; undefined where one is made when it is needed. */
  readonly manifest: Descriptor | undefined;
  /** RFC 3339. */
  readonly addedAt: string;
  /** RFC 3339; Go's zero time when it never had a name. */
  readonly lastTaggedAt: string;
}

/** A name of an image. */
export interface ImageReference {
  /** Canonical: `docker.io/library/nginx:1.23`, or with `@sha256:…` in the tag's place. */
  readonly reference: string;
  readonly repository: string;
  readonly image: Digest;
  /** What a registry has under that name, a manifest or an index; undefined for names given here. */
  readonly target: Descriptor | undefined;
}

/** Images and their names. Writing is durable when the call returns. */
export class ImageStore {
  /** What names point to where that is more than one image. */
  readonly targets: ImageTargetStore;
  readonly #db: Database;
  /** Documents never change under an id, so what was parsed once stays right. */
  readonly #configs = new Map<string, ImageConfig>();

  constructor(db: Database) {
    this.#db = db;
    this.targets = new ImageTargetStore(db);
  }

  get(id: string): ImageRecord | undefined {
    const row = this.#db.get('SELECT * FROM images WHERE id = ?', id);
    return row && this.#record(row);
  }

  /** Whether an image's layers end with this chain. */
  hasChain(chain: string): boolean {
    return this.#db.get('SELECT 1 FROM images WHERE chain = ? LIMIT 1', chain) !== undefined;
  }

  list(): ImageRecord[] {
    return this.#db.all('SELECT * FROM images').map((row) => this.#record(row));
  }

  /** What each image keeps, without its documents: for marking, which looks at all of them often. */
  roots(): Pick<ImageRecord, 'id' | 'config' | 'manifest'>[] {
    return this.#db.all('SELECT id, manifest FROM images').map((row) => {
      const id = row['id'] as Digest;
      const config = this.#configs.get(id) ?? this.get(id)!.config;
      return { id, config, manifest: descriptorOf(row['manifest']) };
    });
  }

  get size(): number {
    return Number(this.#db.get('SELECT COUNT(*) AS count FROM images')!['count']);
  }

  /** At most `limit` ids whose hex digits begin with `prefix`. */
  idsWithPrefix(prefix: string, limit = 2): Digest[] {
    if (!/^[a-f0-9]{1,64}$/.test(prefix)) return [];
    return this.#db
      .all('SELECT id FROM images WHERE id >= ? AND id < ? LIMIT ?', `sha256:${prefix}`, `sha256:${prefix}g`, limit)
      .map((row) => row['id'] as Digest);
  }

  /** Images made from this one on this machine. */
  children(id: string): Digest[] {
    return this.#db.all('SELECT id FROM images WHERE parent = ?', id).map((row) => row['id'] as Digest);
  }

  /** Idempotent: false when the image is known, which then keeps what is known of it. */
  insert(image: Omit<ImageRecord, 'config' | 'lastTaggedAt'>): boolean {
    const { id, configText, chain, size, parent, manifest, addedAt } = image;
    return (
      this.#db.run(
        `INSERT INTO images (id, config, chain, size, parent, manifest, added, tagged) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING`,
        id,
        configText,
        chain ?? null,
        size,
        parent ?? null,
        textOf(manifest),
        addedAt,
        ZERO_TIME,
      ) > 0
    );
  }

  /** Idempotent. Its names must be gone. */
  delete(id: string): void {
    this.#db.run('DELETE FROM images WHERE id = ?', id);
    this.#configs.delete(id);
  }

  setManifest(id: string, manifest: Descriptor): void {
    this.#db.run('UPDATE images SET manifest = ? WHERE id = ?', textOf(manifest), id);
  }

  reference(name: string): ImageReference | undefined {
    const row = this.#db.get('SELECT * FROM image_references WHERE reference = ?', name);
    return row && referenceOf(row);
  }

  /** The names of one image, or all there are; sorted. */
  references(image?: string): ImageReference[] {
    const rows =
      image === undefined
        ? this.#db.all('SELECT * FROM image_references ORDER BY reference')
        : this.#db.all('SELECT * FROM image_references WHERE image = ? ORDER BY reference', image);
    return rows.map(referenceOf);
  }

  /** The names in one repository, in any order. */
  referencesIn(repository: string): ImageReference[] {
    return this.#db.all('SELECT * FROM image_references WHERE repository = ?', repository).map(referenceOf);
  }

  /** Gives the name to the image, taking it from whichever had it: that image's id is returned. `at` is RFC 3339. */
  setReference(name: ImageReference, at: string): Digest | undefined {
    return this.#db.transaction(() => {
      const before = this.reference(name.reference)?.image;
      this.#db.run(
        `INSERT INTO image_references (reference, repository, image, target) VALUES (?, ?, ?, ?)
         ON CONFLICT (reference) DO UPDATE SET image = excluded.image, target = excluded.target`,
        name.reference,
        name.repository,
        name.image,
        textOf(name.target),
      );
      this.#db.run('UPDATE images SET tagged = ? WHERE id = ?', at, name.image);
      return before === name.image ? undefined : before;
    });
  }

  /** Idempotent. */
  deleteReference(name: string): void {
    this.#db.run('DELETE FROM image_references WHERE reference = ?', name);
  }

  #record(row: Row): ImageRecord {
    const id = row['id'] as Digest;
    const configText = row['config'] as string;
    let config = this.#configs.get(id);
    if (!config) {
      config = JSON.parse(configText) as ImageConfig;
      this.#configs.set(id, config);
    }
    return {
      id,
      config,
      configText,
      chain: (row['chain'] as ChainId | null) ?? undefined,
      size: Number(row['size']),
      parent: (row['parent'] as Digest | null) ?? undefined,
      manifest: descriptorOf(row['manifest']),
      addedAt: row['added'] as string,
      lastTaggedAt: row['tagged'] as string,
    };
  }
}

function referenceOf(row: Row): ImageReference {
  return {
    reference: row['reference'] as string,
    repository: row['repository'] as string,
    image: row['image'] as Digest,
    target: descriptorOf(row['target']),
  };
}

function textOf(descriptor: Descriptor | undefined): string | null {
  return descriptor ? JSON.stringify(descriptor) : null;
}

function descriptorOf(text: unknown): Descriptor | undefined {
  return typeof text === 'string' ? (JSON.parse(text) as Descriptor) : undefined;
}

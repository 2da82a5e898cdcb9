import type { Digest } from '../oci/digest.ts';
import type { Database } from './database.ts';

/** A manifest that came to the registry which the engine serves. */
export interface RegistryManifestRow {
  /** Canonical: `docker.io/library/app`. */
  readonly repository: string;
  readonly digest: Digest;
  readonly subject: Digest | undefined;
  /** Milliseconds since the epoch: until then it stays, whether or not something names it. */
  readonly keepUntil: number;
  /** What the registry knows of it, as JSON. */
  readonly document: string;
  readonly children: readonly Digest[];
}

/**
 * What the served registry has beside the engine's images: blobs on their way, manifests as they came, tags on what is no
 * image. Writing is durable when the call returns.
 */
export class RegistryRecords {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** In the order of their names. */
  repositories(): string[] {
    return this.#db
      .all(
        `SELECT repository FROM registry_manifests UNION SELECT repository FROM registry_blobs
         UNION SELECT repository FROM registry_tags ORDER BY repository`,
      )
      .map((row) => row['repository'] as string);
  }

  tags(repository: string): { readonly tag: string; readonly digest: Digest }[] {
    return this.#db
      .all('SELECT tag, digest FROM registry_tags WHERE repository = ? ORDER BY tag', repository)
      .map((row) => ({ tag: row['tag'] as string, digest: row['digest'] as Digest }));
  }

  tag(repository: string, tag: string): Digest | undefined {
    const row = this.#db.get('SELECT digest FROM registry_tags WHERE repository = ? AND tag = ?', repository, tag);
    return row?.['digest'] as Digest | undefined;
  }

  setTag(repository: string, tag: string, digest: Digest): void {
    this.#db.run(
      'INSERT OR REPLACE INTO registry_tags (repository, tag, digest) VALUES (?, ?, ?)',
      repository,
      tag,
      digest,
    );
  }

  deleteTag(repository: string, tag: string): boolean {
    return this.#db.run('DELETE FROM registry_tags WHERE repository = ? AND tag = ?', repository, tag) > 0;
  }

  deleteTagsOf(repository: string, digest: Digest): boolean {
    return this.#db.run('DELETE FROM registry_tags WHERE repository = ? AND digest = ?', repository, digest) > 0;
  }

  isTagged(repository: string, digest: Digest): boolean {
    return (
      this.#db.get('SELECT 1 FROM registry_tags WHERE repository = ? AND digest = ?', repository, digest) !== undefined
    );
  }

  manifest(repository: string, digest: Digest): RegistryManifestRow | undefined {
    const row = this.#db.get(
      'SELECT * FROM registry_manifests WHERE repository = ? AND digest = ?',
      repository,
      digest,
    );
    return row && this.#manifest(row);
  }

  /** Of one repository, or all there are. */
  manifests(repository?: string): RegistryManifestRow[] {
    const rows =
      repository === undefined
        ? this.#db.all('SELECT * FROM registry_manifests')
        : this.#db.all('SELECT * FROM registry_manifests WHERE repository = ? ORDER BY digest', repository);
    return rows.map((row) => this.#manifest(row));
  }

  /** Idempotent. The later of two times to keep it counts. Its children need no links of their own afterwards. */
  putManifest(row: RegistryManifestRow): void {
    const { repository, digest, subject, keepUntil, document, children } = row;
    this.#db.transaction(() => {
      this.#db.run(
        `INSERT INTO registry_manifests (repository, digest, subject, keep_until, document) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (repository, digest) DO UPDATE SET keep_until = max(keep_until, excluded.keep_until)`,
        repository,
        digest,
        subject ?? null,
        keepUntil,
        document,
      );
      for (const child of children) {
        const key = [repository, digest, child];
        this.#db.run('INSERT OR IGNORE INTO registry_children (repository, manifest, child) VALUES (?, ?, ?)', ...key);
        this.#db.run('DELETE FROM registry_blobs WHERE repository = ? AND digest = ?', repository, child);
      }
    });
  }

  deleteManifest(repository: string, digest: Digest): boolean {
    return this.#db.transaction(() => {
      this.#db.run('DELETE FROM registry_children WHERE repository = ? AND manifest = ?', repository, digest);
      return this.#db.run('DELETE FROM registry_manifests WHERE repository = ? AND digest = ?', repository, digest) > 0;
    });
  }

  /** Manifests of the repository that name the blob or manifest. */
  parents(repository: string, child: Digest): Digest[] {
    return this.#db
      .all('SELECT manifest FROM registry_children WHERE repository = ? AND child = ?', repository, child)
      .map((row) => row['manifest'] as Digest);
  }

  referrers(repository: string, subject: Digest): RegistryManifestRow[] {
    return this.#db
      .all('SELECT * FROM registry_manifests WHERE repository = ? AND subject = ? ORDER BY digest', repository, subject)
      .map((row) => this.#manifest(row));
  }

  hasBlob(repository: string, digest: Digest): boolean {
    return (
      this.#db.get('SELECT 1 FROM registry_blobs WHERE repository = ? AND digest = ?', repository, digest) !== undefined
    );
  }

  linkBlob(repository: string, digest: Digest, at: number): void {
    this.#db.run(
      'INSERT OR REPLACE INTO registry_blobs (repository, digest, linked_at) VALUES (?, ?, ?)',
      repository,
      digest,
      at,
    );
  }

  unlinkBlob(repository: string, digest: Digest): boolean {
    return this.#db.run('DELETE FROM registry_blobs WHERE repository = ? AND digest = ?', repository, digest) > 0;
  }

  /** Of one repository, or all there are. */
  blobs(repository?: string): { readonly digest: Digest; readonly linkedAt: Date }[] {
    const rows =
      repository === undefined
        ? this.#db.all('SELECT * FROM registry_blobs')
        : this.#db.all('SELECT * FROM registry_blobs WHERE repository = ? ORDER BY digest', repository);
    return rows.map((row) => ({ digest: row['digest'] as Digest, linkedAt: new Date(Number(row['linked_at'])) }));
  }

  #manifest(row: Record<string, unknown>): RegistryManifestRow {
    const [repository, digest] = [row['repository'] as string, row['digest'] as Digest];
    return {
      repository,
      digest,
      subject: (row['subject'] as Digest | null) ?? undefined,
      keepUntil: Number(row['keep_until']),
      document: row['document'] as string,
      children: this.#db
        .all('SELECT child FROM registry_children WHERE repository = ? AND manifest = ?', repository, digest)
        .map((child) => child['child'] as Digest),
    };
  }
}

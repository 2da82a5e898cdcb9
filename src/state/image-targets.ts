import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Database } from './database.ts';

/** An index, or a manifest with a form of its own, that names of this machine point to: what it needs besides images. */
export interface ImageTarget {
  /** Digest of the index or manifest. */
  readonly digest: Digest;
  /** Images of this machine that it holds, one for each platform, with what describes them in it. */
  readonly members: readonly { readonly image: Digest; readonly manifest: Descriptor }[];
  /** Everything else that it refers to: itself, manifests, statements, layers compressed in a way of their own. */
  readonly blobs: readonly Digest[];
}

/** What names point to that is more than one image. A row counts for as long as a name has its digest as its target. */
export class ImageTargetStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  get(digest: string): ImageTarget | undefined {
    const row = this.#db.get('SELECT doc FROM image_targets WHERE digest = ?', digest);
    return row && (JSON.parse(row['doc'] as string) as ImageTarget);
  }

  list(): ImageTarget[] {
    return this.#db.all('SELECT doc FROM image_targets').map((row) => JSON.parse(row['doc'] as string) as ImageTarget);
  }

  /** Idempotent: a digest says all that is in it. */
  put(target: ImageTarget): void {
    this.#db.run(
      'INSERT OR REPLACE INTO image_targets (digest, doc) VALUES (?, ?)',
      target.digest,
      JSON.stringify(target),
    );
  }

  /** Idempotent. */
  delete(digest: string): void {
    this.#db.run('DELETE FROM image_targets WHERE digest = ?', digest);
  }
}

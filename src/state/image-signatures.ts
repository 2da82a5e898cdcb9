import type { Database } from './database.ts';

export interface KeptSignature {
  /** The manifest or index that is signed. */
  readonly digest: string;
  readonly payload: Buffer;
  /** Base64. */
  readonly signature: string;
}

/** Signatures of images that are here. Writing is durable when the call returns. */
export class ImageSignatureStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Idempotent. */
  put({ digest, payload, signature }: KeptSignature): void {
    this.#db.run(
      'INSERT INTO image_signatures (digest, signature, payload) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
      digest,
      signature,
      payload,
    );
  }

  of(digest: string): KeptSignature[] {
    return this.#db.all('SELECT * FROM image_signatures WHERE digest = ?', digest).map((row) => ({
      digest,
      signature: row['signature'] as string,
      payload: Buffer.from(row['payload'] as Uint8Array),
    }));
  }

  /** Forgets those of manifests that neither a name nor an image points to. */
  prune(): void {
    this.#db.run(
      `DELETE FROM image_signatures WHERE digest NOT IN
         (SELECT json_extract(target, '$.digest') FROM image_references WHERE target IS NOT NULL
          UNION SELECT json_extract(manifest, '$.digest') FROM images WHERE manifest IS NOT NULL)`,
    );
  }
}

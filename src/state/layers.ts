import type { Descriptor } from '../oci/descriptor.ts';
import type { DiffId, Digest } from '../oci/digest.ts';
import type { Database, Row } from './database.ts';

/** A layer as an archive. */
export interface LayerRecord {
  /** Digest of its tar, uncompressed. */
  readonly diffId: DiffId;
  /** Its tar as it is transported: a blob as it came, compressed or not; or the plain tar, whose digest is the diff id. */
  readonly blob: Pick<Descriptor, 'mediaType' | 'digest' | 'size'>;
  /** Whether the content store has the blob; otherwise it is made again from the snapshot, byte for byte. */
  readonly stored: boolean;
  /** Bytes of the files' content. */
  readonly size: number;
}

/** The layers known, by diff id. */
export class LayerStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  get(diffId: DiffId): LayerRecord | undefined {
    const row = this.#db.get('SELECT * FROM layers WHERE diff_id = ?', diffId);
    return row && recordOf(row);
  }

  list(): LayerRecord[] {
    return this.#db.all('SELECT * FROM layers').map(recordOf);
  }

  /** The layers whose tar is in the blob: one, save for a blob that was described as two things. */
  withBlob(digest: Digest): LayerRecord[] {
    return this.#db.all('SELECT * FROM layers WHERE blob = ? AND stored = 1', digest).map(recordOf);
  }

  /**
   * Idempotent. A stored blob takes the place of a record without one, never the other way round. Durable with the next
   * record of an image: what a power cut takes away is a layer of none.
   */
  put({ diffId, blob, stored, size }: LayerRecord): void {
    this.#db.relaxedTransaction(() =>
      this.#db.run(
        `INSERT INTO layers (diff_id, blob, media_type, blob_size, stored, size) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (diff_id) DO UPDATE SET
         blob = excluded.blob, media_type = excluded.media_type, blob_size = excluded.blob_size, stored = excluded.stored
       WHERE layers.stored = 0 AND excluded.stored = 1`,
        diffId,
        blob.digest,
        blob.mediaType,
        blob.size,
        stored ? 1 : 0,
        size,
      ),
    );
  }

  /** Durable when it resolves. Idempotent. */
  async delete(diffIds: readonly DiffId[]): Promise<void> {
    if (diffIds.length === 0) return;
    await this.#db.durableTransaction(() => {
      for (const diffId of diffIds) this.#db.run('DELETE FROM layers WHERE diff_id = ?', diffId);
    });
  }
}

function recordOf(row: Row): LayerRecord {
  return {
    diffId: row['diff_id'] as DiffId,
    blob: {
      mediaType: row['media_type'] as string,
      digest: row['blob'] as Digest,
      size: Number(row['blob_size']),
    },
    stored: row['stored'] === 1,
    size: Number(row['size']),
  };
}

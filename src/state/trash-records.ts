import type { TrashKind } from '../api/trash.ts';
import type { FactAuthor } from '../api/why.ts';
import type { ContainerRecord } from './containers.ts';
import type { Database, Row } from './database.ts';
import type { ImageTarget } from './image-targets.ts';
import type { ImageRecord, ImageReference } from './images.ts';
import type { NetworkRecord } from './networks.ts';
import type { VolumeRecord } from './volumes.ts';

/** What was removed, with all that it takes to bring it back; files are where they were, but for those of volumes. */
export type TrashContent =
  | { readonly kind: 'container'; readonly record: ContainerRecord }
  /** `place` is the name of its directory in the trash of the volumes. */
  | { readonly kind: 'volume'; readonly record: VolumeRecord; readonly place: string }
  | { readonly kind: 'network'; readonly record: NetworkRecord }
  | { readonly kind: 'image'; readonly record: TrashedImage };

/** What one `rmi` took away: names, and images with them, each only where it went. */
export interface TrashedImage {
  /** What the user saw it as: its first name, or its id. */
  readonly id: string;
  readonly name: string;
  readonly images: readonly Omit<ImageRecord, 'config' | 'lastTaggedAt'>[];
  readonly references: readonly ImageReference[];
  readonly targets: readonly ImageTarget[];
  /** Blobs that nothing but the above refers to: what was told to be garbage. */
  readonly blobs: readonly string[];
}

export interface TrashEntry {
  readonly seq: number;
  /** All that one command took away has the same. */
  readonly operation: string;
  /** Milliseconds since the epoch. */
  readonly removedAt: number;
  readonly by: FactAuthor;
  /** Bytes; undefined until it was measured. */
  readonly size: number | undefined;
  readonly content: TrashContent;
}

/** The table of what is in the trash. An object is in it when its row is, and in no other table then. */
export class TrashRecords {
  readonly #db: Database;
  /** Documents never change, so what was parsed once stays right. */
  readonly #contents = new Map<number, { readonly by: FactAuthor; readonly content: TrashContent }>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** In the transaction that takes the object out of its own table. */
  add(entry: Omit<TrashEntry, 'seq' | 'size'>): void {
    const { operation, removedAt, by, content } = entry;
    this.#db.run(
      'INSERT INTO trash (operation, kind, name, id, removed, doc) VALUES (?, ?, ?, ?, ?, ?)',
      operation,
      content.kind,
      content.record.name,
      content.record.id,
      removedAt,
      JSON.stringify({ by, content }),
    );
  }

  /** Oldest first. */
  list(kind?: TrashKind): TrashEntry[] {
    const rows =
      kind === undefined
        ? this.#db.all('SELECT * FROM trash ORDER BY seq')
        : this.#db.all('SELECT * FROM trash WHERE kind = ? ORDER BY seq', kind);
    return rows.map((row) => this.#entry(row));
  }

  get(seq: number): TrashEntry | undefined {
    const row = this.#db.get('SELECT * FROM trash WHERE seq = ?', seq);
    return row && this.#entry(row);
  }

  get count(): number {
    return Number(this.#db.get('SELECT count(*) AS n FROM trash')!['n']);
  }

  /** Ids of the containers in it. */
  containerIds(): string[] {
    return this.#db.all("SELECT id FROM trash WHERE kind = 'container'").map((row) => row['id'] as string);
  }

  setSize(seq: number, bytes: number): void {
    this.#db.optionalTransaction(() => this.#db.run('UPDATE trash SET size = ? WHERE seq = ?', bytes, seq));
  }

  /** Idempotent. */
  delete(seq: number): void {
    this.#db.run('DELETE FROM trash WHERE seq = ?', seq);
    this.#contents.delete(seq);
  }

  #entry(row: Row): TrashEntry {
    const seq = Number(row['seq']);
    let known = this.#contents.get(seq);
    if (!known) {
      known = JSON.parse(row['doc'] as string) as { by: FactAuthor; content: TrashContent };
      this.#contents.set(seq, known);
    }
    return {
      seq,
      operation: row['operation'] as string,
      removedAt: Number(row['removed']),
      size: row['size'] === null ? undefined : Number(row['size']),
      ...known,
    };
  }
}

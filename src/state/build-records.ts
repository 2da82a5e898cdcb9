import type { ChainId, Digest, DiffId } from '../oci/digest.ts';
import type { Database } from './database.ts';

/** What a build step gave, kept under the key of everything it depended on. */
export interface BuildRecord {
  readonly key: Digest;
  /** The step before, by its key; undefined for a base image. */
  readonly parent: Digest | undefined;
  /** `RUN npm install`, for people. */
  readonly text: string;
  /** Layer that the step made; undefined when it changed only configuration. */
  readonly layer: { readonly chain: ChainId; readonly diffId: DiffId; readonly size: number } | undefined;
  /** What its command printed, for a step whose result that is. */
  readonly output?: string;
  /** RFC 3339: the step's time in the image's history, the same each time the record is used. */
  readonly createdAt: string;
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
  readonly uses: number;
  /** Which step of which file it was: what a step that misses the cache is compared with. */
  readonly slot?: string;
  /** What the key was made of, for `--explain`. */
  readonly inputs?: readonly StepInput[];
}

/** One thing that a step depended on. */
export interface StepInput {
  /** `command`, `files`, `ARG VERSION`, `base`. */
  readonly name: string;
  readonly value: string;
  /** Of files: a part of each one's digest by its name, when they are not too many. */
  readonly files?: Readonly<Record<string, string>>;
}

const WRITE_USES_MS = 2000;

/** The build cache's records: the database's part of it. The layers are snapshots, kept while a record names them. */
export class BuildRecords {
  readonly #db: Database;
  /** Uses that are not written down yet: a commit waits for the disk, and which record was used last is worth no wait. */
  readonly #uses = new Map<Digest, { readonly used: number; readonly uses: number }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Finds and counts the use. */
  use(key: Digest): BuildRecord | undefined {
    const found = this.get(key);
    if (!found) return undefined;
    const used = { ...found, usedAt: Date.now(), uses: found.uses + 1 };
    this.#uses.set(key, { used: used.usedAt, uses: used.uses });
    this.#timer ??= setTimeout(() => this.#writeUses(), WRITE_USES_MS).unref();
    return used;
  }

  /** Writes down what is not yet. */
  close(): void {
    this.#writeUses();
  }

  #writeUses(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#uses.size === 0) return;
    const uses = [...this.#uses];
    this.#uses.clear();
    this.#db.relaxedTransaction(() => {
      for (const [key, { used, uses: count }] of uses)
        this.#db.run('UPDATE build_records SET used = ?, uses = ? WHERE key = ?', used, count, key);
    });
  }

  get(key: Digest): BuildRecord | undefined {
    const row = this.#db.get('SELECT used, uses, doc FROM build_records WHERE key = ?', key);
    return (
      row && {
        ...(JSON.parse(row['doc'] as string) as BuildRecord),
        usedAt: this.#uses.get(key)?.used ?? Number(row['used']),
        uses: this.#uses.get(key)?.uses ?? Number(row['uses']),
      }
    );
  }

  /**
   * Not durable at once: a power cut may take records that were just written, and then steps are made again. The layers
   * they name are on the disk by now.
   */
  saveAll(records: readonly BuildRecord[]): void {
    this.#db.relaxedTransaction(() => {
      for (const record of records) this.save(record);
    });
  }

  save(record: BuildRecord): void {
    this.#db.run(
      'INSERT OR REPLACE INTO build_records (key, chain, created, used, uses, doc) VALUES (?, ?, ?, ?, ?, ?)',
      record.key,
      record.layer?.chain ?? null,
      Date.parse(record.createdAt),
      record.usedAt,
      record.uses,
      JSON.stringify(record),
    );
  }

  list(): BuildRecord[] {
    this.#writeUses();
    return this.#db.all('SELECT used, uses, doc FROM build_records ORDER BY used').map((row) => ({
      ...(JSON.parse(row['doc'] as string) as BuildRecord),
      usedAt: Number(row['used']),
      uses: Number(row['uses']),
    }));
  }

  /** The newest record of a step, with whatever inputs. */
  newestOf(slot: string): BuildRecord | undefined {
    this.#writeUses();
    const row = this.#db.get(
      "SELECT used, uses, doc FROM build_records WHERE json_extract(doc, '$.slot') = ? ORDER BY used DESC LIMIT 1",
      slot,
    );
    return (
      row && {
        ...(JSON.parse(row['doc'] as string) as BuildRecord),
        usedAt: Number(row['used']),
        uses: Number(row['uses']),
      }
    );
  }

  delete(key: Digest): void {
    this.#uses.delete(key);
    this.#db.relaxedTransaction(() => this.#db.run('DELETE FROM build_records WHERE key = ?', key));
  }

  /** Whether a record names this chain. */
  hasChain(chain: string): boolean {
    return this.#db.get('SELECT 1 FROM build_records WHERE chain = ? LIMIT 1', chain) !== undefined;
  }

  /** Chain ids that records name: roots for collection. */
  chains(): ChainId[] {
    return this.#db
      .all('SELECT DISTINCT chain FROM build_records WHERE chain IS NOT NULL')
      .map((row) => row['chain'] as ChainId);
  }
}

import { EngineError } from '../base/errors.ts';
import type { ChainId, DiffId } from '../oci/digest.ts';
import { type Database, isUniqueViolation, type Row } from './database.ts';

export interface SnapshotRecord {
  /** The chain id of a committed one, the key of an active one. */
  readonly name: string;
  readonly kind: 'active' | 'committed';
  readonly parent: ChainId | undefined;
  /** Name of its directory. */
  readonly directory: string;
  readonly createdAt: Date;
  readonly layer: { readonly diffId: DiffId; readonly size: number } | undefined;
}

/** The table of snapshots. A snapshot exists when its row does. */
export class SnapshotRecords {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  get(name: string): SnapshotRecord | undefined {
    const row = this.#db.get('SELECT * FROM snapshots WHERE name = ?', name);
    return row && decode(row);
  }

  list(): SnapshotRecord[] {
    return this.#db.all('SELECT * FROM snapshots ORDER BY created, name').map(decode);
  }

  childCount(name: string): number {
    return Number(this.#db.get('SELECT count(*) AS n FROM snapshots WHERE parent = ?', name)!['n']);
  }

  /** `name` first, then its parent, down to the lowest. Throws `not-found`, `corrupt` when one of them is missing. */
  ancestry(name: string): SnapshotRecord[] {
    const records: SnapshotRecord[] = [];
    for (let next: string | undefined = name; next !== undefined;) {
      const record = this.get(next);
      if (!record) {
        if (records.length === 0) throw new EngineError('not-found', `No such snapshot: ${next}`);
        throw new EngineError('corrupt', `the snapshot ${name} is built on ${next}, which is gone`);
      }
      records.push(record);
      next = record.parent;
    }
    return records;
  }

  /**
   * Throws `already-exists`, `not-found` (parent). Whoever needs an active one writes a record of their own after it, which
   * makes this one durable as well.
   */
  insert({ name, kind, parent, directory, createdAt, layer }: SnapshotRecord): void {
    const insert = (): void => {
      if (parent !== undefined && this.get(parent)?.kind !== 'committed') {
        throw new EngineError('not-found', `No such snapshot: ${parent}`);
      }
      try {
        this.#db.run(
          'INSERT INTO snapshots (name, kind, parent, dir, created, diff_id, size) VALUES (?, ?, ?, ?, ?, ?, ?)',
          name,
          kind,
          parent ?? null,
          directory,
          createdAt.getTime(),
          layer?.diffId ?? null,
          layer?.size ?? null,
        );
      } catch (error) {
        if (isUniqueViolation(error)) {
          throw new EngineError('already-exists', `the snapshot ${name} exists`, { cause: error });
        }
        throw error;
      }
    };
    if (kind === 'active') this.#db.relaxedTransaction(insert);
    else this.#db.transaction(insert);
  }

  /** Gives the active snapshot `key`, which has no parent, one. Throws `not-found` (either of them). */
  rebase(key: string, parent: ChainId): void {
    this.#db.relaxedTransaction(() => {
      if (this.get(parent)?.kind !== 'committed') throw new EngineError('not-found', `No such snapshot: ${parent}`);
      const changed = this.#db.run(
        `UPDATE snapshots SET parent = ? WHERE name = ? AND kind = 'active' AND parent IS NULL`,
        parent,
        key,
      );
      if (changed === 0) throw new EngineError('not-found', `No such active snapshot over nothing: ${key}`);
    });
  }

  /**
   * Makes the active snapshot `key` the committed `chainId`. Durable with what is written after it: an active one that a
   * power cut brings back instead is swept. Throws `not-found`; `already-exists` when there is such a one.
   */
  commit(key: string, chainId: ChainId, layer: { readonly diffId: DiffId; readonly size: number }): void {
    try {
      const changed = this.#db.relaxedTransaction(() =>
        this.#db.run(
          `UPDATE snapshots SET name = ?, kind = 'committed', diff_id = ?, size = ? WHERE name = ? AND kind = 'active'`,
          chainId,
          layer.diffId,
          layer.size,
          key,
        ),
      );
      if (changed === 0) throw new EngineError('not-found', `No such active snapshot: ${key}`);
    } catch (error) {
      if (isUniqueViolation(error)) {
        throw new EngineError('already-exists', `the snapshot ${chainId} exists`, { cause: error });
      }
      throw error;
    }
  }

  /** Gives what was removed; durable once `durable` has resolved. Throws `not-found`, `conflict` while it has children. */
  remove(name: string): SnapshotRecord {
    return this.#db.relaxedTransaction(() => {
      const record = this.get(name);
      if (!record) throw new EngineError('not-found', `No such snapshot: ${name}`);
      if (this.childCount(name) > 0) throw new EngineError('conflict', `the snapshot ${name} has children`);
      this.#db.run('DELETE FROM snapshots WHERE name = ?', name);
      return record;
    });
  }

  /** What was written before survives a power cut. */
  durable(): Promise<void> {
    return this.#db.durable();
  }
}

function decode(row: Row): SnapshotRecord {
  const diffId = row['diff_id'] as DiffId | null;
  return {
    name: row['name'] as string,
    kind: row['kind'] as 'active' | 'committed',
    parent: (row['parent'] as ChainId | null) ?? undefined,
    directory: row['dir'] as string,
    createdAt: new Date(Number(row['created'])),
    layer: diffId === null ? undefined : { diffId, size: Number(row['size']) },
  };
}

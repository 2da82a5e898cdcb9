import { chmodSync, closeSync, existsSync, fdatasync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { EngineError } from '../base/errors.ts';
import type { DiskReserve } from './disk-reserve.ts';
import { MIGRATIONS } from './migrations.ts';

export type Row = Record<string, SQLInputValue>;

/**
 * What exists and what it is called: one SQLite file, WAL. A committed transaction survives a power cut, a relaxed one as soon as `durable` has resolved.
 *
 * Calls are synchronous, so check-then-write inside `transaction` is one uninterruptible step. One process holds the
 * file at a time (the engine's lock on its data root sees to that).
 */
export class Database implements Disposable {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #reserve: DiskReserve | undefined;
  /** Undefined for a database in memory. */
  readonly #walPath: string | undefined;
  #depth = 0;
  #frugal = false;
  #relaxed = false;
  /** What SQLite has been told last. */
  #synchronous: 'FULL' | 'NORMAL' = 'FULL';
  /** Transactions that did not wait for the disk, and how many of them are known to be on it. */
  #unwaited = 0;
  #durable = 0;
  #syncing: Promise<void> | undefined;
  #wal: number | undefined;

  private constructor(db: DatabaseSync, path: string, reserve: DiskReserve | undefined) {
    this.#db = db;
    this.#walPath = path === ':memory:' ? undefined : `${path}-wal`;
    this.#reserve = reserve;
  }

  /**
   * Opens and migrates; `:memory:` for tests. `reserve` is given up when the disk is full, once, so that what is under way
   * can be written to its end. Throws `corrupt` when the file is no database, `unavailable` when a newer Gantry wrote it.
   */
  static open(path: string, reserve?: DiskReserve): Database {
    let db: DatabaseSync;
    try {
      keepToOurselves(path);
      db = new DatabaseSync(path);
      db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000');
    } catch (error) {
      throw new EngineError('corrupt', `cannot open the state database ${path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    const database = new Database(db, path, reserve);
    database.#migrate(path);
    reserve?.hold();
    return database;
  }

  #migrate(path: string): void {
    const version = Number(this.get('PRAGMA user_version')?.['user_version'] ?? 0);
    if (version > MIGRATIONS.length) {
      throw new EngineError(
        'unavailable',
        `${path} was written by a newer Gantry (schema ${version}, this one knows ${MIGRATIONS.length}): upgrade, or use another data root`,
      );
    }
    for (let next = version; next < MIGRATIONS.length; next++) {
      this.transaction(() => {
        this.#db.exec(MIGRATIONS[next]!);
        this.#db.exec(`PRAGMA user_version=${next + 1}`);
      });
    }
  }

  /** Runs `work` as one transaction; what throws inside rolls all of it back. Nested calls join the outer one. `work` must not await. */
  transaction<T>(work: () => T): T {
    return this.#depth > 0 ? work() : this.#withRoom(() => this.#transact(work));
  }

  /** Runs `write`, and again with the reserve's room when the disk is full. Throws `no-space` when that is not enough. */
  #withRoom<T>(write: () => T): T {
    try {
      const result = write();
      this.#reserve?.hold();
      return result;
    } catch (error) {
      if (!isFull(error)) throw error;
      if (this.#depth === 0 && !this.#frugal && this.#reserve?.release()) return this.#withRoom(write);
      throw new EngineError('no-space', 'the disk of the data root is full: free space on it and try again', {
        cause: error,
      });
    }
  }

  #transact<T>(work: () => T): T {
    this.#waitAtCommit(!this.#relaxed);
    this.#prepare('BEGIN IMMEDIATE').run();
    this.#depth++;
    try {
      const result = work();
      this.#prepare('COMMIT').run();
      if (this.#relaxed) this.#unwaited++;
      else this.#durable = this.#unwaited; // its sync was of all that was written before
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    } finally {
      this.#depth--;
    }
  }

  /**
   * As `transaction`, without waiting for the disk: a killed process loses nothing, a power cut may undo it unless a later
   * transaction was written or `durable` has resolved. For what the next start can do without, or what nobody is told of
   * before.
   */
  relaxedTransaction<T>(work: () => T): T {
    if (this.#depth > 0) return work();
    this.#relaxed = true;
    try {
      return this.transaction(work);
    } finally {
      this.#relaxed = false;
    }
  }

  /** Whether the next commit waits for the disk. */
  #waitAtCommit(wait: boolean): void {
    const mode = wait ? 'FULL' : 'NORMAL';
    if (this.#synchronous === mode) return;
    this.#db.exec(`PRAGMA synchronous=${mode}`);
    this.#synchronous = mode;
  }

  /** As `transaction`, but a thread waits for the disk (`durable`): others see what was written before it resolves. */
  async durableTransaction<T>(work: () => T): Promise<T> {
    const result = this.relaxedTransaction(work);
    await this.durable();
    return result;
  }

  /**
   * Resolves when everything that was written before survives a power cut. A thread waits for the disk, once for all that
   * ask meanwhile: what `synchronous=FULL` does in this one at every commit, where nothing else is answered until then.
   * Rejects with the system's error when the disk fails.
   */
  async durable(): Promise<void> {
    const wanted = this.#unwaited;
    while (this.#durable < wanted) {
      // one that is under way may have begun before what is waited for was written
      this.#syncing ??= this.#sync().finally(() => (this.#syncing = undefined));
      await this.#syncing;
    }
  }

  async #sync(): Promise<void> {
    const written = this.#unwaited;
    if (this.#walPath !== undefined) await syncData((this.#wal ??= openLog(this.#walPath)));
    this.#durable = Math.max(this.#durable, written);
  }

  /** As `relaxedTransaction`, for what is worth none of the reserve: fails with `no-space` when the disk is full. */
  optionalTransaction<T>(work: () => T): T {
    this.#frugal = true;
    try {
      return this.relaxedTransaction(work);
    } finally {
      this.#frugal = false;
    }
  }

  run(sql: string, ...values: SQLInputValue[]): number {
    const write = (): number => Number(this.#prepare(sql).run(...values).changes);
    if (this.#depth > 0) return write();
    this.#waitAtCommit(true);
    return this.#withRoom(write);
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined;
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  close(): void {
    this.#statements.clear();
    // closing checkpoints, and so waits for the disk itself
    this.#db.close();
    this.#durable = this.#unwaited;
    const wal = this.#wal;
    this.#wal = undefined;
    if (wal !== undefined) void (this.#syncing ?? Promise.resolve()).catch(() => {}).then(() => closeSync(wal));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const syncData = promisify(fdatasync);

/** SQLite's write-ahead log, which exists from its first write on until the database is closed. Its name is on the disk, too. */
function openLog(path: string): number {
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
  return openSync(path, 'r');
}

/** SQLITE_FULL, and what the write-ahead log says of the same. */
function isFull(error: unknown): boolean {
  const { errcode, code } = (error ?? {}) as { errcode?: number; code?: unknown };
  return errcode === 13 || errcode === 778 || code === 'ENOSPC';
}

/** Whether `error` is SQLite's word for a broken unique or primary key. */
export function isUniqueViolation(error: unknown): boolean {
  const code = (error as { errcode?: number } | null)?.errcode;
  return code === 2067 || code === 1555;
}

/** Variables of containers are in it, which may be passwords: it is nobody else's on this host. SQLite's other files get its mode. */
function keepToOurselves(path: string): void {
  if (path === ':memory:') return;
  closeSync(openSync(path, 'a', 0o600));
  for (const file of [path, `${path}-wal`, `${path}-shm`]) if (existsSync(file)) chmodSync(file, 0o600);
}

import { EngineError } from '../base/errors.ts';
import { type Database, isUniqueViolation } from './database.ts';

/** A kind of object that people name: containers, networks, volumes, secrets. The document is JSON and holds everything about it. */
export class Documents<T extends { readonly id: string; readonly name: string }> {
  readonly #db: Database;
  readonly #table: string;

  constructor(
    db: Database,
    table: 'containers' | 'networks' | 'volumes' | 'secrets' | 'registry_listeners' | 'scopes',
  ) {
    this.#db = db;
    this.#table = table;
  }

  get(id: string): T | undefined {
    return this.#parse(this.#db.get(`SELECT doc FROM ${this.#table} WHERE id = ?`, id)?.['doc']);
  }

  byName(name: string): T | undefined {
    return this.#parse(this.#db.get(`SELECT doc FROM ${this.#table} WHERE name = ?`, name)?.['doc']);
  }

  /** At most `limit` ids that begin with `prefix`. */
  idsWithPrefix(prefix: string, limit = 2): string[] {
    if (prefix === '') return [];
    const end = prefix + '\u{10FFFF}';
    return this.#db
      .all(`SELECT id FROM ${this.#table} WHERE id >= ? AND id < ? LIMIT ?`, prefix, end, limit)
      .map((row) => row['id'] as string);
  }

  list(): T[] {
    return this.#db.all(`SELECT doc FROM ${this.#table}`).map((row) => this.#parse(row['doc'])!);
  }

  /** Throws `already-exists` when id or name is taken. */
  insert(document: T): void {
    try {
      this.#db.run(
        `INSERT INTO ${this.#table} (id, name, doc) VALUES (?, ?, ?)`,
        document.id,
        document.name,
        JSON.stringify(document),
      );
    } catch (error) {
      if (isUniqueViolation(error))
        throw new EngineError('already-exists', `${document.name} exists`, { cause: error });
      throw error;
    }
  }

  /** Throws `already-exists` when its new name is taken, `not-found` when it is gone. */
  update(document: T): void {
    try {
      const changed = this.#db.run(
        `UPDATE ${this.#table} SET name = ?, doc = ? WHERE id = ?`,
        document.name,
        JSON.stringify(document),
        document.id,
      );
      if (changed === 0) throw new EngineError('not-found', `${document.name} is gone`);
    } catch (error) {
      if (isUniqueViolation(error))
        throw new EngineError('already-exists', `${document.name} exists`, { cause: error });
      throw error;
    }
  }

  /** Idempotent. */
  delete(id: string): void {
    this.#db.run(`DELETE FROM ${this.#table} WHERE id = ?`, id);
  }

  #parse(doc: unknown): T | undefined {
    return typeof doc === 'string' ? (JSON.parse(doc) as T) : undefined;
  }
}

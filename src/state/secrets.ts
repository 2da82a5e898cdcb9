import type { Database } from './database.ts';
import { Documents } from './documents.ts';

/** A value under AES-256-GCM; all in base64. */
export interface SealedValue {
  /** Which key of the key file. */
  readonly key: string;
  readonly nonce: string;
  readonly tag: string;
  readonly data: string;
}

/** Everything that is known of a secret. Its value is sealed, bound to the secret's id and the value's number. */
export interface SecretRecord {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** Counts every change, as Docker's version does. */
  readonly version: number;
  /** Counts the values. */
  readonly generation: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: SealedValue;
  /** Running containers are to have the newest value too, and may not yet: the next start sees to it. */
  readonly reloading?: true;
  readonly leaks?: readonly { readonly at: string; readonly where: string }[];
}

/** The secrets of the database, kept in memory as well, sealed as they are there. Writing is durable when the call returns. */
export class SecretStore {
  readonly #db: Database;
  readonly #documents: Documents<SecretRecord>;
  readonly #byId = new Map<string, SecretRecord>();

  constructor(db: Database) {
    this.#db = db;
    this.#documents = new Documents(db, 'secrets');
    for (const record of this.#documents.list()) this.#byId.set(record.id, record);
  }

  get(id: string): SecretRecord | undefined {
    return this.#byId.get(id);
  }

  byName(name: string): SecretRecord | undefined {
    for (const record of this.#byId.values()) if (record.name === name) return record;
    return undefined;
  }

  /** By name. */
  list(): SecretRecord[] {
    return [...this.#byId.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Throws `already-exists` when the name is taken. */
  insert(record: SecretRecord): void {
    this.#documents.insert(record);
    this.#byId.set(record.id, record);
  }

  /** All of them or none. Throws `not-found` when one is gone. */
  update(...records: readonly SecretRecord[]): void {
    this.#db.transaction(() => records.forEach((record) => this.#documents.update(record)));
    for (const record of records) this.#byId.set(record.id, record);
  }

  /** Idempotent. */
  delete(id: string): void {
    this.#documents.delete(id);
    this.#byId.delete(id);
  }
}

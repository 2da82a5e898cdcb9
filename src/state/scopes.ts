import type { Database } from './database.ts';
import { Documents } from './documents.ts';

export interface ScopeRecord {
  /** Its name. */
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  readonly readOnly: boolean;
  /** `key=value`; empty is everything. */
  readonly label: string;
  readonly images: readonly string[];
  /** SHA-256 of the token, in hex; whoever reads the database does not learn the token. */
  readonly tokenHash?: string;
}

/** Writing is durable when the call returns. */
export class ScopeStore {
  readonly #documents: Documents<ScopeRecord>;

  constructor(db: Database) {
    this.#documents = new Documents(db, 'scopes');
  }

  list(): ScopeRecord[] {
    return this.#documents.list().sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get(name: string): ScopeRecord | undefined {
    return this.#documents.get(name);
  }

  /** Throws `already-exists`. */
  insert(record: ScopeRecord): void {
    this.#documents.insert(record);
  }

  delete(name: string): void {
    this.#documents.delete(name);
  }
}

import type { Database } from './database.ts';
import { Documents } from './documents.ts';

/** A registry that every engine of this store opens at its start. */
export interface KeptListener {
  /** Its address, which is its name too. */
  readonly id: string;
  readonly name: string;
  /** As they were when it was opened first. */
  readonly settings: unknown;
}

/** Writing is durable when the call returns. */
export class KeptListeners {
  readonly #documents: Documents<KeptListener>;

  constructor(db: Database) {
    this.#documents = new Documents(db, 'registry_listeners');
  }

  list(): KeptListener[] {
    return this.#documents.list();
  }

  /** Also in the place of one that has the address already. */
  put(listener: KeptListener): void {
    if (this.#documents.get(listener.id)) this.#documents.update(listener);
    else this.#documents.insert(listener);
  }

  delete(address: string): void {
    this.#documents.delete(address);
  }
}

import type { FactAuthor } from '../api/why.ts';
import type { Database } from './database.ts';
import { Documents } from './documents.ts';

/** Everything that is known of a volume; its files are below the data root. Who uses it is in the containers' records. */
export interface VolumeRecord {
  /** The name: volumes have no other id. */
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  readonly driver: 'local';
  /** What to mount there (`type`, `o`, `device`); null is a plain directory. */
  readonly options: Readonly<Record<string, string>> | null;
  readonly labels: Readonly<Record<string, string>> | null;
  /** Made for this container by its create, and nothing was ever in it: when the container never came to be, it goes. */
  readonly pendingFor?: string;
  /** Its removal has begun: only the end of it is left to do. */
  readonly removing?: true;
  /** Its content is being made: nobody sees it before that is whole, and after a crash it goes. */
  readonly filling?: true;
  /** Its directory is about to have, or has, this name: the next start finishes it. */
  readonly renamingTo?: string;
  /** With `removing`: it goes into the trash, its directory to this place there. */
  readonly trashing?: { readonly place: string; readonly operation: string; readonly by: FactAuthor };
  /** It is being brought back from that place in the trash; after a crash it is there again. */
  readonly restoringFrom?: string;
}

/** Docker's mark of a volume that nobody named. */
export const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';

export function isAnonymous(record: VolumeRecord): boolean {
  return record.labels !== null && Object.hasOwn(record.labels, ANONYMOUS_LABEL);
}

/** The volumes of the database, kept in memory as well. What is written is seen at once, and durable when it resolves. */
export class VolumeStore {
  readonly #db: Database;
  readonly #documents: Documents<VolumeRecord>;
  readonly #byName = new Map<string, VolumeRecord>();

  constructor(db: Database) {
    this.#db = db;
    this.#documents = new Documents(db, 'volumes');
    for (const record of this.#documents.list()) this.#byName.set(record.name, record);
  }

  get(name: string): VolumeRecord | undefined {
    return this.#byName.get(name);
  }

  /** By name. */
  list(): VolumeRecord[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Throws `already-exists`. */
  async insert(record: VolumeRecord): Promise<void> {
    this.#db.relaxedTransaction(() => this.#documents.insert(record));
    this.#byName.set(record.name, record);
    await this.#db.durable();
  }

  /** `also` is done in the same transaction. Throws `not-found` when it is gone. */
  async update(record: VolumeRecord, also?: () => void): Promise<void> {
    this.#db.relaxedTransaction(() => {
      this.#documents.update(record);
      also?.();
    });
    this.#byName.set(record.name, record);
    await this.#db.durable();
  }

  /** `record` stands for the volume that was `name`, in one step. Throws `already-exists`. */
  async replace(name: string, record: VolumeRecord): Promise<void> {
    this.#db.relaxedTransaction(() => {
      this.#documents.delete(name);
      this.#documents.insert(record);
    });
    this.#byName.delete(name);
    this.#byName.set(record.name, record);
    await this.#db.durable();
  }

  /** `also` is done in the same transaction. Idempotent. */
  async delete(name: string, also?: () => void): Promise<void> {
    this.#db.relaxedTransaction(() => {
      this.#documents.delete(name);
      also?.();
    });
    this.#byName.delete(name);
    await this.#db.durable();
  }
}

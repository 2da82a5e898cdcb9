import type { IpamConfig } from '../api/network.ts';
import type { Database } from './database.ts';
import { Documents } from './documents.ts';

/** Everything that is known of a network. Who is on it is in the containers' records. */
export interface NetworkRecord {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  readonly driver: 'bridge' | 'host' | 'null' | 'macvlan' | 'ipvlan';
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  /** With a subnet and gateway in each. */
  readonly ipam: readonly IpamConfig[];
  readonly ipamOptions: Readonly<Record<string, string>> | null;
  /** A subnet was named by the user: containers may ask for addresses. */
  readonly ownSubnet: boolean;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** The host's interface: of the bridge, or the parent of macvlan and ipvlan; empty with host and null. */
  readonly interface: string;
  /** Not a network, but what others are made of. */
  readonly configOnly?: true;
  /** Name of the configuration it was made of. */
  readonly configFrom?: string;
  /** Of the bridge: fixed, so that neighbours need not learn another one. */
  readonly mac: string;
}

/** The networks of the database, kept in memory as well. What is promised is seen at once, and durable when it resolves. */
export class NetworkStore {
  readonly #db: Database;
  readonly #documents: Documents<NetworkRecord>;
  readonly #byId = new Map<string, NetworkRecord>();

  constructor(db: Database) {
    this.#db = db;
    this.#documents = new Documents(db, 'networks');
    for (const record of this.#documents.list()) this.#byId.set(record.id, record);
  }

  get(id: string): NetworkRecord | undefined {
    return this.#byId.get(id);
  }

  byName(name: string): NetworkRecord | undefined {
    for (const record of this.#byId.values()) if (record.name === name) return record;
    return undefined;
  }

  byPrefix(prefix: string): NetworkRecord[] {
    return [...this.#byId.values()].filter((record) => record.id.startsWith(prefix));
  }

  list(): NetworkRecord[] {
    return [...this.#byId.values()];
  }

  /** Durable when it returns. Throws `already-exists` when the name is taken. */
  insert(record: NetworkRecord): void {
    this.#documents.insert(record);
    this.#byId.set(record.id, record);
  }

  /** Throws `already-exists` when the name is taken. */
  async add(record: NetworkRecord): Promise<void> {
    this.#db.relaxedTransaction(() => this.#documents.insert(record));
    this.#byId.set(record.id, record);
    await this.#db.durable();
  }

  update(record: NetworkRecord): void {
    this.#documents.update(record);
    this.#byId.set(record.id, record);
  }

  /** `also` is done in the same transaction. Idempotent. */
  async delete(id: string, also?: () => void): Promise<void> {
    this.#db.relaxedTransaction(() => {
      this.#documents.delete(id);
      also?.();
    });
    this.#byId.delete(id);
    await this.#db.durable();
  }
}

import type {
  ContainerConfig,
  ContainerInspect,
  ContainerStatus,
  Health,
  HostConfig,
  MountRequest,
} from '../api/container.ts';
import type { EndpointSettings, PortBinding } from '../api/network.ts';
import type { MountPoint } from '../api/volume.ts';
import type { ContainerFact } from '../api/why.ts';
import { ZERO_TIME } from '../base/time.ts';
import type { ChainId } from '../oci/digest.ts';
import type { Database } from './database.ts';
import { DepartedContainers } from './departed-containers.ts';
import { Documents } from './documents.ts';

/** Everything that is known of a container, as one immutable document. A change is a new document. */
export interface ContainerRecord {
  readonly id: string;
  /** Without the leading slash that the API shows. */
  readonly name: string;
  /** RFC 3339 with nanoseconds. */
  readonly createdAt: string;
  /** The image's id (digest of its config). What the user wrote is `config.Image`. */
  readonly imageId: string;
  readonly imageDescriptor?: ContainerInspect['ImageManifestDescriptor'];
  readonly platform: { readonly os: string; readonly architecture: string };
  /** The top of the image's layers, over which the container's own snapshot was prepared; undefined for `scratch`. */
  readonly chain: ChainId | undefined;
  /** The request merged with the image's configuration. */
  readonly config: ContainerConfig;
  /** The request with every default filled in. */
  readonly hostConfig: HostConfig;
  readonly mounts: readonly ContainerMount[];
  /** By network name or id, as asked at create; changed by connect and disconnect. */
  readonly networks: Readonly<Record<string, EndpointSettings>>;
  /** While it runs: its place on its networks. */
  readonly attachment: NetworkAttachment | undefined;
  readonly state: RunState;
  readonly restartCount: number;
  /** A person stopped it: `unless-stopped` leaves it alone when the engine starts again. */
  readonly stoppedByHand: boolean;
  /** The host's ids that it has for its own, in a user namespace; undefined: it has the host's. */
  readonly ids?: ContainerIds;
  /** What happened to it, oldest first; the newest of it. */
  readonly facts?: readonly ContainerFact[];
}

/** Ranges of the host's users and groups that stand for a container's, from 0 on. On the disk its files have its own ids. */
export interface ContainerIds {
  readonly uid: { readonly base: number; readonly size: number };
  readonly gid: { readonly base: number; readonly size: number };
}

/** A mount of the container; `anonymous` volumes go with it when it is removed with its volumes. */
export interface ContainerMount {
  readonly point: MountPoint;
  readonly anonymous: boolean;
  /** The request that made it, in the form of `--mount`: what the point does not show. */
  readonly request?: MountRequest;
  /** Whose its files are to be for the container. */
  readonly ownership?: 'chown' | 'idmap';
  /** Of a mounted image: which one its name meant when the container was made. */
  readonly image?: { readonly id: string; readonly chain: ChainId };
}

/** A run's place on its networks, as it is known after an engine's restart. */
export interface NetworkAttachment {
  readonly mode: 'bridge' | 'host' | 'none' | 'container';
  /** By network name, as inspect shows them. */
  readonly endpoints: Readonly<Record<string, EndpointSettings>>;
  /** Interface names by network name. */
  readonly interfaces: Readonly<Record<string, { readonly host: string; readonly guest: string }>>;
  /** As inspect shows them: exposed ports, published ones with their bindings. */
  readonly ports: Readonly<Record<string, PortBinding[] | null>>;
  readonly sandboxId: string;
  /** The sockets of its name server that its monitor holds, as /proc names them: `socket:[123]`. */
  readonly nameSockets?: { readonly udp: string; readonly tcp: string };
}

/** Where a container is in its life. Transitions: engine/containers/state.ts. */
export interface RunState {
  readonly status: ContainerStatus;
  /** Of the first process, as the host sees it; 0 when it does not run. */
  readonly pid: number;
  /** Clock ticks since boot, with `pid`: a pid alone may have been given to another. */
  readonly pidStartTime: number;
  readonly exitCode: number;
  /** Why the last start or exit was out of the ordinary; empty otherwise. */
  readonly error: string;
  readonly oomKilled: boolean;
  readonly startedAt: string;
  readonly finishedAt: string;
  /** Only with a health check. */
  readonly health?: Health;
}

export const NEVER_RUN: RunState = {
  status: 'created',
  pid: 0,
  pidStartTime: 0,
  exitCode: 0,
  error: '',
  oomKilled: false,
  startedAt: ZERO_TIME,
  finishedAt: ZERO_TIME,
};

/**
 * The containers of the database, kept in memory as well: reading costs no query and no parsing, and one engine at
 * a time holds the file. Writing is durable when the call returns, unless it says otherwise.
 */
export class ContainerStore {
  readonly #db: Database;
  readonly #documents: Documents<ContainerRecord>;
  /** Those that were removed. */
  readonly departed: DepartedContainers;
  readonly #byId = new Map<string, ContainerRecord>();
  readonly #idByName = new Map<string, string>();

  constructor(db: Database) {
    this.#db = db;
    this.#documents = new Documents(db, 'containers');
    this.departed = new DepartedContainers(db);
    for (const record of this.#documents.list()) this.#keep(record);
  }

  get(id: string): ContainerRecord | undefined {
    return this.#byId.get(id);
  }

  byName(name: string): ContainerRecord | undefined {
    const id = this.#idByName.get(name);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  /** Those whose id begins with `prefix`; at most two, enough to know whether it is unique. */
  byPrefix(prefix: string): ContainerRecord[] {
    const found: ContainerRecord[] = [];
    for (const record of this.#byId.values()) {
      if (record.id.startsWith(prefix) && found.push(record) === 2) break;
    }
    return found;
  }

  list(): ContainerRecord[] {
    return [...this.#byId.values()];
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Durable once `written` has resolved for it. Throws `already-exists` when id or name is taken. */
  insert(record: ContainerRecord): void {
    this.#db.relaxedTransaction(() => this.#documents.insert(record));
    this.#keep(record);
  }

  /**
   * What was written of it before survives a power cut; but of a container that is removed at its end nothing is left
   * after one, and nothing is waited for.
   */
  async written(record: ContainerRecord): Promise<void> {
    if (!record.hostConfig.AutoRemove) await this.#db.durable();
  }

  /** It was removed, and is back; `also` is done in the same transaction. Throws `already-exists`. */
  restore(record: ContainerRecord, also: () => void): void {
    this.#db.transaction(() => {
      this.#documents.insert(record);
      this.departed.delete(record.id);
      also();
    });
    this.#keep(record);
  }

  /** Throws `already-exists` when its new name is taken, `not-found` when it is gone. */
  update(record: ContainerRecord): void {
    this.#write(record, () => this.#documents.update(record));
    this.#keep(record);
  }

  /** As `update`, for what is true of a run only: it survives the death of this process, and a power cut ends every run. */
  updateRun(record: ContainerRecord): void {
    this.#db.relaxedTransaction(() => this.#documents.update(record));
    this.#keep(record);
  }

  /** For what the next start finds out by itself (the exit of a container that is removed at once): seen by readers, not written. */
  updateInMemory(record: ContainerRecord): void {
    this.#keep(record);
  }

  /** As `update`, durable once `written` has resolved for it. */
  updateSoon(record: ContainerRecord): void {
    this.#db.relaxedTransaction(() => this.#documents.update(record));
    this.#keep(record);
  }

  /**
   * Deletes it, and remembers as much of it as tells why; `also` is done in the same transaction. Durable once `written`
   * has resolved for it. Idempotent.
   */
  remove(record: ContainerRecord, also?: () => void): void {
    const { id } = record;
    if (!this.#byId.has(id)) return;
    this.#db.relaxedTransaction(() => {
      this.#documents.delete(id);
      this.departed.add(record);
      also?.();
    });
    this.#byId.delete(id);
    this.#idByName.delete(record.name);
  }

  /** Durable when it returns; but of a container that is removed at its end nothing is left after a power cut, written or not. */
  #write(record: ContainerRecord | undefined, work: () => void): void {
    if (record?.hostConfig.AutoRemove) this.#db.relaxedTransaction(work);
    else work();
  }

  #keep(record: ContainerRecord): void {
    const before = this.#byId.get(record.id);
    if (before && before.name !== record.name) this.#idByName.delete(before.name);
    this.#byId.set(record.id, record);
    this.#idByName.set(record.name, record.id);
  }
}

import type { ContainerRecord, RunState } from './containers.ts';
import type { Database } from './database.ts';

/** What is remembered of a container that was removed: no variables, no mounts, nothing that may be a secret. */
export interface DepartedContainer {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly hostConfig: Pick<ContainerRecord['hostConfig'], 'RestartPolicy' | 'AutoRemove' | 'Memory'>;
  readonly state: RunState;
  readonly restartCount: number;
  readonly facts: NonNullable<ContainerRecord['facts']>;
}

/** Of removed containers, the newest. */
const KEPT = 100;

export class DepartedContainers {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Inside the transaction that removes the container. */
  add({ id, name, config, hostConfig, state, restartCount, facts = [] }: ContainerRecord): void {
    const { RestartPolicy, AutoRemove, Memory } = hostConfig;
    const departed: DepartedContainer = {
      id,
      name,
      image: config.Image ?? '',
      hostConfig: {
        ...(RestartPolicy && { RestartPolicy }),
        ...(AutoRemove !== undefined && { AutoRemove }),
        ...(Memory !== undefined && { Memory }),
      },
      state,
      restartCount,
      facts,
    };
    this.#db.run(
      'INSERT INTO departed_containers (id, name, doc) VALUES (?, ?, ?)',
      id,
      name,
      JSON.stringify(departed),
    );
    this.#db.run('DELETE FROM departed_containers WHERE seq <= (SELECT max(seq) FROM departed_containers) - ?', KEPT);
  }

  /** It is back. Idempotent. */
  delete(id: string): void {
    this.#db.run('DELETE FROM departed_containers WHERE id = ?', id);
  }

  /** By id, a prefix of it, or name; the newest of several. */
  find(nameOrId: string): DepartedContainer | undefined {
    const name = nameOrId.startsWith('/') ? nameOrId.slice(1) : nameOrId;
    const prefix = /^[0-9a-f]{4,64}$/.test(nameOrId) ? `${nameOrId}*` : '';
    const doc = this.#db.get(
      'SELECT doc FROM departed_containers WHERE name = ? OR id GLOB ? ORDER BY seq DESC LIMIT 1',
      name,
      prefix,
    )?.['doc'];
    return typeof doc === 'string' ? (JSON.parse(doc) as DepartedContainer) : undefined;
  }
}

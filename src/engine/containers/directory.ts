import type { EndpointSettings } from '../../api/network.ts';
import type { ContainerRecord, ContainerStore, NetworkAttachment } from '../../state/containers.ts';
import type { EngineConfig } from '../config.ts';
import type { ContainerDirectory, NetworkedContainer } from '../networks/networking.ts';
import { findContainer } from './context.ts';
import { networkedContainer } from './networked.ts';

/** The containers as networks see them. */
export class StoredContainers implements ContainerDirectory {
  readonly #store: ContainerStore;
  readonly #config: EngineConfig;

  constructor(store: ContainerStore, config: EngineConfig) {
    this.#store = store;
    this.#config = config;
  }

  find(nameOrId: string): ReturnType<ContainerDirectory['find']> {
    const record = findContainer({ store: this.#store }, nameOrId);
    return { ...this.#networked(record), pid: record.state.pid, attachment: record.attachment };
  }

  *all(): Iterable<NetworkedContainer> {
    for (const record of this.#store.list()) yield this.#networked(record);
  }

  save(
    containerId: string,
    networks: Readonly<Record<string, EndpointSettings>>,
    attachment: NetworkAttachment | undefined,
  ): void {
    const record = this.#store.get(containerId);
    if (record) this.#store.update({ ...record, networks, attachment });
  }

  #networked(record: ContainerRecord): NetworkedContainer {
    return networkedContainer({ config: this.#config }, record);
  }
}

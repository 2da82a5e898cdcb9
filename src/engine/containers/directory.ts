import type { EndpointSettings } from '../../api/network.ts';
import type { ContainerRecord, ContainerStore, NetworkAttachment } from '../../state/containers.ts';
import type { EngineConfig } from '../config.ts';
import type { ContainerDirectory, NetworkChange, NetworkedContainer } from '../networks/networking.ts';
import { findContainer } from './context.ts';
import { presentAuthor, withFact } from './facts.ts';
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
    change?: NetworkChange,
  ): void {
    const record = this.#store.get(containerId);
    if (!record) return;
    const changed = { ...record, networks, attachment };
    this.#store.update(
      change ? withFact(changed, { Kind: change.kind, What: change.network, By: presentAuthor() }) : changed,
    );
  }

  #networked(record: ContainerRecord): NetworkedContainer {
    return networkedContainer({ config: this.#config }, record);
  }
}

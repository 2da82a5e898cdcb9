import type { EndpointSettings } from '../../api/network.ts';
import { EngineError } from '../../base/errors.ts';
import { NetworkNamespace } from '../../linux/network-namespace.ts';
import type { NetworkRecord } from '../../state/networks.ts';
import { type FileDefaults, writeContainerFiles } from './container-files.ts';
import type { ContainerNames } from './container-names.ts';
import { networkMode, NO_NETWORKS, wantedNetworks } from './network-mode.ts';
import { CONFIGURATION_ONLY } from './configuration-network.ts';
import type { NetworkRegistry } from './network-registry.ts';
import type { ContainerDirectory, NetworkChange, NetworkedContainer } from './networking.ts';
import type { PublishedPorts } from './published-ports.ts';
import type { NetworkRun, RunNetworks } from './run-networks.ts';

export interface LiveNetworksOptions {
  readonly registry: NetworkRegistry;
  readonly containers: ContainerDirectory;
  readonly runs: RunNetworks;
  readonly names: ContainerNames;
  readonly ports: PublishedPorts;
  readonly fileDefaults: () => FileDefaults;
}

/** Networks of a container that was created already: `connect` and `disconnect`, at once when it runs. */
export class LiveNetworks {
  readonly #options: LiveNetworksOptions;

  constructor(options: LiveNetworksOptions) {
    this.#options = options;
  }

  /** Both by name or id. */
  async connect(networkName: string, nameOrId: string, wanted: EndpointSettings): Promise<void> {
    const { containers, runs, registry } = this.#options;
    // Docker complains of the container first
    const container = containers.find(nameOrId);
    const network = registry.resolve(networkName);
    this.#check(network, container, wanted);
    // who asks by its id means that one, and not what has the name when the container starts again
    const key = networkName === network.id ? network.id : network.name;
    const networks = { ...Object.fromEntries(wantedNetworks(container)), [key]: wanted };
    const run = runs.get(container.id);
    if (run && container.pid > 0) {
      using namespace = NetworkNamespace.open(`/proc/${container.pid}/ns/net`);
      await runs.connect(run, namespace, network.name, wanted);
      await this.#changed(run, namespace);
    }
    this.#save(container, networks, { kind: 'connected', network: network.name });
  }

  #check(network: NetworkRecord, container: NetworkedContainer, wanted: EndpointSettings): void {
    const refuse = (words: string): never => {
      throw new EngineError('invalid-argument', words);
    };
    const mode = networkMode(container.hostConfig, container.config.NetworkDisabled);
    if (network.configOnly) throw new EngineError('forbidden', CONFIGURATION_ONLY);
    if (network.driver === 'host') {
      refuse('cannot connect container to host network - container must be created in host network mode');
    }
    if (mode.kind === 'container' || mode.kind === 'host') {
      refuse(
        'container sharing network namespace with another container or host cannot be connected to any other network',
      );
    }
    if (network.driver === 'null' || mode.kind === 'none') {
      refuse('container cannot be connected to multiple networks with one of the networks in private (none) mode');
    }
    if (this.#keyOf(network, container) !== undefined) {
      throw new EngineError(
        'forbidden',
        `endpoint with name ${container.name} already exists in network ${network.name}`,
      );
    }
    this.#options.runs.endpoints.check(network.name, wanted);
  }

  async disconnect(network: NetworkRecord, nameOrId: string, force: boolean): Promise<void> {
    const { containers, runs, registry } = this.#options;
    const container = find(containers, nameOrId, force);
    if (network.driver === 'host' && networkMode(container.hostConfig).kind === 'host') {
      throw new EngineError(
        'conflict',
        'cannot disconnect container from host network - container was created in host network mode',
      );
    }
    if (this.#keyOf(network, container) === undefined) {
      if (force) return;
      throw new EngineError('forbidden', `container ${container.id} is not connected to network ${network.name}`);
    }
    const kept = wantedNetworks(container).filter(([name]) => registry.find(name)?.id !== network.id);
    const networks = kept.length > 0 ? Object.fromEntries(kept) : NO_NETWORKS;
    const run = runs.get(container.id);
    if (run && container.pid > 0) {
      using namespace = NetworkNamespace.open(`/proc/${container.pid}/ns/net`);
      await runs.disconnect(run, namespace, network.name, () => this.#save(container, networks));
      await this.#changed(run, namespace);
    }
    this.#save(container, networks, { kind: 'disconnected', network: network.name });
  }

  /** The run may have ended meanwhile: then its attachment is nobody's any more. */
  #save(container: NetworkedContainer, networks: NetworkedContainer['networks'], change?: NetworkChange): void {
    const { containers, runs } = this.#options;
    const run = runs.get(container.id);
    if (run) run.container = { ...run.container, networks };
    containers.save(container.id, networks, run?.attachment, change);
  }

  /** The name or id by which the container asks for the network. */
  #keyOf(network: NetworkRecord, container: NetworkedContainer): string | undefined {
    return wantedNetworks(container).find(([name]) => this.#options.registry.find(name)?.id === network.id)?.[0];
  }

  /** The way out and what depends on it. */
  async #changed(run: NetworkRun, namespace: NetworkNamespace): Promise<void> {
    const { runs, ports, names, fileDefaults } = this.#options;
    await runs.setRoutes(namespace, run.attachment);
    await ports.move(run);
    await (
      await names.serve(run, namespace)
    ).rules;
    await writeContainerFiles(run.container, run.attachment, fileDefaults());
  }
}

/** Docker looks for an endpoint of that name when it is forced. */
function find(
  containers: ContainerDirectory,
  nameOrId: string,
  force: boolean,
): ReturnType<ContainerDirectory['find']> {
  try {
    return containers.find(nameOrId);
  } catch (error) {
    if (!force) throw error;
    throw new EngineError('not-found', `endpoint ${nameOrId} not found`, { cause: error });
  }
}

import { closeSync } from 'node:fs';
import type { EndpointSettings } from '../../api/network.ts';
import { EngineError } from '../../base/errors.ts';
import { linkNames } from '../../linux/netlink-route.ts';
import { NetworkNamespace } from '../../linux/network-namespace.ts';
import { addressBytes, parseAddress } from '../../network/address.ts';
import { removeGuestLink, setDefaultLinkRoute, setDefaultRoutes } from '../../network/bridge.ts';
import type { NetworkAttachment } from '../../state/containers.ts';
import { Endpoints } from './endpoints.ts';
import type { NetworkRegistry } from './network-registry.ts';
import type { NetworkedContainer } from './networking.ts';

/** A container's run as far as networks go. */
export interface NetworkRun {
  container: NetworkedContainer;
  /** Held until its first process is known; later it is found by that. */
  namespace: NetworkNamespace | undefined;
  attachment: NetworkAttachment;
  /** Of the namespace, as long as that is held: a descriptor. */
  userNamespace?: number | undefined;
}

/** Its first process has the namespaces, or never will. */
export function closeNamespaces(run: NetworkRun): void {
  run.namespace?.close();
  run.namespace = undefined;
  if (run.userNamespace !== undefined) closeSync(run.userNamespace);
  run.userNamespace = undefined;
}

export type PublishNetworkEvent = (action: string, networkId: string, attributes: Record<string, string>) => void;

/** The runs that are on networks, and their coming and going there. */
export class RunNetworks {
  readonly endpoints: Endpoints;
  readonly #registry: NetworkRegistry;
  readonly #publishEvent: PublishNetworkEvent;
  readonly #runs = new Map<string, NetworkRun>();

  constructor(registry: NetworkRegistry, publishEvent: PublishNetworkEvent) {
    this.#registry = registry;
    this.#publishEvent = publishEvent;
    this.endpoints = new Endpoints(registry);
  }

  get(containerId: string): NetworkRun | undefined {
    return this.#runs.get(containerId);
  }

  set(run: NetworkRun): void {
    this.#runs.set(run.container.id, run);
  }

  /** A run on the host's network, or on none: nothing is to be made. */
  enter(run: NetworkRun): void {
    this.set(run);
    for (const [name, { NetworkID }] of Object.entries(run.attachment.endpoints)) {
      this.#event('connect', name, NetworkID ?? '', run.container.id);
    }
  }

  /** By name or id of the network. On failure nothing is left. */
  async connect(run: NetworkRun, namespace: NetworkNamespace, name: string, wanted: EndpointSettings): Promise<void> {
    // also what a dead engine left, and what the container made for itself
    const taken = await linkNames(namespace);
    const made = await this.endpoints.add({ container: run.container, namespace, network: name, wanted, taken });
    const { network } = made;
    if (this.#runs.get(run.container.id) !== run) {
      this.endpoints.release(made.settings);
      throw new EngineError('conflict', `container ${run.container.id} is not running`);
    }
    run.attachment = {
      ...run.attachment,
      endpoints: { ...run.attachment.endpoints, [network.name]: made.settings },
      interfaces: { ...run.attachment.interfaces, [network.name]: made.interfaces },
    };
    this.#event('connect', network.name, network.id, run.container.id);
  }

  /** `save` writes down that the run is off the network, before it is: what an engine that dies then leaves, the next one takes away. */
  async disconnect(run: NetworkRun, namespace: NetworkNamespace, network: string, save: () => void): Promise<void> {
    const before = run.attachment;
    const { [network]: endpoint, ...endpoints } = before.endpoints;
    const { [network]: link, ...interfaces } = before.interfaces;
    if (!endpoint || !link) return;
    run.attachment = { ...before, endpoints, interfaces };
    try {
      save();
    } catch (error) {
      run.attachment = before;
      throw error;
    }
    await removeGuestLink(namespace, link.guest);
    this.endpoints.release(endpoint);
    this.#event('disconnect', network, endpoint.NetworkID ?? '', run.container.id);
  }

  /** Its way out, of each family. */
  async setRoutes(namespace: NetworkNamespace, attachment: NetworkAttachment): Promise<void> {
    for (const family of [4, 6] as const) {
      const name = this.endpoints.gatewayNetwork(attachment, family);
      const routed = name === undefined ? this.endpoints.routedNetwork(attachment, family) : undefined;
      if (routed !== undefined) await setDefaultLinkRoute(namespace, attachment.interfaces[routed]!.guest, family);
      if (name === undefined) continue;
      const endpoint = attachment.endpoints[name]!;
      const gateway = family === 4 ? endpoint.Gateway! : endpoint.IPv6Gateway!;
      await setDefaultRoutes(namespace, attachment.interfaces[name]!.guest, [addressBytes(parseAddress(gateway))]);
    }
  }

  /** Of every run, in the namespace of its process. */
  async setAllRoutes(pidOf: (containerId: string) => number): Promise<void> {
    for (const { container, attachment } of this.#runs.values()) {
      if (Object.keys(attachment.interfaces).length === 0) continue;
      using namespace = NetworkNamespace.open(`/proc/${pidOf(container.id)}/ns/net`);
      await this.setRoutes(namespace, attachment);
    }
  }

  /** Forgets the run; its addresses are free. Undefined when there is none. */
  take(containerId: string): NetworkRun | undefined {
    const run = this.#runs.get(containerId);
    if (!run) return undefined;
    this.#runs.delete(containerId);
    closeNamespaces(run);
    for (const [name, endpoint] of Object.entries(run.attachment.endpoints)) {
      if (run.attachment.interfaces[name]) this.endpoints.release(endpoint);
      this.#event('disconnect', name, endpoint.NetworkID ?? '', containerId);
    }
    return run;
  }

  /** Names of the host's ends of all links of runs. */
  hostLinks(): Set<string> {
    return new Set(
      [...this.#runs.values()].flatMap(({ attachment }) =>
        Object.values(attachment.interfaces).map(({ host }) => host),
      ),
    );
  }

  /** Ids of networks that running containers are on. */
  usedNetworks(): Set<string> {
    const ids = [...this.#runs.values()].flatMap(({ attachment }) =>
      Object.values(attachment.endpoints).map((endpoint) => endpoint.NetworkID ?? ''),
    );
    return new Set(ids);
  }

  on(networkId: string): { container: NetworkedContainer; endpoint: EndpointSettings }[] {
    return [...this.#runs.values()].flatMap(({ container, attachment }) =>
      Object.values(attachment.endpoints)
        .filter((endpoint) => endpoint.NetworkID === networkId)
        .map((endpoint) => ({ container, endpoint })),
    );
  }

  #event(action: 'connect' | 'disconnect', name: string, id: string, container: string): void {
    const type = this.#registry.store.get(id)?.driver ?? 'bridge';
    this.#publishEvent(action, id, { container, name, type });
  }
}

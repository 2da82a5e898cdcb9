import type { NetworkSettings } from '../../api/container.ts';
import type { EndpointSettings } from '../../api/network.ts';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { NetworkNamespace } from '../../linux/network-namespace.ts';
import { addressBytes, parseAddress } from '../../network/address.ts';
import type { DnsRequest } from '../../network/container-files.ts';
import { newSandbox, setDefaultRoutes } from '../../network/bridge.ts';
import type { PublishedPort } from '../../network/firewall.ts';
import type { FirewallTable } from '../../network/firewall-table.ts';
import type { HeldPort, PortAllocator, PortTarget } from '../../network/port-allocator.ts';
import { parsePort, portRequests } from '../../network/ports.ts';
import type { NetworkAttachment } from '../../state/containers.ts';
import type { NetworkRecord } from '../../state/networks.ts';
import { ContainerNames } from './container-names.ts';
import { type FileDefaults, filePaths, writeContainerFiles } from './container-files.ts';
import { Endpoints } from './endpoints.ts';
import { networkMode, wantedNetworks } from './network-mode.ts';
import type { NetworkRegistry } from './network-registry.ts';
import { networkSettings, portBindings } from './network-settings.ts';
import type { ContainerDirectory, NetworkedContainer, Networking, PreparedNetwork } from './networking.ts';

export interface ContainerNetworkingOptions {
  readonly registry: NetworkRegistry;
  readonly firewall: FirewallTable;
  readonly ports: PortAllocator;
  readonly containers: ContainerDirectory;
  /** For containers that ask for none. */
  readonly dns: DnsRequest;
  readonly publishEvent: (action: string, networkId: string, attributes: Record<string, string>) => void;
  /** A sentence that the operator should read. */
  readonly notify: (sentence: string) => void;
}

/** A container's run as far as networks go. */
interface Run {
  container: NetworkedContainer;
  /** Held until its first process is known; later it is found by that. */
  namespace: NetworkNamespace | undefined;
  attachment: NetworkAttachment;
}

/** Puts containers on networks when they start, and takes them off when they end. */
export class ContainerNetworking implements Networking {
  readonly #options: ContainerNetworkingOptions;
  readonly #endpoints: Endpoints;
  readonly #names: ContainerNames;
  readonly #runs = new Map<string, Run>();

  constructor(options: ContainerNetworkingOptions) {
    this.#options = options;
    this.#endpoints = new Endpoints(options.registry);
    this.#names = new ContainerNames(options.dns.servers, options.notify);
  }

  check(container: NetworkedContainer): string[] {
    const { hostConfig } = container;
    for (const port of Object.keys(container.config.ExposedPorts ?? {})) parsePort(port);
    const published = portRequests(hostConfig.PortBindings ?? {}).length > 0;
    for (const [name, settings] of wantedNetworks(container)) this.#endpoints.check(name, settings);
    if (published && networkMode(hostConfig).kind === 'host') {
      return ['Published ports are discarded when using host network mode'];
    }
    return [];
  }

  async prepare(container: NetworkedContainer): Promise<PreparedNetwork> {
    await this.release(container.id);
    const mode = networkMode(container.hostConfig, container.config.NetworkDisabled);
    switch (mode.kind) {
      case 'container':
        return this.#join(mode.container);
      case 'networks':
        return await this.#prepareNetworks(container);
      default: {
        const network = this.#options.registry.resolve(mode.kind);
        const endpoint = { ...this.#endpoints.empty({}), NetworkID: network.id, EndpointID: newId() };
        const attachment = bareAttachment(mode.kind, { [network.name]: endpoint });
        this.#runs.set(container.id, { container, namespace: undefined, attachment });
        const files = await writeContainerFiles(container, attachment, this.#fileDefaults());
        return {
          namespace: mode.kind === 'host' ? 'host' : 'new',
          files,
          attachment,
          env: [],
          warnings: [],
        };
      }
    }
  }

  #join(name: string): PreparedNetwork {
    let other;
    try {
      other = this.#options.containers.find(name);
    } catch (error) {
      throw new EngineError(errorCode(error), `joining network namespace of container: ${errorMessage(error)}`, {
        cause: error,
      });
    }
    if (other.pid === 0) {
      throw new EngineError('conflict', `cannot join network namespace of a non running container: ${other.id}`);
    }
    const onHost = other.attachment?.mode === 'host';
    return {
      namespace: onHost ? 'host' : { path: `/proc/${other.pid}/ns/net` },
      files: filePaths(other.directory),
      attachment: { ...bareAttachment('container', {}), sandboxId: '' },
      env: [],
      warnings: [],
    };
  }

  async #prepareNetworks(container: NetworkedContainer): Promise<PreparedNetwork> {
    await using undo = new AsyncDisposableStack();
    try {
      const namespace = newSandbox();
      undo.defer(() => namespace.close());
      const run: Run = { container, namespace, attachment: bareAttachment('bridge', {}) };
      this.#runs.set(container.id, run);
      undo.defer(async () => await this.release(container.id));
      for (const [name, wanted] of wantedNetworks(container)) await this.#connect(run, namespace, name, wanted);
      const [files] = await Promise.all([
        writeContainerFiles(container, run.attachment, this.#fileDefaults()),
        this.#publish(run),
        this.#names.serve(run, namespace, { fresh: true }),
      ]);
      const { attachment } = run;
      this.#setGateway(namespace, attachment);
      undo.move();
      return { namespace: { path: namespace.path }, files, attachment, env: [], warnings: [] };
    } catch (error) {
      throw new EngineError(errorCode(error), `failed to set up container networking: ${errorMessage(error)}`, {
        cause: error,
      });
    }
  }

  async #connect(run: Run, namespace: NetworkNamespace, name: string, wanted: EndpointSettings): Promise<void> {
    const taken = Object.values(run.attachment.interfaces).map((link) => link.guest);
    const made = await this.#endpoints.add({ container: run.container, namespace, network: name, wanted, taken });
    run.attachment = {
      ...run.attachment,
      endpoints: { ...run.attachment.endpoints, [made.network.name]: made.settings },
      interfaces: { ...run.attachment.interfaces, [made.network.name]: made.interfaces },
    };
    this.#event('connect', made.network.name, made.network.id, run.container.id);
  }

  /** The host's ports, then the rules that lead to the container. */
  async #publish(run: Run): Promise<void> {
    const { hostConfig, config } = run.container;
    const target = this.#portTarget(run.attachment);
    const wanted = { ...(hostConfig.PublishAllPorts ? unbound(config.ExposedPorts) : {}), ...hostConfig.PortBindings };
    const held = target ? this.#allocate(run, portRequests(wanted), target) : [];
    run.attachment = { ...run.attachment, ports: portBindings(config.ExposedPorts, held) };
    if (target) await this.#options.firewall.addPorts(run.container.id, publishedPorts(held, target));
  }

  #allocate(run: Run, requests: ReturnType<typeof portRequests>, target: PortTarget): HeldPort[] {
    try {
      return this.#options.ports.allocate(run.container.id, requests, target);
    } catch (error) {
      const endpoint = this.#endpoints.gateway(run.attachment)?.EndpointID ?? '';
      throw new EngineError(
        errorCode(error) === 'conflict' ? 'internal' : errorCode(error),
        `driver failed programming external connectivity on endpoint ${run.container.name} (${endpoint}): ${errorMessage(error)}`,
        { cause: error },
      );
    }
  }

  /** Where published ports lead: the addresses on the network that also is the way out; none on an internal one. */
  #portTarget(attachment: NetworkAttachment): PortTarget | undefined {
    const endpoint = this.#endpoints.gateway(attachment);
    if (!endpoint) return undefined;
    return { ipv4: endpoint.IPAddress || undefined, ipv6: endpoint.GlobalIPv6Address || undefined };
  }

  #setGateway(namespace: NetworkNamespace, attachment: NetworkAttachment): void {
    for (const family of [4, 6] as const) {
      const name = this.#endpoints.gatewayNetwork(attachment, family);
      if (name === undefined) continue;
      const endpoint = attachment.endpoints[name]!;
      const gateway = family === 4 ? endpoint.Gateway! : endpoint.IPv6Gateway!;
      setDefaultRoutes(namespace, attachment.interfaces[name]!.guest, [addressBytes(parseAddress(gateway))]);
    }
  }

  started(containerId: string): void {
    const run = this.#runs.get(containerId);
    run?.namespace?.close();
    if (run) run.namespace = undefined;
  }

  async release(containerId: string): Promise<void> {
    const run = this.#runs.get(containerId);
    if (!run) return;
    this.#runs.delete(containerId);
    run.namespace?.close();
    this.#names.withdraw(containerId);
    this.#options.ports.release(containerId);
    // not waited for: whoever gets the port next asks the same table, and the address rests for a while
    void this.#options.firewall.removePorts(containerId).catch((error: unknown) => {
      this.#options.notify(`rules of ${run.container.name} are still in place: ${errorMessage(error)}`);
    });
    for (const [name, endpoint] of Object.entries(run.attachment.endpoints)) {
      if (run.attachment.interfaces[name]) this.#endpoints.release(endpoint);
      this.#event('disconnect', name, endpoint.NetworkID ?? '', containerId);
    }
  }

  async adopt(container: NetworkedContainer, pid: number, attachment: NetworkAttachment): Promise<void> {
    const run: Run = { container, namespace: undefined, attachment };
    this.#runs.set(container.id, run);
    for (const [name, endpoint] of Object.entries(attachment.endpoints)) {
      if (attachment.interfaces[name]) await this.#attempt(container, () => this.#endpoints.adopt(endpoint));
    }
    if (ContainerNames.applies(attachment)) {
      await this.#attempt(container, async () => {
        using namespace = NetworkNamespace.open(`/proc/${pid}/ns/net`);
        await this.#names.serve(run, namespace);
      });
    }
    const target = this.#portTarget(attachment);
    if (!target) return;
    const held = heldPorts(attachment);
    for (const lost of this.#options.ports.adopt(container.id, held, target)) {
      this.#options.notify(`container ${container.name}: ${lost}`);
    }
    this.#options.firewall.adopt(container.id, publishedPorts(held, target));
  }

  /** One container's trouble does not keep the engine from the others. */
  async #attempt(container: NetworkedContainer, work: () => unknown): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.notify(`container ${container.name}: network after the restart: ${errorMessage(error)}`);
    }
  }

  async recovered(): Promise<void> {
    this.#options.registry.adoptBridges();
    await this.#options.firewall.rebuild().catch((error: unknown) => this.#options.notify(errorMessage(error)));
  }

  settings(container: NetworkedContainer, attachment: NetworkAttachment | undefined, pid: number): NetworkSettings {
    return networkSettings(attachment ?? this.#plannedAttachment(container), pid, attachment !== undefined);
  }

  /** What inspect shows of a container that does not run: its networks, and what was asked of them. */
  #plannedAttachment(container: NetworkedContainer): NetworkAttachment {
    const mode = networkMode(container.hostConfig, container.config.NetworkDisabled);
    const wanted: [string, EndpointSettings][] =
      mode.kind === 'host' || mode.kind === 'none' ? [[mode.kind, {}]] : wantedNetworks(container);
    const endpoints = wanted.map(([name, settings]): [string, EndpointSettings] => [
      this.#options.registry.find(name)?.name ?? name,
      this.#endpoints.empty(settings),
    ]);
    return { ...bareAttachment('bridge', Object.fromEntries(endpoints)), sandboxId: '' };
  }

  renamed(containerId: string, name: string): void {
    const run = this.#runs.get(containerId);
    if (!run) return;
    const rename = (endpoint: EndpointSettings): EndpointSettings => ({
      ...endpoint,
      DNSNames: endpoint.DNSNames?.map((known) => (known === run.container.name ? name : known)) ?? null,
    });
    const endpoints = Object.entries(run.attachment.endpoints).map(([network, end]) => [network, rename(end)] as const);
    run.attachment = { ...run.attachment, endpoints: Object.fromEntries(endpoints) };
    run.container = { ...run.container, name };
    this.#names.update(run);
  }

  /** Ids of networks that running containers are on. */
  usedNetworks(): Set<string> {
    const ids = [...this.#runs.values()].flatMap(({ attachment }) =>
      Object.values(attachment.endpoints).map((endpoint) => endpoint.NetworkID ?? ''),
    );
    return new Set(ids);
  }

  endpointsOn(networkId: string): { container: NetworkedContainer; endpoint: EndpointSettings }[] {
    return [...this.#runs.values()].flatMap(({ container, attachment }) =>
      Object.values(attachment.endpoints)
        .filter((endpoint) => endpoint.NetworkID === networkId)
        .map((endpoint) => ({ container, endpoint })),
    );
  }

  /** On a running container at once, on another when it starts. */
  async connect(network: NetworkRecord, nameOrId: string, wanted: EndpointSettings): Promise<void> {
    const container = this.#options.containers.find(nameOrId);
    this.#checkConnect(network, container, wanted);
    const networks = { ...Object.fromEntries(wantedNetworks(container)), [network.name]: wanted };
    const run = this.#runs.get(container.id);
    if (!run || container.pid === 0) {
      this.#options.containers.save(container.id, networks, container.attachment);
      return;
    }
    using namespace = NetworkNamespace.open(`/proc/${container.pid}/ns/net`);
    await this.#connect(run, namespace, network.name, wanted);
    await this.#changed(run, namespace);
    this.#options.containers.save(container.id, networks, run.attachment);
  }

  #checkConnect(network: NetworkRecord, container: NetworkedContainer, wanted: EndpointSettings): void {
    const mode = networkMode(container.hostConfig, container.config.NetworkDisabled);
    if (network.driver === 'host' || mode.kind === 'host') {
      throw new EngineError(
        'invalid-argument',
        'cannot connect container to host network - container must be created in host network mode',
      );
    }
    if (mode.kind === 'container') {
      throw new EngineError(
        'invalid-argument',
        `container sharing network namespace with another container cannot be connected to any other network`,
      );
    }
    if (network.driver === 'null' || mode.kind === 'none') {
      throw new EngineError(
        'invalid-argument',
        'container cannot be connected to multiple networks with one of the networks in private (none) mode',
      );
    }
    if (wantedNetworks(container).some(([name]) => this.#options.registry.find(name)?.id === network.id)) {
      throw new EngineError(
        'forbidden',
        `endpoint with name ${container.name} already exists in network ${network.name}`,
      );
    }
    this.#endpoints.check(network.name, wanted);
  }

  async disconnect(network: NetworkRecord, nameOrId: string, force: boolean): Promise<void> {
    const container = this.#options.containers.find(nameOrId);
    const key = wantedNetworks(container).find(([name]) => this.#options.registry.find(name)?.id === network.id)?.[0];
    if (key === undefined) {
      if (force) return;
      throw new EngineError('forbidden', `container ${container.id} is not connected to network ${network.name}`);
    }
    const networks = Object.fromEntries(
      wantedNetworks(container).filter(([name]) => this.#options.registry.find(name)?.id !== network.id),
    );
    const run = this.#runs.get(container.id);
    const link = run?.attachment.interfaces[network.name];
    if (run && link && container.pid > 0) {
      using namespace = NetworkNamespace.open(`/proc/${container.pid}/ns/net`);
      this.#options.registry.links.removeLink(link.host);
      this.#endpoints.release(run.attachment.endpoints[network.name]!);
      const { [network.name]: _endpoint, ...endpoints } = run.attachment.endpoints;
      const { [network.name]: _link, ...interfaces } = run.attachment.interfaces;
      run.attachment = { ...run.attachment, endpoints, interfaces };
      this.#event('disconnect', network.name, network.id, container.id);
      await this.#changed(run, namespace);
    }
    this.#options.containers.save(container.id, networks, run?.attachment ?? container.attachment);
  }

  /** The way out and what depends on it, after a network came or went. */
  async #changed(run: Run, namespace: NetworkNamespace): Promise<void> {
    this.#setGateway(namespace, run.attachment);
    const held = heldPorts(run.attachment);
    this.#options.ports.release(run.container.id);
    await this.#options.firewall.removePorts(run.container.id);
    const target = this.#portTarget(run.attachment);
    if (target) {
      this.#options.ports.adopt(run.container.id, held, target);
      await this.#options.firewall.addPorts(run.container.id, publishedPorts(held, target));
    }
    await this.#names.serve(run, namespace);
    await writeContainerFiles(run.container, run.attachment, this.#fileDefaults());
  }

  /** Closes this process's sockets in the containers. */
  close(): void {
    this.#names.close();
  }

  #fileDefaults(): FileDefaults {
    const hostGateway = this.#options.registry.resolve('bridge').ipam[0]?.Gateway ?? '';
    return { hostGateway, dns: this.#options.dns };
  }

  #event(action: 'connect' | 'disconnect', name: string, id: string, container: string): void {
    const type = this.#options.registry.store.get(id)?.driver ?? 'bridge';
    this.#options.publishEvent(action, id, { container, name, type });
  }
}

function bareAttachment(mode: NetworkAttachment['mode'], endpoints: NetworkAttachment['endpoints']): NetworkAttachment {
  return { mode, endpoints, interfaces: {}, ports: {}, sandboxId: newId() };
}

function unbound(exposed: Readonly<Record<string, unknown>> | undefined): Record<string, null> {
  return Object.fromEntries(Object.keys(exposed ?? {}).map((port) => [port, null]));
}

/** The rules' part of the ports: what the kernel can translate within one family. The rest is relayed. */
function publishedPorts(held: readonly HeldPort[], target: PortTarget): PublishedPort[] {
  return held.flatMap(({ protocol, hostAddress, hostPort, port }) => {
    const address = hostAddress.includes(':') ? target.ipv6 : target.ipv4;
    if (address === undefined) return [];
    const everywhere = hostAddress === '0.0.0.0' || hostAddress === '::';
    return [{ hostAddress: everywhere ? undefined : hostAddress, protocol, hostPort, address, port }];
  });
}

function heldPorts(attachment: NetworkAttachment): HeldPort[] {
  return Object.entries(attachment.ports).flatMap(([key, bindings]) => {
    const { port, protocol } = parsePort(key);
    return (bindings ?? []).map(({ HostIp, HostPort }) => ({
      protocol,
      port,
      hostAddress: HostIp,
      hostPort: Number(HostPort),
    }));
  });
}

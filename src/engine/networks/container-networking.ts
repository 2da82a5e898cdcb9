import { closeSync, readlinkSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import type { HostConfig, NetworkSettings } from '../../api/container.ts';
import type { EndpointSettings } from '../../api/network.ts';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { NetworkNamespace } from '../../linux/network-namespace.ts';
import { newUserNamespace } from '../../linux/user-namespace.ts';
import { newSandbox } from '../../network/bridge.ts';
import type { NameSockets } from '../../network/dns/name-server.ts';
import type { FirewallTable } from '../../network/firewall-table.ts';
import { parsePort, portRequests } from '../../network/ports.ts';
import type { NetworkAttachment } from '../../state/containers.ts';
import { type FileDefaults, filePaths, writeContainerFiles } from './container-files.ts';
import { ContainerNames } from './container-names.ts';
import { dnsNames } from './endpoints.ts';
import { checkLinks, linkedContainers, linkEnvironment, linkHosts } from './links.ts';
import { networkMode, wantedNetworks } from './network-mode.ts';
import type { NetworkRegistry } from './network-registry.ts';
import { networkSettings } from './network-settings.ts';
import type { ContainerDirectory, NetworkedContainer, Networking, PreparedNetwork } from './networking.ts';
import type { PortChange, PublishedPorts } from './published-ports.ts';
import { closeNamespaces, type NetworkRun, type RunNetworks } from './run-networks.ts';

export interface ContainerNetworkingOptions {
  readonly registry: NetworkRegistry;
  readonly firewall: FirewallTable;
  readonly containers: ContainerDirectory;
  readonly runs: RunNetworks;
  readonly names: ContainerNames;
  readonly ports: PublishedPorts;
  readonly fileDefaults: () => FileDefaults;
  /** Takes away what engines left that will not come back. */
  readonly removeOrphans: () => Promise<void>;
  /** A sentence that the operator should read. */
  readonly notify: (sentence: string) => void;
}

/** Puts containers on networks when they start, and takes them off when they end. */
export class ContainerNetworking implements Networking {
  readonly #options: ContainerNetworkingOptions;

  constructor(options: ContainerNetworkingOptions) {
    this.#options = options;
  }

  check(container: NetworkedContainer): string[] {
    const { hostConfig } = container;
    for (const port of Object.keys(container.config.ExposedPorts ?? {})) parsePort(port);
    portRequests(hostConfig.PortBindings ?? {});
    const { kind } = networkMode(hostConfig, container.config.NetworkDisabled);
    const wanted = kind === 'networks' ? wantedNetworks(container) : Object.entries(container.networks);
    for (const [name, settings] of wanted) this.#checkEndpoint(name, settings);
    checkLinks(container, this.#options.containers);
    return [];
  }

  checkMode(hostConfig: Pick<HostConfig, 'NetworkMode'>): void {
    const mode = networkMode(hostConfig);
    if (mode.kind === 'container') this.#other(mode.container);
    if (mode.kind !== 'networks') return;
    try {
      this.#options.registry.resolve(mode.first);
    } catch (error) {
      throw setUpError(error);
    }
  }

  #checkEndpoint(network: string, wanted: EndpointSettings): void {
    try {
      this.#options.runs.endpoints.check(network, wanted);
    } catch (error) {
      throw new EngineError(errorCode(error), `invalid config for network ${network}: ${errorMessage(error)}`, {
        cause: error,
      });
    }
  }

  async prepare(container: NetworkedContainer): Promise<PreparedNetwork> {
    await this.release(container.id);
    const mode = networkMode(container.hostConfig, container.config.NetworkDisabled);
    if (mode.kind === 'container') return await this.#join(container, mode.container);
    if (mode.kind === 'networks') return await this.#prepareNetworks(container);
    this.#refuseOthers(container, mode.kind);
    const network = this.#options.registry.resolve(mode.kind);
    const endpoint = { ...this.#options.runs.endpoints.empty({}), NetworkID: network.id, EndpointID: newId() };
    const attachment = bareAttachment(mode.kind, { [network.name]: endpoint });
    this.#options.runs.enter({ container, namespace: undefined, attachment });
    const files = await writeContainerFiles(container, attachment, this.#options.fileDefaults());
    return {
      namespace: mode.kind === 'host' ? 'host' : 'new',
      files,
      attachment,
      keep: [],
      env: [],
      warnings: [],
      ready: DONE,
    };
  }

  /** Beside the host's network, or none, there are no others. */
  #refuseOthers(container: NetworkedContainer, kind: 'host' | 'none'): void {
    if (container.config.NetworkDisabled) return;
    const names = Object.keys(container.networks).map((name) => this.#options.registry.find(name)?.name ?? name);
    if (names.every((name) => name === kind || name === 'default')) return;
    const why =
      kind === 'host'
        ? 'container sharing network namespace with another container or host cannot be connected to any other network'
        : 'container cannot be connected to multiple networks with one of the networks in private (none) mode';
    throw new EngineError('invalid-argument', `failed to set up container networking: ${why}`);
  }

  async #join(container: NetworkedContainer, name: string): Promise<PreparedNetwork> {
    const other = this.#other(name);
    if (other.pid === 0) {
      if (other.id === container.id) throw new EngineError('internal', 'cannot join own network namespace');
      const state = `container ${other.name} is not running`;
      throw new EngineError('conflict', `cannot join network namespace of a non running container: ${state}`);
    }
    await mkdir(container.directory, { recursive: true });
    const onHost = other.attachment?.mode === 'host';
    return {
      namespace: onHost ? 'host' : { path: `/proc/${other.pid}/ns/net` },
      ...(container.ids && { userNamespace: `/proc/${other.pid}/ns/user` }),
      files: filePaths(other.directory),
      attachment: { ...bareAttachment('container', {}), sandboxId: '' },
      keep: [],
      env: [],
      warnings: [],
      ready: DONE,
    };
  }

  #other(name: string): ReturnType<ContainerDirectory['find']> {
    try {
      return this.#options.containers.find(name);
    } catch (error) {
      throw new EngineError(errorCode(error), `joining network namespace of container: ${errorMessage(error)}`, {
        cause: error,
      });
    }
  }

  async #prepareNetworks(container: NetworkedContainer): Promise<PreparedNetwork> {
    const { runs, ports, names, containers, fileDefaults } = this.#options;
    const linked = linkedContainers(container, containers);
    try {
      const { namespace, userNamespace } = await newNamespaces(container);
      const run: NetworkRun = { container, namespace, userNamespace, attachment: bareAttachment('bridge', {}) };
      runs.set(run);
      for (const [name, wanted] of wantedNetworks(container)) await runs.connect(run, namespace, name, wanted);
      const published = ports.publish(run);
      // each of them is waited for, also when another fails: nothing may happen after the clean-up
      const [written, served] = await Promise.allSettled([
        writeContainerFiles(container, run.attachment, fileDefaults(), linkHosts(linked)),
        names.serve(run, namespace, { fresh: true }),
      ]);
      const ready = Promise.all([published, served.status === 'fulfilled' && served.value.rules]).then(
        () => undefined,
        (error: unknown) => Promise.reject(setUpError(error)),
      );
      ready.catch(() => undefined);
      for (const part of [written, served]) if (part.status === 'rejected') throw part.reason;
      await runs.setRoutes(namespace, run.attachment);
      const sockets = names.socketsOf(container.id);
      if (sockets) run.attachment = { ...run.attachment, nameSockets: socketNames(sockets) };
      return {
        namespace: { path: namespace.path },
        ...(userNamespace !== undefined && { userNamespace: `/proc/${process.pid}/fd/${userNamespace}` }),
        files: filePaths(container.directory),
        attachment: run.attachment,
        keep: sockets ? [sockets.udp, sockets.tcp] : [],
        env: linkEnvironment(container, linked),
        warnings: [],
        ready,
      };
    } catch (error) {
      await this.release(container.id);
      throw setUpError(error);
    }
  }

  started(containerId: string): void {
    const run = this.#options.runs.get(containerId);
    if (run) closeNamespaces(run);
  }

  async release(containerId: string): Promise<void> {
    const run = this.#options.runs.take(containerId);
    this.#options.names.withdraw(containerId);
    if (run) await this.#options.ports.release(run);
  }

  async adopt(
    container: NetworkedContainer,
    pid: number,
    attachment: NetworkAttachment,
    held: (name: string) => number | undefined = () => undefined,
  ): Promise<void> {
    const { runs, names, ports, notify } = this.#options;
    const run: NetworkRun = { container, namespace: undefined, attachment };
    runs.set(run);
    try {
      runs.endpoints.adopt(attachment);
      ports.adopt(run);
      if (!ContainerNames.applies(attachment)) return;
      using namespace = NetworkNamespace.open(`/proc/${pid}/ns/net`);
      await (
        await names.serve(run, namespace, { sockets: heldSockets(attachment, held) })
      ).rules;
    } catch (error) {
      // one container's trouble does not keep the engine from the others
      notify(`container ${container.name}: network after the restart: ${errorMessage(error)}`);
    }
  }

  async recovered(): Promise<void> {
    this.#options.registry.adoptBridges();
    await this.#options.firewall.rebuild().catch((error: unknown) => this.#options.notify(errorMessage(error)));
    await this.#options.removeOrphans();
  }

  settings(container: NetworkedContainer, attachment: NetworkAttachment | undefined, pid: number): NetworkSettings {
    return networkSettings(attachment ?? this.#plannedAttachment(container), pid, attachment !== undefined);
  }

  /** What inspect shows of a container that does not run: its networks, and what was asked of them. */
  #plannedAttachment(container: NetworkedContainer): NetworkAttachment {
    const { registry, runs } = this.#options;
    const mode = networkMode(container.hostConfig, container.config.NetworkDisabled);
    const wanted: [string, EndpointSettings][] =
      mode.kind === 'host' || mode.kind === 'none' ? [[mode.kind, {}]] : wantedNetworks(container);
    const endpoints = wanted.map(([name, settings]): [string, EndpointSettings] => [
      registry.find(name)?.name ?? name,
      runs.endpoints.empty(settings),
    ]);
    return { ...bareAttachment('bridge', Object.fromEntries(endpoints)), sandboxId: '' };
  }

  async changePorts(containerId: string, change: PortChange): Promise<NetworkAttachment> {
    const run = this.#options.runs.get(containerId);
    if (!run) throw new EngineError('conflict', `container ${containerId} is not running`);
    await this.#options.ports.change(run, change);
    return run.attachment;
  }

  renamed(containerId: string, name: string): void {
    const run = this.#options.runs.get(containerId);
    if (!run) return;
    run.container = { ...run.container, name };
    const endpoints = Object.entries(run.attachment.endpoints).map(([network, endpoint]) => [
      network,
      endpoint.DNSNames ? { ...endpoint, DNSNames: dnsNames(run.container, endpoint) } : endpoint,
    ]);
    run.attachment = { ...run.attachment, endpoints: Object.fromEntries(endpoints) };
    this.#options.names.update(run);
    this.#options.containers.save(containerId, run.container.networks, run.attachment);
  }
}

function bareAttachment(mode: NetworkAttachment['mode'], endpoints: NetworkAttachment['endpoints']): NetworkAttachment {
  return { mode, endpoints, interfaces: {}, ports: {}, sandboxId: newId() };
}

const DONE = Promise.resolve();

function setUpError(error: unknown): EngineError {
  return new EngineError(errorCode(error), `failed to set up container networking: ${errorMessage(error)}`, {
    cause: error,
  });
}

function socketNames({ udp, tcp }: NameSockets): NonNullable<NetworkAttachment['nameSockets']> {
  const name = (fd: number): string => readlinkSync(`/proc/self/fd/${fd}`);
  return { udp: name(udp), tcp: name(tcp) };
}

/** Both or none. */
function heldSockets(
  { nameSockets }: NetworkAttachment,
  held: (name: string) => number | undefined,
): NameSockets | undefined {
  if (!nameSockets) return undefined;
  const udp = held(nameSockets.udp);
  const tcp = held(nameSockets.tcp);
  if (udp !== undefined && tcp !== undefined) return { udp, tcp };
  for (const fd of [udp, tcp]) if (fd !== undefined) closeSync(fd);
  return undefined;
}

/** A network namespace is its user namespace's: processes inside have no rights over one of the host's. */
async function newNamespaces({
  ids,
}: NetworkedContainer): Promise<{ namespace: NetworkNamespace; userNamespace: number | undefined }> {
  if (!ids) return { namespace: await newSandbox(), userNamespace: undefined };
  const map = ({ base, size }: { base: number; size: number }): string => `0 ${base} ${size}\n`;
  const made = await newUserNamespace({ uid: map(ids.uid), gid: map(ids.gid) }, { network: true });
  return { namespace: await newSandbox(NetworkNamespace.of(made.network!)), userNamespace: made.user };
}

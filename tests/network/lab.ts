import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostConfig } from '../../src/api/container.ts';
import type { EndpointSettings } from '../../src/api/network.ts';
import { newId } from '../../src/base/ids.ts';
import { ContainerNetworking } from '../../src/engine/networks/container-networking.ts';
import { NetworkRegistry } from '../../src/engine/networks/network-registry.ts';
import type { NetworkedContainer } from '../../src/engine/networks/networking.ts';
import { boundSocket } from '../../src/linux/bound-socket.ts';
import { RouteNetlink } from '../../src/linux/netlink-route.ts';
import { newSocket, NetworkNamespace } from '../../src/linux/network-namespace.ts';
import { applyNftables } from '../../src/linux/nft.ts';
import { addressBytes, parseAddress, parseCidr } from '../../src/network/address.ts';
import { FirewallTable } from '../../src/network/firewall-table.ts';
import { PortAllocator } from '../../src/network/port-allocator.ts';
import { Database } from '../../src/state/database.ts';
import type { NetworkAttachment } from '../../src/state/containers.ts';
import { NetworkStore } from '../../src/state/networks.ts';

/**
 * A host of its own for one test file: the whole process moves into a new network namespace, so that the machine's links
 * and rules stay as they are. Neighbours are further namespaces, containers are those that the engine's networking makes.
 */
export class Lab implements Disposable {
  readonly host: NetworkNamespace;
  readonly directory = mkdtempSync(join(tmpdir(), 'gantry-network-'));
  readonly #open: { close(): unknown }[] = [];

  constructor() {
    this.host = NetworkNamespace.create();
    this.host.enter();
    using links = new RouteNetlink();
    links.setUp(1);
  }

  /** Another machine on a wire of its own, by which it routes everything to the host. Addresses with prefix, the host's first. */
  neighbour(name: string, host: readonly string[], own: readonly string[]): NetworkNamespace {
    const namespace = NetworkNamespace.create();
    this.#open.push(namespace);
    using links = new RouteNetlink();
    using theirs = new RouteNetlink(namespace);
    theirs.setUp(1);
    links.addVeth({ name, master: 0, mtu: 1500, peer: { name: 'eth0', mac: '02:00:00:00:00:01', namespace } });
    const here = links.link(name)!.index;
    const there = theirs.link('eth0')!.index;
    for (const cidr of host) links.addAddress(here, cidrBytes(cidr));
    for (const cidr of own) theirs.addAddress(there, cidrBytes(cidr));
    theirs.setUp(there);
    for (const cidr of host) theirs.setRoute({ gateway: cidrBytes(cidr).bytes, link: there });
    return namespace;
  }

  /** Answers every tcp connection with the address it came from, on all addresses of a namespace. */
  serve(namespace: NetworkNamespace, port: number, address = '0.0.0.0'): Server {
    const fd = boundSocket({ protocol: 'tcp', address: addressBytes(parseAddress(address)), port }, namespace);
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end(`from ${socket.remoteAddress}`);
    }).listen({ fd });
    server.unref();
    this.#open.push(server);
    return server;
  }

  /** What a server said, or why there was no answer within `patience` milliseconds. */
  async ask(from: NetworkNamespace, address: string, port: number, patience = 700): Promise<string> {
    const family = address.includes(':') ? 10 : 2;
    const fd = from.run<number>(() => newSocket(family, 1, 0));
    const socket = new Socket({ fd, allowHalfOpen: true });
    const { promise, resolve } = Promise.withResolvers<string>();
    let said = '';
    const timer = setTimeout(() => resolve('no answer'), patience);
    socket.on('data', (data) => (said += data.toString()));
    socket.on('end', () => resolve(said));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.connect(port, address);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      socket.destroy();
    }
  }

  [Symbol.dispose](): void {
    for (const one of this.#open) one.close();
    rmSync(this.directory, { recursive: true, force: true });
    this.host.close();
  }
}

/** The engine's networking over a database, with containers that are namespaces only. */
export class LabEngine {
  readonly db: Database;
  readonly registry: NetworkRegistry;
  readonly firewall: FirewallTable;
  readonly ports: PortAllocator;
  readonly networking: ContainerNetworking;
  readonly containers = new Map<string, LabContainer>();
  readonly notes: string[] = [];

  constructor(lab: Lab, options: { publishAddress?: string; database?: string } = {}) {
    this.db = Database.open(options.database ?? ':memory:');
    this.firewall = new FirewallTable('gantry_lab', applyNftables);
    this.registry = new NetworkRegistry(new NetworkStore(this.db), this.firewall, {
      bridge: 'gantry0',
      bridgeAddress: undefined,
      mtu: 1500,
      notify: (sentence) => this.notes.push(sentence),
    });
    this.ports = new PortAllocator({
      defaultAddress: options.publishAddress ?? '',
      nameOf: (id) => this.containers.get(id)?.name ?? id,
    });
    this.networking = new ContainerNetworking({
      registry: this.registry,
      firewall: this.firewall,
      ports: this.ports,
      containers: {
        find: (name) => [...this.containers.values()].find((one) => one.name === name || one.id === name)!,
        all: () => this.containers.values(),
        save: () => undefined,
      },
      publishEvent: () => undefined,
      notify: (sentence) => this.notes.push(sentence),
    });
    this.#directory = lab.directory;
  }

  readonly #directory: string;

  /** A container's network, held open by this process in place of one of its own. */
  async start(
    name: string,
    hostConfig: HostConfig = {},
    networks: Record<string, EndpointSettings> = {},
  ): Promise<LabContainer> {
    const id = newId();
    const directory = join(this.#directory, id);
    const container: NetworkedContainer = { id, name, config: {}, hostConfig, networks, directory };
    const prepared = await this.networking.prepare(container);
    const path = typeof prepared.namespace === 'object' ? prepared.namespace.path : '/proc/self/ns/net';
    const namespace = NetworkNamespace.open(path);
    const started = { ...container, namespace, attachment: prepared.attachment, pid: 1 };
    this.containers.set(id, started);
    this.networking.started(id);
    return started;
  }

  async stop(container: LabContainer): Promise<void> {
    this.containers.delete(container.id);
    container.namespace.close();
    await this.networking.release(container.id);
  }
}

export interface LabContainer extends NetworkedContainer {
  readonly namespace: NetworkNamespace;
  readonly attachment: NetworkAttachment;
  readonly pid: number;
}

export function addressOn(container: LabContainer, network = 'bridge'): string {
  return container.attachment.endpoints[network]?.IPAddress ?? '';
}

function cidrBytes(cidr: string): { bytes: Uint8Array; prefix: number } {
  const { address, subnet } = parseCidr(cidr);
  return { bytes: addressBytes(address), prefix: subnet.prefix };
}

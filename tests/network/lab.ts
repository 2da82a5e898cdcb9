import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerConfig, HostConfig } from '../../src/api/container.ts';
import type { EndpointSettings } from '../../src/api/network.ts';
import { EngineError } from '../../src/base/errors.ts';
import { newId } from '../../src/base/ids.ts';
import { engineConfig, type EngineOptions } from '../../src/engine/config.ts';
import { type OpenedNetworks, openNetworks } from '../../src/engine/networks/open.ts';
import type { NetworkedContainer } from '../../src/engine/networks/networking.ts';
import { boundSocket } from '../../src/linux/bound-socket.ts';
import { RouteNetlink } from '../../src/linux/netlink-route.ts';
import { newSocket, NetworkNamespace } from '../../src/linux/network-namespace.ts';
import { addressBytes, parseAddress, parseCidr } from '../../src/network/address.ts';
import { Database } from '../../src/state/database.ts';
import type { NetworkAttachment } from '../../src/state/containers.ts';

/**
 * A host of its own for one test file: the whole process moves into a new network namespace, so that the machine's links
 * and rules stay as they are. Neighbours are further namespaces, containers are those that the engine's networking makes.
 */
export class Lab implements Disposable {
  readonly host: NetworkNamespace;
  readonly directory = mkdtempSync(join(tmpdir(), 'gantry-network-'));
  readonly #neighbours: NetworkNamespace[] = [];
  readonly #servers = new Map<NetworkNamespace, { close(): unknown }[]>();

  constructor() {
    this.host = NetworkNamespace.create();
    this.host.enter();
    this.host.setSysctls({ 'ipv6/conf/default/accept_dad': '0' });
    using links = new RouteNetlink();
    links.setUp(1);
  }

  /** Another machine on a wire of its own, by which it routes everything to the host. Addresses with prefix, the host's first. */
  neighbour(name: string, host: readonly string[], own: readonly string[]): NetworkNamespace {
    const namespace = NetworkNamespace.create();
    this.#neighbours.push(namespace);
    namespace.setSysctls({ 'ipv6/conf/default/accept_dad': '0' });
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
    this.closeLater(namespace, server);
    return server;
  }

  /** Answers each datagram with the address it came from. */
  echo(namespace: NetworkNamespace, port: number, family: 4 | 6 = 4): void {
    const socket = createSocket(family === 4 ? 'udp4' : 'udp6').unref();
    const address = new Uint8Array(family === 4 ? 4 : 16);
    socket.bind({ fd: boundSocket({ protocol: 'udp', address, port }, namespace) });
    socket.on('message', (_message, peer) => socket.send(`from ${peer.address}`, peer.port, peer.address));
    this.closeLater(namespace, socket);
  }

  /** What an `echo` said to one datagram. */
  async askByUdp(from: NetworkNamespace, address: string, port: number, patience = 700): Promise<string> {
    const any = addressBytes(parseAddress(address.includes(':') ? '::' : '0.0.0.0'));
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.bind({ fd: boundSocket({ protocol: 'udp', address: any, port: 0 }, from) });
    socket.on('error', () => undefined);
    socket.send('?', port, address);
    try {
      const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(patience) })) as [Buffer];
      return answer.toString();
    } catch {
      return 'no answer';
    } finally {
      socket.close();
    }
  }

  /** Sends a datagram to an `echo` every few milliseconds, until its end, which gives the number that were not answered. */
  stream(from: NetworkNamespace, address: string, port: number): DatagramStream {
    const socket = createSocket('udp4');
    socket.bind({ fd: boundSocket({ protocol: 'udp', address: new Uint8Array(4), port: 0 }, from) });
    let [sent, received] = [0, 0];
    socket.on('message', () => received++);
    const timer = setInterval(() => {
      sent++;
      socket.send('?', port, address);
    }, 5);
    const until = async (count: number, patience: number): Promise<void> => {
      for (const end = Date.now() + patience; received < count && Date.now() < end;) await sleep(10);
    };
    return {
      answered: async (more) => await until(received + more, 30_000),
      end: async () => {
        clearInterval(timer);
        await until(sent, 5000);
        socket.close();
        return sent - received;
      },
    };
  }

  closeLater(namespace: NetworkNamespace, server: { close(): unknown }): void {
    this.#servers.set(namespace, [...(this.#servers.get(namespace) ?? []), server]);
  }

  /** Ends the servers of a namespace. */
  hush(namespace: NetworkNamespace): void {
    for (const server of this.#servers.get(namespace) ?? []) server.close();
    this.#servers.delete(namespace);
  }

  /** Lets go of a namespace, which its servers would keep. */
  leave(namespace: NetworkNamespace): void {
    this.hush(namespace);
    namespace.close();
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
    for (const namespace of this.#neighbours) this.leave(namespace);
    rmSync(this.directory, { recursive: true, force: true });
    this.host.close();
  }
}

export interface DatagramStream {
  /** Resolves when so many more were answered. */
  answered(more: number): Promise<void>;
  end(): Promise<number>;
}

export interface LabEngineOptions {
  readonly dataRoot?: string;
  readonly bridge?: string;
  readonly publishAddress?: string;
  readonly respectHostFirewall?: boolean;
  readonly config?: EngineOptions;
  readonly database?: string;
}

/** The engine's networks over a database, with containers that are namespaces only. */
export class LabEngine {
  readonly opened: OpenedNetworks;
  readonly containers = new Map<string, LabContainer>();
  readonly notes: string[] = [];
  readonly events: string[] = [];
  readonly #lab: Lab;
  readonly #db: Database;

  constructor(lab: Lab, options: LabEngineOptions = {}) {
    this.#lab = lab;
    this.#db = Database.open(options.database ?? ':memory:');
    this.opened = openNetworks({
      db: this.#db,
      config: engineConfig({
        ...options.config,
        dataRoot: options.dataRoot ?? lab.directory,
        bridge: { name: options.bridge ?? 'gantry0', ...options.config?.bridge },
        ...(options.publishAddress !== undefined && { publishAddress: options.publishAddress }),
        respectHostFirewall: options.respectHostFirewall ?? false,
        report: (sentence) => this.notes.push(sentence),
      }),
      containers: {
        find: (name) => this.#find(name),
        all: () => this.containers.values(),
        save: (id, networks, attachment) => {
          this.containers.set(id, { ...this.containers.get(id)!, networks, attachment });
        },
      },
      publishEvent: (action, _id, attributes) => this.events.push(`${action} ${attributes['name']}`),
    });
  }

  #find(name: string): LabContainer {
    const found = [...this.containers.values()].find((one) => one.name === name || one.id === name);
    if (!found) throw new EngineError('not-found', `No such container: ${name}`);
    return found;
  }

  /** A process that waits in the namespace stands for the container. */
  async start(
    name: string,
    hostConfig: HostConfig = {},
    networks: Record<string, EndpointSettings> = {},
    config: ContainerConfig = {},
  ): Promise<LabContainer> {
    const id = newId();
    const container: NetworkedContainer = {
      id,
      name,
      config,
      hostConfig,
      networks,
      directory: join(this.#lab.directory, id),
    };
    const prepared = await this.opened.networking.prepare(container);
    await prepared.ready;
    const path = typeof prepared.namespace === 'object' ? prepared.namespace.path : '/proc/self/ns/net';
    const namespace = NetworkNamespace.open(path);
    const process = namespace.run(() => spawn('sleep', ['1000'], { stdio: 'ignore' }) as never) as ChildProcess;
    const started = { ...container, namespace, process, attachment: prepared.attachment, pid: process.pid! };
    this.containers.set(id, started);
    this.opened.networking.started(id, started.pid);
    return started;
  }

  /** As it is now. */
  get(container: LabContainer): LabContainer {
    return this.containers.get(container.id)!;
  }

  async stop(container: LabContainer): Promise<void> {
    this.containers.delete(container.id);
    this.#lab.leave(container.namespace);
    container.process.kill('SIGKILL');
    await this.opened.networking.release(container.id);
  }

  /** Stops everything, and the engine. */
  async close(): Promise<void> {
    for (const container of this.containers.values()) await this.stop(container);
    await this.opened.close();
    this.#db.close();
  }

  /** As kill -9 leaves it: containers run, nothing is cleaned up. */
  abandon(): void {
    this.opened.abandon();
    this.#db.close();
  }
}

export interface LabContainer extends NetworkedContainer {
  readonly namespace: NetworkNamespace;
  readonly process: ChildProcess;
  readonly attachment: NetworkAttachment | undefined;
  readonly pid: number;
}

export function addressOn(container: LabContainer, network = 'bridge'): string {
  return container.attachment?.endpoints[network]?.IPAddress ?? '';
}

function cidrBytes(cidr: string): { bytes: Uint8Array; prefix: number } {
  const { address, subnet } = parseCidr(cidr);
  return { bytes: addressBytes(address), prefix: subnet.prefix };
}

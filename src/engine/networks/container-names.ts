import { closeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EndpointSettings } from '../../api/network.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import type { HostSockets } from '../../linux/host-sockets.ts';
import { NetworkNamespace } from '../../linux/network-namespace.ts';
import { applyNftables } from '../../linux/nft.ts';
import { parseResolvConf, type ResolvConf } from '../../network/container-files.ts';
import { type Client, NameServer, type NameSockets, openNameSockets } from '../../network/dns/name-server.ts';
import { type NamedEndpoint, NameTable } from '../../network/dns/name-table.ts';
import { type Trace, traceName } from '../../network/dns/trace.ts';
import { Upstream, type UpstreamServer } from '../../network/dns/upstream.ts';
import type { NetworkAttachment } from '../../state/containers.ts';
import type { NetworkedContainer } from './networking.ts';

/** What names need to know of a container that runs. */
export interface NamedRun {
  readonly container: NetworkedContainer;
  readonly attachment: NetworkAttachment;
}

interface Served {
  run: NamedRun;
  /** What follows from the run: asked for at every query. */
  client: Client;
  readonly server: NameServer;
  /** Held only for name servers on the container's own loopback. */
  readonly inside: NetworkNamespace | undefined;
}

/** The host's name servers are read again when what is known of them is so old (milliseconds). */
const HOST_SERVERS_AGE = 5000;

/** Names of containers on user-defined networks, and the server in each of them that answers. */
export class ContainerNames {
  readonly #table = new NameTable();
  readonly #upstream: Upstream;
  readonly #served = new Map<string, Served>();
  readonly #servers: readonly string[];
  readonly #notify: (sentence: string) => void;
  #host: readonly UpstreamServer[] = [];
  #hostRead = Number.NEGATIVE_INFINITY;

  /** `servers` are asked for containers that name none; without any, those of the host. */
  constructor(servers: readonly string[], notify: (sentence: string) => void, host?: HostSockets) {
    this.#upstream = new Upstream(undefined, host);
    this.#servers = servers;
    this.#notify = notify;
  }

  /** Whether the container's resolv.conf is to name this engine's server: on the default network alone there are no names. */
  static applies(attachment: NetworkAttachment): boolean {
    return attachment.mode === 'bridge' && Object.keys(attachment.endpoints).some((network) => network !== 'bridge');
  }

  /**
   * Makes its names known, and answers it; called again after every change of its networks. `rules` resolves, and never
   * rejects, when its questions find their way.
   */
  async serve(
    run: NamedRun,
    namespace: NetworkNamespace,
    options: {
      /** In a new namespace there is nothing of an earlier server. */
      readonly fresh?: boolean;
      /** What an earlier engine answered on, taken over: questions wait there already. */
      readonly sockets?: NameSockets | undefined;
    } = {},
  ): Promise<{ readonly rules: Promise<void> }> {
    const { id, hostConfig } = run.container;
    this.#table.set(id, namedEndpoints(run));
    const nothing = { rules: Promise.resolve() };
    if (!ContainerNames.applies(run.attachment)) return nothing;
    const served = this.#served.get(id);
    if (served) {
      if (options.sockets) closeSockets(options.sockets);
      this.#take(served, run);
      return nothing;
    }
    await this.#readHostServers();
    const inside = (hostConfig.Dns ?? []).some(isLoopback) ? NetworkNamespace.open(namespace.path) : undefined;
    const client = (): Client => this.#served.get(id)?.client ?? NOBODY;
    const sockets = options.sockets ?? openNameSockets(namespace);
    const server = new NameServer({ sockets, table: this.#table, upstream: this.#upstream, client });
    this.#served.set(id, { run, client: this.#client(run, inside), server, inside });
    // the rules of a server lead to its sockets
    if (options.sockets) return nothing;
    return { rules: this.#lead(run.container.name, namespace, server.rules(!options.fresh)) };
  }

  async #lead(container: string, namespace: NetworkNamespace, rules: string): Promise<void> {
    try {
      await applyNftables(rules, namespace);
    } catch (error) {
      this.#notify(`container ${container} cannot ask for names: ${errorMessage(error)}`);
    }
  }

  /** Where this container's questions come; undefined when it asks somebody else. They stay the server's. */
  socketsOf(containerId: string): NameSockets | undefined {
    return this.#served.get(containerId)?.server.sockets;
  }

  /** A new name, new aliases. */
  update(run: NamedRun): void {
    this.#table.set(run.container.id, namedEndpoints(run));
    const served = this.#served.get(run.container.id);
    if (served) this.#take(served, run);
  }

  #take(served: Served, run: NamedRun): void {
    served.run = run;
    served.client = this.#client(run, served.inside);
  }

  /** Idempotent. */
  withdraw(containerId: string): void {
    this.#table.remove(containerId);
    const served = this.#served.get(containerId);
    if (!served) return;
    this.#served.delete(containerId);
    served.server.close();
    served.inside?.close();
  }

  /**
   * How a container finds a name, step by step; without one, how the host does. Throws `conflict` when this engine does not
   * answer the container.
   */
  async trace(name: string, containerId: string | undefined): Promise<Trace> {
    if (containerId === undefined) {
      const conf = parseResolvConf(await readFile('/etc/resolv.conf', 'utf8').catch(() => ''));
      const upstream = conf.nameservers.map((address) => ({ address }));
      return await this.#trace(name, conf, { ...NOBODY, upstream: () => upstream }, new Map());
    }
    const served = this.#served.get(containerId);
    if (!served) {
      throw new EngineError(
        'conflict',
        'the container does not ask this engine for names: it does not run, or is on no network of its own (see /etc/resolv.conf in it)',
      );
    }
    const { container, attachment } = served.run;
    const conf = parseResolvConf(await readFile(join(container.directory, 'resolv.conf'), 'utf8').catch(() => ''));
    const networks = Object.entries(attachment.endpoints).map(
      ([network, end]) => [end.NetworkID ?? '', network] as const,
    );
    return await this.#trace(name, conf, served.client, new Map(networks));
  }

  async #trace(name: string, conf: ResolvConf, client: Client, networks: ReadonlyMap<string, string>): Promise<Trace> {
    const networkName = (id: string): string => `network ${networks.get(id) ?? id}`;
    return await traceName({ name, conf, client, networkName, table: this.#table, upstream: this.#upstream });
  }

  /** Closes the sockets only: names are asked for again from the next engine. */
  close(): void {
    for (const id of this.#served.keys()) this.withdraw(id);
  }

  #client({ container, attachment }: NamedRun, inside: NetworkNamespace | undefined): Client {
    const endpoints = Object.values(attachment.endpoints);
    const hasWayOut = endpoints.some((endpoint) => endpoint.Gateway || endpoint.IPv6Gateway);
    return {
      networks: endpoints.map((endpoint) => endpoint.NetworkID ?? ''),
      links: linksOf(endpoints),
      upstream: () => (hasWayOut ? this.#upstreamOf(container, inside) : []),
    };
  }

  #upstreamOf(container: NetworkedContainer, inside: NetworkNamespace | undefined): readonly UpstreamServer[] {
    const own = container.hostConfig.Dns ?? [];
    const asked = own.length > 0 ? own : this.#servers;
    if (asked.length > 0) {
      return asked.map((address) => ({ address, namespace: isLoopback(address) ? inside : undefined }));
    }
    if (performance.now() - this.#hostRead > HOST_SERVERS_AGE) void this.#readHostServers();
    return this.#host;
  }

  async #readHostServers(): Promise<void> {
    if (performance.now() - this.#hostRead < HOST_SERVERS_AGE) return;
    this.#hostRead = performance.now();
    const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
    this.#host = parseResolvConf(text).nameservers.map((address) => ({ address }));
  }
}

function closeSockets({ udp, tcp }: NameSockets): void {
  closeSync(udp);
  closeSync(tcp);
}

const NOBODY: Client = { networks: [], links: new Map(), upstream: () => [] };

function namedEndpoints({ container, attachment }: NamedRun): NamedEndpoint[] {
  return Object.entries(attachment.endpoints)
    .filter(([network, endpoint]) => network !== 'bridge' && endpoint.NetworkID)
    .map(([network, endpoint]) => ({
      networkId: endpoint.NetworkID!,
      network,
      containerId: container.id,
      names: endpoint.DNSNames ?? [],
      ipv4: endpoint.IPAddress || undefined,
      ipv6: endpoint.GlobalIPv6Address || undefined,
    }));
}

/** `other:alias` of every network's links. */
function linksOf(endpoints: readonly EndpointSettings[]): Map<string, string> {
  const pairs = endpoints.flatMap((endpoint) => endpoint.Links ?? []).map((link) => link.split(':'));
  return new Map(pairs.map(([name, alias = name]) => [alias!.toLowerCase(), name!]));
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

import type { PortBinding } from '../../api/network.ts';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import type { GatewayMode, PublishedPort } from '../../network/firewall.ts';
import type { FirewallTable } from '../../network/firewall-table.ts';
import type { HeldPort, PortAllocator, PortTarget } from '../../network/port-allocator.ts';
import { isRequested, parsePort, portRequests } from '../../network/ports.ts';
import type { NetworkAttachment } from '../../state/containers.ts';
import type { Endpoints } from './endpoints.ts';
import { portBindings } from './network-settings.ts';
import type { NetworkRun } from './run-networks.ts';

/** Both as `PortBindings`. */
export interface PortChange {
  readonly add: Readonly<Record<string, PortBinding[] | null>>;
  /** What is left empty is any. */
  readonly remove: Readonly<Record<string, PortBinding[] | null>>;
}

/** How the world reaches the containers of a network. */
export interface WayIn {
  /** For ports that name no address; empty is everywhere. */
  readonly publishAddress: string;
  readonly modes: Readonly<Record<4 | 6, GatewayMode>>;
  /** Published ports are open by the container's own address as well, to somebody. */
  readonly trusted: boolean;
}

/** Where a container's ports lead. */
interface Target extends PortTarget {
  readonly publishAddress: string;
  /** Families in which its published ports are open at its own address. */
  readonly direct: readonly (4 | 6)[];
}

/** Ports of the host that lead to containers. */
export class PublishedPorts {
  readonly #ports: PortAllocator;
  readonly #firewall: FirewallTable;
  readonly #endpoints: Endpoints;
  readonly #wayIn: (network: string) => WayIn;
  readonly #notify: (sentence: string) => void;

  constructor(options: {
    readonly ports: PortAllocator;
    readonly firewall: FirewallTable;
    readonly endpoints: Endpoints;
    /** Of a network, by name. */
    readonly wayIn: (network: string) => WayIn;
    readonly notify: (sentence: string) => void;
  }) {
    this.#ports = options.ports;
    this.#firewall = options.firewall;
    this.#endpoints = options.endpoints;
    this.#wayIn = options.wayIn;
    this.#notify = options.notify;
  }

  /** Takes what the container asks for at once, and the run's attachment says what it got; resolves when the rules are made. */
  publish(run: NetworkRun): Promise<void> {
    const { hostConfig, config, id } = run.container;
    const target = this.#target(run);
    const wanted = { ...(hostConfig.PublishAllPorts ? unbound(config.ExposedPorts) : {}), ...hostConfig.PortBindings };
    const held = target ? this.#allocate(run, wanted, target) : [];
    run.attachment = { ...run.attachment, ports: portBindings(config.ExposedPorts, held) };
    return target ? this.#firewall.addPorts(id, publishedPorts(held, target)) : Promise.resolve();
  }

  /**
   * Changes what a running container has; its run's attachment says what it got. On failure all is as it was. Throws
   * `conflict` when the container has no network by which others could reach it.
   */
  async change(run: NetworkRun, change: PortChange): Promise<void> {
    const { id, name, config } = run.container;
    const target = this.#target(run);
    if (!target) throw new EngineError('conflict', `container ${name} is on no network that has a way in`);
    const removals = portRequests(change.remove);
    const before = heldPorts(run);
    const kept = before.filter((port) => !removals.some((removal) => isRequested(removal, port)));
    const removed = before.filter((port) => !kept.includes(port));
    const attachment = run.attachment;
    this.#ports.release(id, removed);
    let added: HeldPort[] = [];
    try {
      added = this.#allocate(run, change.add, target);
      const held = [...kept, ...added];
      run.attachment = { ...attachment, ports: portBindings(config.ExposedPorts, held) };
      await this.#firewall.setPorts(id, publishedPorts(held, target));
    } catch (error) {
      this.#ports.release(id, added);
      this.#ports.adopt(id, removed, target);
      run.attachment = attachment;
      await this.#firewall.setPorts(id, publishedPorts(before, target));
      throw error;
    }
  }

  #allocate(run: NetworkRun, wanted: Readonly<Record<string, PortBinding[] | null>>, target: Target): HeldPort[] {
    try {
      const requests = portRequests(wanted).map((request) =>
        request.hostAddress === '' ? { ...request, hostAddress: target.publishAddress } : request,
      );
      return this.#ports.allocate(run.container.id, requests, target);
    } catch (error) {
      const endpoint = this.#endpoints.gateway(run.attachment)?.EndpointID ?? '';
      throw new EngineError(
        errorCode(error) === 'conflict' ? 'internal' : errorCode(error),
        `driver failed programming external connectivity on endpoint ${run.container.name} (${endpoint}): ${errorMessage(error)}`,
        { cause: error },
      );
    }
  }

  /** After a restart. The rules follow when the whole table is made again. */
  adopt(run: NetworkRun): void {
    const target = this.#target(run);
    if (!target) return;
    const held = heldPorts(run);
    for (const lost of this.#ports.adopt(run.container.id, held, target)) {
      this.#notify(`container ${run.container.name}: ${lost}`);
    }
    this.#firewall.adopt(run.container.id, publishedPorts(held, target));
  }

  /** Leads them to where the container is now: its networks changed. */
  async move(run: NetworkRun): Promise<void> {
    const { id } = run.container;
    const held = heldPorts(run);
    this.#ports.release(id);
    const removed = this.#firewall.removePorts(id);
    const target = this.#target(run);
    if (target) {
      this.#ports.adopt(id, held, target);
      await this.#firewall.addPorts(id, publishedPorts(held, target));
    }
    await removed;
  }

  /** Idempotent. The ports are free at once; resolves, and never rejects, when the rules are gone. */
  async release(run: NetworkRun): Promise<void> {
    this.#ports.release(run.container.id);
    try {
      await this.#firewall.removePorts(run.container.id);
    } catch (error) {
      this.#notify(`rules of ${run.container.name} are still in place: ${errorMessage(error)}`);
    }
  }

  /** The addresses on the network that also is the way out; none where all are internal. */
  #target(run: NetworkRun): Target | undefined {
    const endpoint = this.#endpoints.gateway(run.attachment);
    if (!endpoint) return undefined;
    const { publishAddress, modes, trusted } = this.#wayIn(wayOut(this.#endpoints, run.attachment));
    const families = [4, 6] as const;
    return {
      ipv4: endpoint.IPAddress || undefined,
      ipv6: endpoint.GlobalIPv6Address || undefined,
      publishAddress,
      routed: families.filter((family) => modes[family] === 'routed'),
      direct: families.filter((family) => modes[family] === 'routed' || trusted),
    };
  }
}

function wayOut(endpoints: Endpoints, attachment: NetworkAttachment): string {
  return endpoints.gatewayNetwork(attachment, 4) ?? endpoints.gatewayNetwork(attachment, 6) ?? 'bridge';
}

function unbound(exposed: Readonly<Record<string, unknown>> | undefined): Record<string, null> {
  return Object.fromEntries(Object.keys(exposed ?? {}).map((port) => [port, null]));
}

/** The rules' part of the ports: what the kernel can translate within one family. The rest is relayed. */
function publishedPorts(held: readonly HeldPort[], target: Target): PublishedPort[] {
  const opened = new Set<string>();
  return held.flatMap(({ protocol, hostAddress, hostPort, port }): PublishedPort[] => {
    const family = hostAddress.includes(':') ? 6 : 4;
    const address = family === 6 ? target.ipv6 : target.ipv4;
    if (address === undefined) return [];
    const everywhere = hostAddress === '0.0.0.0' || hostAddress === '::';
    const ports: PublishedPort[] = [];
    if (hostPort !== 0) {
      ports.push({ hostAddress: everywhere ? undefined : hostAddress, protocol, hostPort, address, port });
    }
    // two ports of the host may lead to the same of the container
    const key = `${address} ${protocol} ${port}`;
    if (target.direct.includes(family) && !opened.has(key)) {
      opened.add(key);
      ports.push({ hostAddress: undefined, protocol, hostPort: undefined, address, port });
    }
    return ports;
  });
}

function heldPorts(run: NetworkRun): HeldPort[] {
  return Object.entries(run.attachment.ports).flatMap(([key, bindings]) => {
    const { port, protocol } = parsePort(key);
    return (bindings ?? []).map(({ HostIp, HostPort }) => ({
      protocol,
      port,
      hostAddress: HostIp,
      hostPort: Number(HostPort),
    }));
  });
}

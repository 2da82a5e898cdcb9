import { closeSync, readFileSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import { boundSocket } from '../linux/bound-socket.ts';
import type { HostSockets } from '../linux/host-sockets.ts';
import { SystemCallError } from '../linux/libc.ts';
import { addressBytes, formatAddress, parseAddress } from './address.ts';
import { portOwner } from './port-owner.ts';
import { relayConnections, relayDatagrams } from './port-relay.ts';
import type { PortRequest, Protocol } from './ports.ts';

/** One port of the host that a container has: on one address of one family. */
export interface HeldPort {
  readonly protocol: Protocol;
  readonly hostAddress: string;
  /** 0 when the network is routed: the container's own port is open, none of the host. */
  readonly hostPort: number;
  /** The container's. */
  readonly port: number;
}

interface Holding extends HeldPort {
  readonly owner: string;
  close(): void;
}

export interface PortTarget {
  /** The container's addresses; at least one. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** Families in which others reach it by its own address: no port of the host is taken. */
  readonly routed: readonly (4 | 6)[];
}

/**
 * Which ports of the host are whose. A port is held by a socket bound to it, so that no other process takes it meanwhile,
 * and one that is taken is found out at once.
 */
export class PortAllocator {
  readonly #holdings = new Map<string, Holding[]>();
  readonly #relayed: boolean;
  readonly #host: HostSockets | undefined;
  readonly #isSealed: (client: string) => boolean;
  readonly #nameOf: (containerId: string) => string;
  readonly #most: number;

  /** `relayed`: clients come to the sockets and are passed on, which is not to be had for sctp. */
  constructor(options: {
    readonly relayed: boolean;
    /** Makes the host's sockets, when the engine is not in the host's network; then everything from outside is passed on. */
    readonly host?: HostSockets | undefined;
    /** Whether a client, by its address, is on a network that has no way out: nothing is passed on for it. */
    readonly isSealed: (client: string) => boolean;
    readonly nameOf: (containerId: string) => string;
    /** Each is a descriptor; undefined: half of what this process may have, so that clients are answered all the same. */
    readonly most?: number;
  }) {
    this.#relayed = options.relayed;
    this.#host = options.host;
    this.#isSealed = options.isSealed;
    this.#nameOf = options.nameOf;
    this.#most = options.most ?? Math.floor(openFilesLimit() / 2);
  }

  /**
   * Takes ports for a container, all of them or none. Throws `conflict` in Docker's words (`Bind for 0.0.0.0:80 failed: port is
   * already allocated`) with the owner, `invalid-argument` for an address that is not the host's.
   */
  allocate(owner: string, requests: readonly PortRequest[], target: PortTarget): HeldPort[] {
    const before = this.#holdings.get(owner)?.length ?? 0;
    const held = this.#holdings.values().reduce((total, holdings) => total + holdings.length, 0);
    const more = requests.reduce((total, { hostAddress }) => total + (hostAddress === '' ? 2 : 1), 0);
    if (held + more > this.#most) {
      const words = `${held} ports are published, and ${more} more would leave the engine too few descriptors: raise its limit of open files (${2 * this.#most})`;
      throw new EngineError('conflict', words);
    }
    try {
      return requests.flatMap((request) => this.#allocateOne(owner, request, target));
    } catch (error) {
      const holdings = this.#holdings.get(owner) ?? [];
      for (const holding of holdings.splice(before)) holding.close();
      if (before === 0) this.#holdings.delete(owner);
      throw error;
    }
  }

  #allocateOne(owner: string, request: PortRequest, target: PortTarget): HeldPort[] {
    if (request.protocol === 'sctp' && (this.#relayed || this.#host)) {
      const why = this.#host ? 'by an engine without root' : "while the host's firewall decides";
      throw new EngineError('unimplemented', `sctp cannot be published ${why}`);
    }
    const wanted = this.#addresses(request.hostAddress, target);
    const addresses = wanted.filter((address) => !isRouted(address, target));
    const direct = wanted
      .filter((address) => isRouted(address, target))
      .map((address) => heldWithout(owner, request, address.includes(':') ? '::' : '0.0.0.0'));
    if (addresses.length === 0) {
      this.#holdings.set(owner, [...(this.#holdings.get(owner) ?? []), ...direct]);
      return direct;
    }
    let refused: EngineError | undefined;
    for (const hostPort of candidates(request)) {
      const opened: Holding[] = [];
      try {
        for (const hostAddress of addresses) {
          const held: HeldPort = { protocol: request.protocol, hostAddress, hostPort, port: request.port };
          // an optional `::` beside 0.0.0.0: hosts without IPv6 do not have it
          const holding = this.#open(owner, held, target, addresses.length > 1 && hostAddress === '::');
          if (holding) opened.push(holding);
        }
        opened.push(...direct);
        this.#holdings.set(owner, [...(this.#holdings.get(owner) ?? []), ...opened]);
        return opened;
      } catch (error) {
        for (const holding of opened) holding.close();
        if (!(error instanceof EngineError) || error.code !== 'conflict') throw error;
        refused ??= error;
      }
    }
    throw refused ?? new EngineError('conflict', 'no free port is left in the range of ephemeral ports');
  }

  /** Takes back, after an engine's restart, what a running container has. A port that another process took meanwhile is reported by name. */
  adopt(owner: string, ports: readonly HeldPort[], target: PortTarget): string[] {
    const lost: string[] = [];
    const holdings: Holding[] = [];
    for (const held of ports) {
      try {
        const holding = this.#open(owner, held, target, true);
        if (holding) holdings.push(holding);
      } catch (error) {
        lost.push((error as Error).message);
      }
    }
    this.#holdings.set(owner, [...(this.#holdings.get(owner) ?? []), ...holdings]);
    return lost;
  }

  /** Idempotent; the ports are free when it returns. All of a container's, or those that are named. */
  release(owner: string, ports?: readonly HeldPort[]): void {
    const kept: Holding[] = [];
    for (const holding of this.#holdings.get(owner) ?? []) {
      if (!ports || ports.some((port) => isSame(port, holding))) holding.close();
      else kept.push(holding);
    }
    if (kept.length > 0) this.#holdings.set(owner, kept);
    else this.#holdings.delete(owner);
  }

  close(): void {
    for (const owner of this.#holdings.keys()) this.release(owner);
  }

  #addresses(hostAddress: string, target: PortTarget): string[] {
    if (hostAddress === '') return target.ipv4 === undefined ? ['::'] : ['0.0.0.0', '::'];
    return [formatAddress(parseAddress(hostAddress.replace(/^\[(.*)\]$/, '$1')))];
  }

  #open(owner: string, held: HeldPort, target: PortTarget, optional: boolean): Holding | undefined {
    const { protocol, hostAddress, hostPort, port } = held;
    if (hostPort === 0) return { ...held, owner, close: () => undefined };
    let fd: number;
    try {
      fd = this.#bound(protocol, hostAddress, hostPort);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      // without the protocol's module no other process can have such a port either
      if (error.code === 'EPROTONOSUPPORT') return { ...held, owner, close: () => undefined };
      if (optional && (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT')) return undefined;
      throw this.#refusal(error, held, target);
    }
    const v6 = hostAddress.includes(':');
    const host = (v6 ? target.ipv6 : target.ipv4) ?? target.ipv4 ?? target.ipv6!;
    if (protocol === 'tcp') {
      const server = relayConnections(fd, { host, port, isSealed: this.#isSealed });
      return { ...held, owner, close: () => void server.close() };
    }
    if (protocol === 'udp') {
      const server = relayDatagrams(fd, v6 ? 'udp6' : 'udp4', { host, port, isSealed: this.#isSealed });
      return { ...held, owner, close: () => void server.close() };
    }
    return { ...held, owner, close: () => closeSync(fd) };
  }

  #bound(protocol: Protocol, hostAddress: string, port: number): number {
    const where = { protocol, address: addressBytes(parseAddress(hostAddress)), port };
    return this.#host ? this.#host.bound(where) : boundSocket(where);
  }

  #refusal(error: SystemCallError, held: HeldPort, target: PortTarget): EngineError {
    const shown = `${held.hostAddress.includes(':') ? `[${held.hostAddress}]` : held.hostAddress}:${held.hostPort}`;
    if (error.code === 'EADDRINUSE') {
      const owner = this.#ownerOf(held);
      const free = this.#freeNear(held);
      const hints = [owner && `by ${owner}`, free !== undefined && `${free} is free`].filter(Boolean).join('; ');
      const words = `Bind for ${shown} failed: port is already allocated${hints === '' ? '' : ` (${hints})`}`;
      return new EngineError('conflict', words, { cause: error });
    }
    if (error.code === 'EACCES' && this.#host) {
      const first = this.#host.read('/proc/sys/net/ipv4/ip_unprivileged_port_start').trim();
      const words = `cannot expose privileged port ${held.hostPort}, you can add 'net.ipv4.ip_unprivileged_port_start=${held.hostPort}' to /etc/sysctl.conf (currently ${first}), or choose a larger port number (>= ${first}): listen ${shown}: bind: permission denied`;
      return new EngineError('forbidden', words, { cause: error });
    }
    const why = error.code === 'EADDRNOTAVAIL' ? 'cannot assign requested address' : error.message;
    const words = `failed to bind host port for ${shown}:${target.ipv4 ?? target.ipv6}:${held.port}/${held.protocol}: ${why}`;
    return new EngineError('internal', words, { cause: error });
  }

  #ownerOf(held: HeldPort): string | undefined {
    for (const holdings of this.#holdings.values()) {
      for (const other of holdings) {
        if (other.protocol === held.protocol && other.hostPort === held.hostPort) {
          return `container ${this.#nameOf(other.owner)}`;
        }
      }
    }
    // the other engine's or program's is in a network that this process does not see
    return this.#host ? undefined : portOwner(held.protocol, held.hostPort);
  }

  #freeNear(held: HeldPort): number | undefined {
    for (let port = held.hostPort + 1; port <= Math.min(65535, held.hostPort + 100); port++) {
      try {
        closeSync(this.#bound(held.protocol, held.hostAddress, port));
        return port;
      } catch {
        // taken as well
      }
    }
    return undefined;
  }
}

function isRouted(hostAddress: string, target: PortTarget): boolean {
  const v6 = hostAddress.includes(':');
  return (v6 ? target.ipv6 : target.ipv4) !== undefined && target.routed.includes(v6 ? 6 : 4);
}

function heldWithout(owner: string, { protocol, port }: PortRequest, hostAddress: string): Holding {
  return { owner, protocol, port, hostAddress, hostPort: 0, close: () => undefined };
}

function isSame(a: HeldPort, b: HeldPort): boolean {
  return a.protocol === b.protocol && a.hostPort === b.hostPort && a.hostAddress === b.hostAddress && a.port === b.port;
}

/** The ports to try, in order. Random ones come from the range that the kernel uses for its own, as in Docker. */
function* candidates(request: PortRequest): Generator<number> {
  if (request.hostPorts) {
    for (let port = request.hostPorts.first; port <= request.hostPorts.last; port++) yield port;
    return;
  }
  const [first, last] = ephemeralRange();
  const size = last - first + 1;
  const start = Math.floor(Math.random() * size);
  for (let step = 0; step < size; step++) yield first + ((start + step) % size);
}

function ephemeralRange(): [number, number] {
  try {
    const [first, last] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1').trim().split(/\s+/);
    return [Number(first), Number(last)];
  } catch {
    return [32768, 60999];
  }
}

function openFilesLimit(): number {
  const limit = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return limit === undefined ? Infinity : Number(limit);
}

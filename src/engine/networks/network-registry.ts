import { EngineError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { now } from '../../base/time.ts';
import { RouteNetlink } from '../../linux/netlink-route.ts';
import {
  type Address,
  addressBytes,
  addressOfBytes,
  firstAddress,
  formatAddress,
  formatSubnet,
  overlaps,
  parseAddress,
  parseCidr,
  type Subnet,
  subnetOf,
} from '../../network/address.ts';
import { enableForwarding, ensureBridge } from '../../network/bridge.ts';
import type { FirewallBridge } from '../../network/firewall.ts';
import type { FirewallTable } from '../../network/firewall-table.ts';
import { AddressPool, chooseSubnet, DEFAULT_POOLS, type SubnetPool } from '../../network/ipam.ts';
import { randomMac } from '../../network/mac.ts';
import type { NetworkRecord, NetworkStore } from '../../state/networks.ts';
import { bridgeMtu, isOn, OPTION } from './network-options.ts';

export interface RegistryOptions {
  /** Interface of the default network; nobody else's. */
  readonly bridge: string;
  /** The host's address on it with its prefix (`--bip`); otherwise the first free pool is taken. */
  readonly bridgeAddress: string | undefined;
  readonly pools?: readonly SubnetPool[] | undefined;
  readonly mtu: number;
  /** Containers on the default network may talk to each other. */
  readonly communication: boolean;
  /** Says, in its own time, when the host's firewall stands in a bridge's way. */
  readonly lookAtHost: (bridge: string, ownTable: string) => void;
  /** A sentence that the operator should read. */
  readonly notify: (sentence: string) => void;
}

/** The networks of this engine: found by name, with their addresses, made on the host when first used. */
export class NetworkRegistry {
  readonly store: NetworkStore;
  readonly #firewall: FirewallTable;
  readonly #options: RegistryOptions;
  readonly #links = new RouteNetlink();
  readonly #pools = new Map<string, AddressPool[]>();
  /** Networks that a running container is on, by how many. */
  readonly #users = new Map<string, number>();
  readonly #forwarding = new Set<4 | 6>();
  /** Bridges for which the host's own firewall has been looked at. */
  readonly #looked = new Set<string>();

  constructor(store: NetworkStore, firewall: FirewallTable, options: RegistryOptions) {
    this.store = store;
    this.#firewall = firewall;
    this.#options = options;
    this.#addDefaults();
  }

  get links(): RouteNetlink {
    return this.#links;
  }

  #addDefaults(): void {
    const known = this.store.byName('bridge');
    if (!known) this.store.insert(this.#defaultBridge());
    else if (known.interface !== this.#options.bridge || this.#addressChanged(known)) this.#followConfiguration(known);
    for (const [name, driver] of [
      ['host', 'host'],
      ['none', 'null'],
    ] as const) {
      if (this.store.byName(name)) continue;
      this.store.insert({ ...BARE, id: newId(), name, createdAt: now(), driver, options: {}, interface: '', mac: '' });
    }
  }

  #addressChanged(known: NetworkRecord): boolean {
    const { bridgeAddress } = this.#options;
    return bridgeAddress !== undefined && known.ipam[0]?.Gateway !== ipamOfGateway(bridgeAddress).Gateway;
  }

  /** The engine was told of another bridge or address than last time. */
  #followConfiguration(known: NetworkRecord): void {
    const { id, createdAt, mac } = known;
    const { bridgeAddress } = this.#options;
    const fresh = this.#defaultBridge();
    this.store.update({ ...fresh, id, createdAt, mac, ipam: bridgeAddress === undefined ? known.ipam : fresh.ipam });
  }

  #defaultBridge(): NetworkRecord {
    const { bridge, bridgeAddress, mtu, communication } = this.#options;
    return {
      ...BARE,
      id: newId(),
      name: 'bridge',
      createdAt: now(),
      driver: 'bridge',
      ipam: [bridgeAddress === undefined ? this.freeSubnet(4) : ipamOfGateway(bridgeAddress)],
      options: {
        [OPTION.defaultBridge]: 'true',
        [OPTION.communication]: String(communication),
        [OPTION.masquerade]: 'true',
        [OPTION.hostBinding]: '0.0.0.0',
        [OPTION.name]: bridge,
        [OPTION.mtu]: String(mtu),
      },
      interface: bridge,
      mac: randomMac(),
    };
  }

  /** By name, id or prefix of an id. */
  find(nameOrId: string): NetworkRecord | undefined {
    const exact = this.store.byName(nameOrId) ?? this.store.get(nameOrId);
    if (exact || nameOrId === '') return exact;
    const found = this.store.byPrefix(nameOrId);
    if (found.length > 1) {
      throw new EngineError(
        'invalid-argument',
        `network ${nameOrId} is ambiguous (${found.length} matches found based on ID prefix)`,
      );
    }
    return found[0];
  }

  /** Throws `not-found` in Docker's words. */
  resolve(nameOrId: string): NetworkRecord {
    const record = this.find(nameOrId);
    if (!record) throw new EngineError('not-found', `network ${nameOrId} not found`);
    return record;
  }

  /** A subnet that no network of ours and no route of the host overlaps, with its gateway. Throws `invalid-argument` when there is none. */
  freeSubnet(family: 4 | 6, except?: string): { Subnet: string; Gateway: string } {
    const pools = this.#options.pools ?? DEFAULT_POOLS;
    const subnet = chooseSubnet(pools, family, [...this.#ownSubnets(except), ...this.hostSubnets()]);
    return { Subnet: formatSubnet(subnet), Gateway: formatAddress(hostAddress(subnet)) };
  }

  #ownSubnets(except?: string): Subnet[] {
    return this.store
      .list()
      .filter((record) => record.id !== except)
      .flatMap((record) => record.ipam.map((config) => parseCidr(config.Subnet!).subnet));
  }

  /** Destinations the host routes to, default routes aside. */
  hostSubnets(): Subnet[] {
    return this.#links.routes().flatMap(({ destination }) => {
      if (!destination || destination.prefix === 0) return [];
      return [subnetOf(addressOfBytes(destination.bytes), destination.prefix)];
    });
  }

  /** Throws `invalid-argument` when a network of ours overlaps. */
  checkSubnet(subnet: Subnet): void {
    if (this.#ownSubnets().some((other) => overlaps(other, subnet))) {
      throw new EngineError('forbidden', 'invalid pool request: Pool overlaps with other one on this address space');
    }
  }

  /** The network's addresses, by family. */
  pools(record: NetworkRecord): AddressPool[] {
    let pools = this.#pools.get(record.id);
    if (!pools) {
      pools = record.ipam.map(poolOf);
      this.#pools.set(record.id, pools);
    }
    return pools;
  }

  /**
   * Makes the network's bridge and rules, or sees that they are there, and gives the bridge's index. A default network whose
   * subnet the host has a route to by now, and that nobody uses, moves to another.
   */
  async ensure(id: string): Promise<number> {
    let record = this.store.get(id);
    if (!record) throw new EngineError('not-found', `network ${id} not found`);
    if (record.driver !== 'bridge') return 0;
    if (!this.#links.link(record.interface)?.up) record = this.#avoidRoutes(record);
    const index = ensureBridge(this.#links, {
      name: record.interface,
      mac: record.mac,
      mtu: bridgeMtu(record, this.#options.mtu),
      addresses: gatewayAddresses(record),
    });
    for (const family of [4, 6] as const) if (family === 4 ? record.ipv4 : record.ipv6) this.#forward(family);
    await this.#firewall.setBridge(firewallBridge(record));
    if (!record.internal && !this.#looked.has(record.interface)) {
      this.#looked.add(record.interface);
      this.#options.lookAtHost(record.interface, this.#firewall.name);
    }
    return index;
  }

  #forward(family: 4 | 6): void {
    if (this.#forwarding.has(family)) return;
    this.#forwarding.add(family);
    if (!enableForwarding(family)) return;
    this.#options.notify(
      `IPv${family} forwarding was off on this host and is on now: containers reach other hosts by it`,
    );
  }

  #avoidRoutes(record: NetworkRecord): NetworkRecord {
    const subnets = record.ipam.map((config) => parseCidr(config.Subnet!).subnet);
    const routes = this.hostSubnets();
    const clash = subnets.find((subnet) => routes.some((route) => overlaps(route, subnet)));
    if (!clash) return record;
    if (record.name !== 'bridge' || this.#options.bridgeAddress !== undefined || this.#users.has(record.id)) {
      this.#options.notify(
        `network ${record.name}: the host has a route into ${formatSubnet(clash)}, containers may not reach what is behind it`,
      );
      return record;
    }
    const moved = { ...record, ipam: [this.freeSubnet(4, record.id)] };
    this.#options.notify(
      `network bridge moves to ${moved.ipam[0]!.Subnet}: the host has a route into ${formatSubnet(clash)}`,
    );
    this.store.update(moved);
    this.#pools.delete(record.id);
    return moved;
  }

  /** Throws `conflict` when a link of the host has the name that a new network's bridge is to have. */
  checkHost(record: NetworkRecord): void {
    if (record.driver === 'bridge' && this.store.list().some((other) => other.interface === record.interface)) {
      throw new EngineError('conflict', `the bridge ${record.interface} belongs to another network`);
    }
  }

  /** What a person should know of a subnet of their own choice; empty when there is nothing. */
  routeWarning(record: NetworkRecord): string {
    const routes = this.hostSubnets();
    const clash = record.ipam.find(({ Subnet }) => routes.some((route) => overlaps(route, parseCidr(Subnet!).subnet)));
    return clash
      ? `the host has a route into ${clash.Subnet}: containers of this network may hide what is behind it`
      : '';
  }

  /** Bridges that an earlier engine made and that are still there get their rules again, with the next `rebuild`. */
  adoptBridges(): void {
    for (const record of this.store.list()) {
      if (record.driver !== 'bridge' || this.#links.link(record.interface)?.kind !== 'bridge') continue;
      this.#firewall.adoptBridge(firewallBridge(record));
    }
  }

  /** A container's run begins (1) or ends (-1) on the network. */
  count(id: string, change: 1 | -1): void {
    const users = (this.#users.get(id) ?? 0) + change;
    if (users > 0) this.#users.set(id, users);
    else this.#users.delete(id);
  }

  inUse(id: string): boolean {
    return this.#users.has(id);
  }

  /** Takes the network's traces off the host. Idempotent. */
  async withdraw(record: NetworkRecord): Promise<void> {
    this.#pools.delete(record.id);
    if (record.driver !== 'bridge') return;
    await this.#firewall.removeBridge(record.interface);
    if (this.#links.link(record.interface)?.kind === 'bridge') this.#links.removeLink(record.interface);
  }

  /** All of them; what was never on the host is passed over. */
  async withdrawAll(): Promise<void> {
    for (const record of this.store.list()) await this.withdraw(record);
  }

  close(): void {
    this.#links.close();
  }
}

const BARE = {
  ipv4: true,
  ipv6: false,
  internal: false,
  attachable: false,
  ipam: [],
  ipamOptions: null,
  ownSubnet: false,
  labels: {},
} as const;

function ipamOfGateway(cidr: string): { Subnet: string; Gateway: string } {
  const { address, subnet } = parseCidr(cidr);
  return { Subnet: formatSubnet(subnet), Gateway: formatAddress(address) };
}

/** The first of the subnet that can be a host's. */
export function hostAddress(subnet: Subnet): Address {
  const pointToPoint = subnet.prefix >= (subnet.family === 4 ? 31 : 127);
  const { family, value } = firstAddress(subnet);
  return { family, value: pointToPoint ? value : value + 1n };
}

function poolOf(config: NetworkRecord['ipam'][number]): AddressPool {
  const auxiliary = Object.values(config.AuxiliaryAddresses ?? {});
  const reserved = [...(config.Gateway ? [config.Gateway] : []), ...auxiliary].map(parseAddress);
  const range = config.IPRange ? parseCidr(config.IPRange).subnet : undefined;
  return new AddressPool({ subnet: parseCidr(config.Subnet!).subnet, range, reserved });
}

function gatewayAddresses(record: NetworkRecord): { bytes: Uint8Array; prefix: number }[] {
  if (isOn(record, OPTION.inhibitIpv4, false)) return [];
  return record.ipam.flatMap((config) =>
    config.Gateway
      ? [{ bytes: addressBytes(parseAddress(config.Gateway)), prefix: parseCidr(config.Subnet!).subnet.prefix }]
      : [],
  );
}

function firewallBridge(record: NetworkRecord): FirewallBridge {
  return {
    name: record.interface,
    subnets: record.ipam.map((config) => formatSubnet(parseCidr(config.Subnet!).subnet)),
    masquerade: isOn(record, OPTION.masquerade, true),
    internal: record.internal,
    communication: isOn(record, OPTION.communication, true),
  };
}

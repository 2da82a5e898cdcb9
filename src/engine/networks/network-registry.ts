import { EngineError } from '../../base/errors.ts';
import { findLink, removeLinkAside, RouteNetlink } from '../../linux/netlink-route.ts';
import {
  addressBytes,
  contains,
  formatSubnet,
  parseAddress,
  parseCidr,
  tryParseAddress,
} from '../../network/address.ts';
import { enableForwarding, ensureBridge } from '../../network/bridge.ts';
import type { FirewallBridge } from '../../network/firewall.ts';
import type { FirewallTable } from '../../network/firewall-table.ts';
import { ownerAlias } from '../../network/orphans.ts';
import type { SubnetPool } from '../../network/ipam.ts';
import type { NetworkRecord, NetworkStore } from '../../state/networks.ts';
import { addDefaultNetworks, type DefaultBridgeOptions } from './default-networks.ts';
import { bridgeMtu, gatewayMode, isBeside, isOn, OPTION, trustedInterfaces } from './network-options.ts';
import { ParentLinks } from './parent-links.ts';
import { Subnets } from './subnets.ts';

export interface RegistryOptions extends DefaultBridgeOptions {
  /** Of this engine: written on its bridges. */
  readonly dataRoot: string;
  /** Other hosts reach published ports by the containers' own addresses, too. */
  readonly trustAll: boolean;
  /** What new networks take their subnets from. */
  readonly pools: readonly SubnetPool[];
  /** Says, in its own time, when the host's firewall stands in a bridge's way. */
  readonly lookAtHost: (bridge: string, ownTable: string) => void;
  /** A sentence that the operator should read. */
  readonly notify: (sentence: string) => void;
}

/** The networks of this engine: found by name, made on the host when first used. */
export class NetworkRegistry {
  readonly store: NetworkStore;
  readonly subnets: Subnets;
  readonly links = new RouteNetlink();
  readonly #parents: ParentLinks;
  readonly #firewall: FirewallTable;
  readonly #options: RegistryOptions;
  /** Networks that a running container is on, or comes to, by how many. */
  readonly #users = new Map<string, number>();
  /** Those that are being looked at, and made. */
  readonly #ensuring = new Map<string, Promise<number>>();
  readonly #forwarding = new Set<4 | 6>();
  /** Networks whose traces are being taken off the host. */
  readonly #leaving = new Set<string>();
  /** Bridges for which the host's own firewall has been looked at. */
  readonly #looked = new Set<string>();

  constructor(store: NetworkStore, firewall: FirewallTable, options: RegistryOptions) {
    this.store = store;
    this.#firewall = firewall;
    this.#options = options;
    this.#parents = new ParentLinks(this.links, ownerAlias(options.dataRoot));
    this.subnets = new Subnets(store, this.links, options.pools);
    addDefaultNetworks(store, this.subnets, options);
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

  /**
   * Makes the network's bridge and rules, or sees that they are there, and gives the bridge's index. A default network whose
   * subnet the host has a route to by now, and that nobody uses, moves to another.
   */
  async ensure(id: string): Promise<number> {
    // of many that come at once one looks, and makes
    let making = this.#ensuring.get(id);
    if (!making) {
      making = this.#ensure(id).finally(() => this.#ensuring.delete(id));
      this.#ensuring.set(id, making);
    }
    return making;
  }

  async #ensure(id: string): Promise<number> {
    let record = this.store.get(id);
    if (!record || this.#leaving.has(id)) throw new EngineError('not-found', `network ${id} not found`);
    if (isBeside(record)) return this.#parents.ensure(record, this.store.list());
    const present = await findLink(record.interface);
    if (!present?.up) record = this.#avoidRoutes(record);
    const bridge = {
      name: record.interface,
      mac: record.mac,
      alias: ownerAlias(this.#options.dataRoot),
      mtu: bridgeMtu(record, this.#options.mtu),
      addresses: gatewayAddresses(record),
    };
    const index = await ensureBridge(bridge, present);
    for (const family of [4, 6] as const) if (family === 4 ? record.ipv4 : record.ipv6) this.#forward(family);
    await this.#firewall.setBridge(this.#firewallBridge(record));
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
    const { notify, bridgeAddress } = this.#options;
    const clash = this.subnets.routedSubnet(record);
    if (clash === undefined) return record;
    if (record.name !== 'bridge' || bridgeAddress !== undefined || this.#runsOn(record.id)) {
      notify(`network ${record.name}: the host has a route into ${clash}, containers may not reach what is behind it`);
      return record;
    }
    const others = record.ipam.filter(({ Subnet }) => Subnet!.includes(':'));
    const moved = { ...record, ipam: [this.subnets.free(4, record.id), ...others] };
    notify(`network bridge moves to ${moved.ipam[0]!.Subnet}: the host has a route into ${clash}`);
    this.store.update(moved);
    this.subnets.forget(record.id);
    return moved;
  }

  /** Whether anybody but the one that is coming is on it. */
  #runsOn(id: string): boolean {
    return (this.#users.get(id) ?? 0) > 1;
  }

  /** Throws `forbidden` when another network has the interface. */
  checkInterface(record: NetworkRecord): void {
    if (record.driver !== 'bridge') return;
    const other = this.store.list().find((one) => one.driver === 'bridge' && one.interface === record.interface);
    if (!other) return;
    const named = ({ id, interface: bridge }: NetworkRecord): string => `${id} (${bridge})`;
    throw new EngineError(
      'forbidden',
      `cannot create network ${named(record)}: conflicts with network ${named(other)}: networks have same bridge name`,
    );
  }

  /** Bridges that an earlier engine made and that are still there get their rules again, with the next `rebuild`. */
  adoptBridges(): void {
    for (const record of this.store.list()) {
      if (record.driver !== 'bridge' || this.links.link(record.interface)?.kind !== 'bridge') continue;
      this.#firewall.adoptBridge(this.#firewallBridge(record));
    }
  }

  #firewallBridge(record: NetworkRecord): FirewallBridge {
    const bridge = firewallBridge(record);
    return this.#options.trustAll ? { ...bridge, trusted: 'any' } : bridge;
  }

  /** Whether a client's address is one of an internal network; a link-local one names its interface. */
  isInternal(client: string): boolean {
    const [text = '', zone] = client.split('%');
    const address = tryParseAddress(text);
    return this.store
      .list()
      .filter((record) => record.internal)
      .some(({ ipam, interface: name }) =>
        zone === undefined
          ? address && ipam.some((config) => contains(parseCidr(config.Subnet!).subnet, address))
          : zone === name,
      );
  }

  /** A container comes to the network (1) or leaves it (-1). */
  count(id: string, change: 1 | -1): void {
    const users = (this.#users.get(id) ?? 0) + change;
    if (users > 0) this.#users.set(id, users);
    else this.#users.delete(id);
  }

  inUse(id: string): boolean {
    return this.#users.has(id);
  }

  /** Takes the network's traces off the host; a bridge that somebody else made stays. Idempotent. */
  async withdraw(record: NetworkRecord, all = this.store.list()): Promise<void> {
    this.subnets.forget(record.id);
    if (isBeside(record)) this.#parents.withdraw(record, all);
    if (record.driver !== 'bridge') return;
    this.#leaving.add(record.id);
    try {
      const link = await findLink(record.interface);
      const own = link?.kind === 'bridge' && link.mac === record.mac;
      // the kernel takes its time for both, and neither needs the other
      const ended = await Promise.allSettled([
        this.#firewall.removeBridge(record.interface),
        own ? removeLinkAside(link) : undefined,
      ]);
      const failure = ended.find((result) => result.status === 'rejected');
      if (failure) throw failure.reason;
    } finally {
      this.#leaving.delete(record.id);
    }
  }

  /** All of them, their rules in one transaction; what was never on the host is passed over. */
  async withdrawAll(): Promise<void> {
    await Promise.all(this.store.list().map((record) => this.withdraw(record, [])));
  }

  close(): void {
    this.links.close();
  }
}

function gatewayAddresses(record: NetworkRecord): { bytes: Uint8Array; prefix: number }[] {
  return record.ipam.flatMap((config) => {
    if (!config.Gateway) return [];
    const { subnet } = parseCidr(config.Subnet!);
    if (subnet.family === 4 && isOn(record, OPTION.inhibitIpv4, false)) return [];
    if (gatewayMode(record, subnet.family) === 'isolated') return [];
    return [{ bytes: addressBytes(parseAddress(config.Gateway)), prefix: subnet.prefix }];
  });
}

function firewallBridge(record: NetworkRecord): FirewallBridge {
  return {
    name: record.interface,
    subnets: record.ipam.map((config) => formatSubnet(parseCidr(config.Subnet!).subnet)),
    masquerade: isOn(record, OPTION.masquerade, true),
    internal: record.internal,
    communication: isOn(record, OPTION.communication, true),
    modes: { 4: gatewayMode(record, 4), 6: gatewayMode(record, 6) },
    trusted: trustedInterfaces(record),
  };
}

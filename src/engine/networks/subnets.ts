import { EngineError } from '../../base/errors.ts';
import type { RouteNetlink } from '../../linux/netlink-route.ts';
import {
  type Address,
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
import { AddressPool, chooseSubnet, DEFAULT_POOLS, type SubnetPool } from '../../network/ipam.ts';
import type { NetworkRecord, NetworkStore } from '../../state/networks.ts';

/** Which subnets networks have, which are free, and the addresses in each. */
export class Subnets {
  readonly #store: NetworkStore;
  readonly #links: RouteNetlink;
  readonly #ranges: readonly SubnetPool[];
  readonly #pools = new Map<string, AddressPool[]>();

  /** `ranges` are what new networks take their subnets from. */
  constructor(store: NetworkStore, links: RouteNetlink, ranges: readonly SubnetPool[]) {
    this.#store = store;
    this.#links = links;
    this.#ranges = ranges;
  }

  /** A subnet that no network of ours (but `except`) and no route of the host overlaps, with its gateway. Throws `invalid-argument` when there is none. */
  free(family: 4 | 6, except?: string): { Subnet: string; Gateway: string } {
    const subnet = chooseSubnet(this.#ranges, family, [...this.#own(except), ...this.#routes()]);
    return { Subnet: formatSubnet(subnet), Gateway: formatAddress(hostAddress(subnet)) };
  }

  /** Throws `forbidden`, as Docker does, when a network of ours overlaps. */
  check(subnet: Subnet): void {
    if (this.isTaken(subnet)) {
      throw new EngineError('forbidden', 'invalid pool request: Pool overlaps with other one on this address space');
    }
  }

  /** Whether a network of ours overlaps. */
  isTaken(subnet: Subnet): boolean {
    return this.#own().some((other) => overlaps(other, subnet));
  }

  /** The network's subnet that the host has a route into; undefined when there is none. */
  routedSubnet(record: NetworkRecord): string | undefined {
    const routes = this.#routes();
    const clash = record.ipam.find(({ Subnet }) => routes.some((route) => overlaps(route, parseCidr(Subnet!).subnet)));
    return clash?.Subnet;
  }

  #own(except?: string): Subnet[] {
    return this.#store
      .list()
      .filter((record) => record.id !== except && !record.configOnly)
      .flatMap((record) => record.ipam.map((config) => parseCidr(config.Subnet!).subnet));
  }

  /** Destinations the host routes to, default routes aside. */
  #routes(): Subnet[] {
    return this.#links.routes().flatMap(({ destination }) => {
      if (!destination || destination.prefix === 0) return [];
      return [subnetOf(addressOfBytes(destination.bytes), destination.prefix)];
    });
  }

  /** The network's addresses, in the order of its subnets. */
  pools(record: NetworkRecord): AddressPool[] {
    let pools = this.#pools.get(record.id);
    if (!pools) {
      pools = record.ipam.map(poolOf);
      this.#pools.set(record.id, pools);
    }
    return pools;
  }

  /** The network is gone, or has other subnets now. */
  forget(networkId: string): void {
    this.#pools.delete(networkId);
  }
}

/** Throws `invalid-argument` in Docker's words. */
export function subnetPools(pools: readonly { readonly base: string; readonly size: number }[]): readonly SubnetPool[] {
  if (pools.length === 0) return DEFAULT_POOLS;
  return pools.map(({ base, size }, index) => {
    const { subnet } = parseCidr(base);
    if (subnet.prefix <= size && size <= (subnet.family === 4 ? 32 : 128)) return { base: subnet, size };
    const words =
      size < subnet.prefix
        ? `has a smaller prefix (/${subnet.prefix}) than the target size of that pool (/${size})`
        : `cannot be split into subnets of that size (/${size})`;
    throw new EngineError('invalid-argument', `network at index ${index} (${base}) ${words}`);
  });
}

/** `--bip`: the host's address with its prefix. */
export function ipamOfGateway(cidr: string): { Subnet: string; Gateway: string } {
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

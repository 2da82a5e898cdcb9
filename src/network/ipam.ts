import { EngineError } from '../base/errors.ts';
import {
  type Address,
  contains,
  firstAddress,
  formatAddress,
  lastAddress,
  overlaps,
  parseCidr,
  type Subnet,
} from './address.ts';

/** A pool of which networks get subnets with a prefix of `size` bits. */
export interface SubnetPool {
  readonly base: Subnet;
  readonly size: number;
}

/** Docker's pools: sixteen-bit networks from 172.17 on, then twenty-bit ones of 192.168. */
export const DEFAULT_POOLS: readonly SubnetPool[] = [
  ...Array.from({ length: 15 }, (_, at) => ({ base: parseCidr(`172.${17 + at}.0.0/16`).subnet, size: 16 })),
  { base: parseCidr('192.168.0.0/16').subnet, size: 20 },
];

/**
 * The first subnet of the pools that overlaps nothing of `taken` (other networks, and every route of the host: VPNs are
 * routes). Throws `invalid-argument` in Docker's words when there is none.
 */
export function chooseSubnet(pools: readonly SubnetPool[], family: 4 | 6, taken: readonly Subnet[]): Subnet {
  for (const pool of pools) {
    if (pool.base.family !== family) continue;
    const obstacles = taken.filter((subnet) => overlaps(pool.base, subnet));
    const step = 1n << BigInt((family === 6 ? 128 : 32) - pool.size);
    const end = lastAddress(pool.base).value;
    for (let base = pool.base.base; base <= end;) {
      const candidate: Subnet = { family, base, prefix: pool.size };
      const obstacle = obstacles.find((subnet) => overlaps(candidate, subnet));
      if (!obstacle) return candidate;
      // past the whole obstacle in one step: an IPv6 pool has more subnets than can be tried one by one
      const past = lastAddress(obstacle).value + 1n;
      base = past > base + step ? pool.base.base + ((past - pool.base.base + step - 1n) / step) * step : base + step;
    }
  }
  throw new EngineError(
    'invalid-argument',
    'all predefined address pools have been fully subnetted: remove networks that are not used (network prune), ' +
      'name a subnet (--subnet), or give the engine more pools (default-address-pools); routes of the host are avoided too',
  );
}

/** A freed address rests so long (milliseconds) before it is given out again: its old interface may still answer for it. */
const REST = 1000;

/** The addresses of one subnet of a network. In memory; filled again from the containers when the engine starts. */
export class AddressPool {
  readonly subnet: Subnet;
  readonly #range: Subnet;
  readonly #taken = new Set<bigint>();
  readonly #resting = new Map<bigint, number>();
  readonly #clock: () => number;

  /** `reserved` (gateway, auxiliary addresses) are never given out. The first and, in IPv4, the last address neither. */
  constructor(options: {
    readonly subnet: Subnet;
    readonly range?: Subnet | undefined;
    readonly reserved: readonly Address[];
    readonly clock?: () => number;
  }) {
    this.subnet = options.subnet;
    this.#range = options.range ?? options.subnet;
    this.#clock = options.clock ?? (() => performance.now());
    for (const address of options.reserved) this.#taken.add(address.value);
    if (!this.#pointToPoint) {
      this.#taken.add(firstAddress(options.subnet).value);
      if (options.subnet.family === 4) this.#taken.add(lastAddress(options.subnet).value);
    }
  }

  /** RFC 3021, RFC 6164: both addresses of a /31 or /127 are hosts; so is the one of a /32 or /128. */
  get #pointToPoint(): boolean {
    return this.subnet.prefix >= (this.subnet.family === 4 ? 31 : 127);
  }

  /** The lowest that is free; one that was freed just now only when nothing else is left. Throws `conflict` when there is none. */
  allocate(network: string): Address {
    const now = this.#clock();
    let rested: bigint | undefined;
    const end = lastAddress(this.#range).value;
    for (let value = this.#range.base; value <= end; value++) {
      if (this.#taken.has(value)) continue;
      const freed = this.#resting.get(value);
      if (freed !== undefined && now - freed < REST) {
        rested ??= value;
        continue;
      }
      return this.#take(value);
    }
    if (rested !== undefined) return this.#take(rested);
    throw new EngineError(
      'conflict',
      `no available IPv${this.subnet.family} addresses on this network's address pools: ${network}`,
    );
  }

  /** Takes the address that the same container had before, when it is still free: it need not rest for itself. */
  retake(address: Address): boolean {
    if (!contains(this.subnet, address) || this.#taken.has(address.value)) return false;
    this.#take(address.value);
    return true;
  }

  /** Takes this one. Throws `conflict` (`Address already in use`), `invalid-argument` outside of the subnet. */
  claim(address: Address): void {
    if (!contains(this.subnet, address)) {
      throw new EngineError(
        'invalid-argument',
        `no configured subnet or ip-range contain the IP address ${formatAddress(address)}`,
      );
    }
    if (this.#taken.has(address.value)) throw new EngineError('conflict', 'Address already in use');
    this.#take(address.value);
  }

  #take(value: bigint): Address {
    this.#taken.add(value);
    this.#resting.delete(value);
    return { family: this.subnet.family, value };
  }

  /** Idempotent. */
  release(address: Address): void {
    if (!this.#taken.delete(address.value)) return;
    const now = this.#clock();
    for (const [value, freed] of this.#resting) {
      if (now - freed < REST) break;
      this.#resting.delete(value);
    }
    this.#resting.set(address.value, now);
  }
}

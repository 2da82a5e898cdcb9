import { addressBytes, formatAddress, parseAddress } from '../address.ts';

/** A container's names on one network. */
export interface NamedEndpoint {
  readonly networkId: string;
  readonly network: string;
  readonly containerId: string;
  /** The first is the one that reverse lookups give. */
  readonly names: readonly string[];
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

/** An endpoint with its addresses as answers carry them. */
export interface KnownEndpoint extends NamedEndpoint {
  readonly bytes4: Uint8Array | undefined;
  readonly bytes6: Uint8Array | undefined;
}

/** Who is called what, on each network. Names are looked up without regard to case. */
export class NameTable {
  readonly #byName = new Map<string, KnownEndpoint[]>();
  readonly #byAddress = new Map<string, NamedEndpoint>();
  #turn = 0;
  readonly #byContainer = new Map<string, KnownEndpoint[]>();

  /** Replaces all that is known of the container. */
  set(containerId: string, endpoints: readonly NamedEndpoint[]): void {
    this.remove(containerId);
    const known = endpoints.map((endpoint): KnownEndpoint => ({
      ...endpoint,
      bytes4: endpoint.ipv4 === undefined ? undefined : bytesOf(endpoint.ipv4),
      bytes6: endpoint.ipv6 === undefined ? undefined : bytesOf(endpoint.ipv6),
    }));
    this.#byContainer.set(containerId, known);
    for (const endpoint of known) {
      for (const key of keysOf(endpoint)) this.#byName.set(key, [...(this.#byName.get(key) ?? []), endpoint]);
      for (const address of [endpoint.ipv4, endpoint.ipv6]) {
        if (address) this.#byAddress.set(`${endpoint.networkId} ${address}`, endpoint);
      }
    }
  }

  /** Idempotent. */
  remove(containerId: string): void {
    for (const endpoint of this.#byContainer.get(containerId) ?? []) {
      for (const key of keysOf(endpoint)) {
        const rest = (this.#byName.get(key) ?? []).filter((other) => other !== endpoint);
        if (rest.length > 0) this.#byName.set(key, rest);
        else this.#byName.delete(key);
      }
      for (const address of [endpoint.ipv4, endpoint.ipv6]) {
        if (address) this.#byAddress.delete(`${endpoint.networkId} ${address}`);
      }
    }
    this.#byContainer.delete(containerId);
  }

  /** Those that have the name, as `name` or `name.network`, on one of the networks. Of several, another comes first each time. */
  find(networkIds: readonly string[], name: string): KnownEndpoint[] {
    const wanted = name.toLowerCase();
    const found = networkIds.flatMap((id) => this.#byName.get(`${id} ${wanted}`) ?? []);
    if (found.length < 2) return found;
    const start = this.#turn++ % found.length;
    return [...found.slice(start), ...found.slice(0, start)];
  }

  /** `name.network` of an address, when it is of one of the networks. */
  reverse(networkIds: readonly string[], address: Uint8Array): string | undefined {
    const text = canonical(address);
    for (const id of networkIds) {
      const endpoint = this.#byAddress.get(`${id} ${text}`);
      if (endpoint) return `${endpoint.names[0]}.${endpoint.network}`;
    }
    return undefined;
  }
}

function keysOf(endpoint: NamedEndpoint): Set<string> {
  const names = endpoint.names.flatMap((name) => [name, `${name}.${endpoint.network}`]);
  return new Set(names.map((name) => `${endpoint.networkId} ${name.toLowerCase()}`));
}

function canonical(bytes: Uint8Array): string {
  const text =
    bytes.length === 4
      ? bytes.join('.')
      : Array.from({ length: 8 }, (_, at) =>
          Buffer.from(bytes)
            .readUInt16BE(at * 2)
            .toString(16),
        ).join(':');
  return formatAddress(parseAddress(text));
}

export function bytesOf(address: string): Uint8Array {
  return addressBytes(parseAddress(address));
}

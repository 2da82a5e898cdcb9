import type { EndpointSettings } from '../../api/network.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { newId, shortId } from '../../base/ids.ts';
import type { NetworkNamespace } from '../../linux/network-namespace.ts';
import {
  type Address,
  addressBytes,
  contains,
  formatAddress,
  parseAddress,
  parseCidr,
  tryParseAddress,
} from '../../network/address.ts';
import { addEndpoint, addIpvlan, addMacvlan } from '../../network/bridge.ts';
import { macOfAddress, parseMac, randomMac } from '../../network/mac.ts';
import type { NetworkAttachment } from '../../state/containers.ts';
import type { NetworkRecord } from '../../state/networks.ts';
import { CONFIGURATION_ONLY } from './configuration-network.ts';
import {
  bridgeMtu,
  ENDPOINT_OPTION,
  endpointSysctls,
  ipvlanMode,
  isBeside,
  isCutOff,
  isOn,
  isRouted,
  macvlanMode,
  OPTION,
} from './network-options.ts';
import type { NetworkRegistry } from './network-registry.ts';
import type { NetworkedContainer } from './networking.ts';

export interface EndpointRequest {
  readonly container: NetworkedContainer;
  readonly namespace: NetworkNamespace;
  /** Name or id. */
  readonly network: string;
  readonly wanted: EndpointSettings;
  /** Names of interfaces that are in the namespace. */
  readonly taken: readonly string[];
}

export interface MadeEndpoint {
  readonly network: NetworkRecord;
  readonly settings: EndpointSettings;
  readonly interfaces: { readonly host: string; readonly guest: string };
}

const REMEMBERED = 2000;
const PREDEFINED: readonly string[] = ['bridge', 'host', 'none'];

/** A container's places on networks: addresses, and the link with them. */
export class Endpoints {
  readonly #registry: NetworkRegistry;
  /** Addresses that containers had, so that a restart gives the same: by container, network and family. */
  readonly #before = new Map<string, Address>();

  constructor(registry: NetworkRegistry) {
    this.#registry = registry;
  }

  /** What can be said at create; a network that does not exist is said at start, as Docker does. Throws `invalid-argument`. */
  check(name: string, wanted: EndpointSettings): void {
    if (wanted.MacAddress) parseMac(wanted.MacAddress);
    const network = this.#registry.find(name);
    const { IPv4Address, IPv6Address } = wanted.IPAMConfig ?? {};
    const problems: string[] = [];
    for (const [family, text] of [
      [4, IPv4Address],
      [6, IPv6Address],
    ] as const) {
      if (!text) continue;
      const predefined = network !== undefined && PREDEFINED.includes(network.name);
      if (predefined) problems.push('user specified IP address is supported on user defined networks only');
      const address = tryParseAddress(text);
      if (address?.family !== family) problems.push(`invalid IPv${family} address: ${text}`);
      const subnets = network?.ipam.map(({ Subnet }) => parseCidr(Subnet!).subnet) ?? [];
      const own = network?.ownSubnet === true && subnets.some((subnet) => subnet.family === family);
      if (own && !subnets.some((subnet) => address && contains(subnet, address))) {
        problems.push(`no configured subnet or ip-range contain the IP address ${text}`);
      }
      if (network && !own) {
        problems.push(
          'user specified IP address is supported only when connecting to networks with user configured subnets',
        );
      }
    }
    for (const text of wanted.IPAMConfig?.LinkLocalIPs ?? []) {
      if (!tryParseAddress(text)) problems.push(`invalid link-local IP address: ${text}`);
    }
    if (network && PREDEFINED.includes(network.name) && wanted.Aliases?.length) {
      problems.push('network-scoped alias is supported only for containers in user defined networks');
    }
    try {
      endpointSysctls(wanted, 'eth0');
    } catch (error) {
      problems.push(errorMessage(error));
    }
    if (problems.length === 0) return;
    const list = problems.length === 1 ? problems[0] : problems.map((problem) => `* ${problem}`).join('\n');
    throw new EngineError('invalid-argument', `invalid endpoint settings:\n${list}`);
  }

  /** Takes addresses and makes the link. On failure nothing is left. */
  async add(request: EndpointRequest): Promise<MadeEndpoint> {
    const found = this.#registry.resolve(request.network);
    if (found.configOnly) throw new EngineError('forbidden', CONFIGURATION_ONLY);
    if (found.driver !== 'bridge' && !isBeside(found)) {
      throw new EngineError('invalid-argument', `container cannot be connected to ${found.name} beside other networks`);
    }
    // from here on nobody removes it
    this.#registry.count(found.id, 1);
    let settings: EndpointSettings | undefined;
    try {
      const parent = await this.#registry.ensure(found.id);
      const network = this.#registry.resolve(found.id);
      settings = this.#allocate(network, request);
      const guest = guestName(network, request);
      const host = network.driver === 'bridge' ? `veth${settings.EndpointID!.slice(0, 7)}` : '';
      await this.#makeLink(network, parent, request.namespace, settings, { host, guest });
      request.namespace.setSysctls(endpointSysctls(request.wanted, guest));
      return { network, settings, interfaces: { host, guest } };
    } catch (error) {
      if (settings) this.release(settings);
      else this.#registry.count(found.id, -1);
      throw error;
    }
  }

  async #makeLink(
    network: NetworkRecord,
    parent: number,
    namespace: NetworkNamespace,
    settings: EndpointSettings,
    names: { readonly host: string; readonly guest: string },
  ): Promise<void> {
    const mac = settings.MacAddress!;
    const addresses = endpointAddresses(settings);
    if (network.driver === 'ipvlan') {
      await addIpvlan(this.#registry.links, {
        parent,
        namespace,
        guest: names.guest,
        ...ipvlanMode(network),
        addresses,
      });
      return;
    }
    if (network.driver === 'macvlan') {
      const mode = macvlanMode(network);
      await addMacvlan(this.#registry.links, { parent, namespace, guest: names.guest, mac, mode, addresses });
      return;
    }
    const isolated = !isOn(network, OPTION.communication, true);
    await addEndpoint(parent, namespace, {
      ...names,
      mac,
      mtu: bridgeMtu(network, 1500),
      addresses,
      isolated,
    });
  }

  #allocate(network: NetworkRecord, { container, wanted }: EndpointRequest): EndpointSettings {
    if (wanted.MacAddress && network.driver === 'ipvlan') {
      throw new EngineError('invalid-argument', 'ipvlan interfaces do not support custom mac address assignment');
    }
    const taken: Address[] = [];
    const of = (family: 4 | 6): { address: Address; prefix: number; gateway: string } | undefined => {
      const asked = family === 4 ? wanted.IPAMConfig?.IPv4Address : wanted.IPAMConfig?.IPv6Address;
      const pools = this.#registry.subnets.pools(network).filter((pool) => pool.subnet.family === family);
      if (pools.length === 0) {
        if (!asked) return undefined;
        throw new EngineError('invalid-argument', `no configured subnet contains IP address ${asked}`);
      }
      const config = (index: number): string =>
        network.ipam.filter((c) => family === familyOf(c.Subnet!))[index]?.Gateway ?? '';
      let refused: unknown;
      for (const [index, pool] of pools.entries()) {
        try {
          const before = this.#before.get(`${container.id} ${network.id} ${family}`);
          const again = !asked && before && pool.retake(before) ? before : undefined;
          const address = again ?? (asked ? parseAddress(asked) : pool.allocate(`${network.name} (${network.id})`));
          if (asked) pool.claim(address);
          taken.push(address);
          this.#remember(`${container.id} ${network.id} ${family}`, address);
          return { address, prefix: pool.subnet.prefix, gateway: config(index) };
        } catch (error) {
          refused = error;
        }
      }
      throw refused;
    };
    try {
      const ipv4 = network.ipv4 ? of(4) : undefined;
      const ipv6 = network.ipv6 ? of(6) : undefined;
      const hasGateway = !isCutOff(network) && !isRouted(network);
      const gateway = (end: typeof ipv4): string => (hasGateway ? (end?.gateway ?? '') : '');
      return {
        ...this.empty(wanted),
        MacAddress: network.driver === 'ipvlan' ? '' : endpointMac(wanted, ipv4?.address),
        NetworkID: network.id,
        EndpointID: newId(),
        Gateway: gateway(ipv4),
        IPAddress: ipv4 ? formatAddress(ipv4.address) : '',
        IPPrefixLen: ipv4?.prefix ?? 0,
        IPv6Gateway: gateway(ipv6),
        GlobalIPv6Address: ipv6 ? formatAddress(ipv6.address) : '',
        GlobalIPv6PrefixLen: ipv6?.prefix ?? 0,
        DNSNames: network.name === 'bridge' ? null : dnsNames(container, wanted),
      };
    } catch (error) {
      for (const address of taken) this.#release(network, address);
      throw error;
    }
  }

  #remember(key: string, address: Address): void {
    this.#before.delete(key);
    this.#before.set(key, address);
    if (this.#before.size > REMEMBERED) this.#before.delete(this.#before.keys().next().value!);
  }

  /** As inspect shows it before it is made. */
  empty(wanted: EndpointSettings): EndpointSettings {
    return {
      IPAMConfig: wanted.IPAMConfig ?? null,
      Links: wanted.Links ?? null,
      Aliases: wanted.Aliases ?? null,
      MacAddress: wanted.MacAddress ?? '',
      DriverOpts: wanted.DriverOpts ?? null,
      GwPriority: wanted.GwPriority ?? 0,
      NetworkID: '',
      EndpointID: '',
      Gateway: '',
      IPAddress: '',
      IPPrefixLen: 0,
      IPv6Gateway: '',
      GlobalIPv6Address: '',
      GlobalIPv6PrefixLen: 0,
      DNSNames: null,
    };
  }

  /** Frees the addresses of an endpoint. Idempotent. */
  release(settings: EndpointSettings): void {
    const network = this.#registry.store.get(settings.NetworkID ?? '');
    if (!network) return;
    for (const address of [settings.IPAddress, settings.GlobalIPv6Address]) {
      if (address) this.#release(network, parseAddress(address));
    }
    this.#registry.count(network.id, -1);
  }

  #release(network: NetworkRecord, address: Address): void {
    for (const pool of this.#registry.subnets.pools(network)) {
      if (pool.subnet.family === address.family) pool.release(address);
    }
  }

  /** Takes the addresses that a running container has. */
  adopt(attachment: NetworkAttachment): void {
    for (const [name, settings] of Object.entries(attachment.endpoints)) {
      const network = this.#registry.store.get(settings.NetworkID ?? '');
      if (!network || !attachment.interfaces[name]) continue;
      this.#registry.count(network.id, 1);
      for (const text of [settings.IPAddress, settings.GlobalIPv6Address]) {
        if (!text) continue;
        const address = parseAddress(text);
        this.#registry.subnets
          .pools(network)
          .find((pool) => pool.subnet.family === address.family)
          ?.claim(address);
      }
    }
  }

  /** The endpoint that published ports lead to: the way out, when that is by a bridge of ours. */
  gateway(attachment: NetworkAttachment): EndpointSettings | undefined {
    const name = this.gatewayNetwork(attachment, 4) ?? this.gatewayNetwork(attachment, 6);
    if (name === undefined || attachment.interfaces[name]?.host === '') return undefined;
    return attachment.endpoints[name];
  }

  /** The network, first by name, that routes what is sent by its link, and needs no gateway for it. */
  routedNetwork(attachment: NetworkAttachment, family: 4 | 6): string | undefined {
    return Object.entries(attachment.endpoints)
      .filter(([name, end]) => attachment.interfaces[name] && (family === 4 ? end.IPAddress : end.GlobalIPv6Address))
      .map(([name, end]) => ({ name, network: this.#registry.store.get(end.NetworkID ?? '') }))
      .filter(({ network }) => network && isRouted(network) && !isCutOff(network))
      .map(({ name }) => name)
      .sort()[0];
  }

  /** The network with the highest priority that has a gateway; of equal ones one of both families, then the first by name. */
  gatewayNetwork(attachment: NetworkAttachment, family: 4 | 6): string | undefined {
    return Object.entries(attachment.endpoints)
      .filter(([name, end]) => attachment.interfaces[name] && (family === 4 ? end.Gateway : end.IPv6Gateway))
      .sort(
        ([a, x], [b, y]) =>
          (y.GwPriority ?? 0) - (x.GwPriority ?? 0) || Number(hasBoth(y)) - Number(hasBoth(x)) || (a < b ? -1 : 1),
      )[0]?.[0];
  }
}

function hasBoth(endpoint: EndpointSettings): boolean {
  return Boolean(endpoint.Gateway && endpoint.IPv6Gateway);
}

/** Names that resolve to it on this network: its name, its aliases, its short id. */
export function dnsNames(container: NetworkedContainer, wanted: EndpointSettings): string[] {
  return [...new Set([container.name, ...(wanted.Aliases ?? []), shortId(container.id)])];
}

function endpointAddresses(settings: EndpointSettings): { bytes: Uint8Array; prefix: number }[] {
  const of = (text: string | undefined, prefix: number | undefined): { bytes: Uint8Array; prefix: number }[] =>
    text ? [{ bytes: addressBytes(parseAddress(text)), prefix: prefix ?? 0 }] : [];
  return [
    ...of(settings.IPAddress, settings.IPPrefixLen),
    ...of(settings.GlobalIPv6Address, settings.GlobalIPv6PrefixLen),
    // RFC 3927, RFC 4291
    ...(settings.IPAMConfig?.LinkLocalIPs ?? []).flatMap((text) => of(text, text.includes(':') ? 64 : 16)),
  ];
}

function endpointMac(wanted: EndpointSettings, ipv4: Address | undefined): string {
  if (wanted.MacAddress) return parseMac(wanted.MacAddress);
  return ipv4 ? macOfAddress(addressBytes(ipv4)) : randomMac();
}

function familyOf(subnet: string): 4 | 6 {
  return subnet.includes(':') ? 6 : 4;
}

/** `eth0`, `eth1`, …, or what the network or the endpoint asks for. Throws `invalid-argument`. */
function guestName(network: NetworkRecord, { wanted, taken }: EndpointRequest): string {
  const asked = wanted.DriverOpts?.[ENDPOINT_OPTION.interface];
  if (asked === undefined) return freeName(network.options[OPTION.guestPrefix] ?? 'eth', taken);
  if (!/^[^/\s:]{1,15}$/.test(asked) || asked === '.' || asked === '..' || asked === 'lo') {
    throw new EngineError('invalid-argument', `invalid name of an interface: "${asked}"`);
  }
  if (taken.includes(asked)) throw new EngineError('conflict', `the container has an interface ${asked} already`);
  return asked;
}

function freeName(prefix: string, taken: readonly string[]): string {
  for (let number = 0; ; number++) if (!taken.includes(`${prefix}${number}`)) return `${prefix}${number}`;
}

import type { IpamConfig } from '../../api/network.ts';
import { EngineError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { now } from '../../base/time.ts';
import { contains, firstAddress, formatAddress, formatSubnet, lastAddress, parseCidr } from '../../network/address.ts';
import { randomMac } from '../../network/mac.ts';
import type { NetworkRecord, NetworkStore } from '../../state/networks.ts';
import { OPTION } from './network-options.ts';
import { hostAddress, ipamOfGateway, type Subnets } from './subnets.ts';

export interface DefaultBridgeOptions {
  /** Interface of the default network; nobody else's. */
  readonly bridge: string;
  /** The host's address on it with its prefix (`--bip`); otherwise the first free subnet is taken. */
  readonly bridgeAddress: string | undefined;
  readonly mtu: number;
  /** Containers on the default network may talk to each other. */
  readonly communication: boolean;
  readonly masquerade: boolean;
  readonly ipv6: boolean;
  /** Of its IPv4 subnet, what containers get addresses of; undefined is all of it. */
  readonly range: string | undefined;
  /** Its IPv6 subnet; otherwise the first free one is taken. */
  readonly subnet6: string | undefined;
  /** Where ports are published that name no address. */
  readonly publishAddress: string;
}

/** Sees that `bridge`, `host` and `none` are there, as the engine's configuration wants them. */
export function addDefaultNetworks(store: NetworkStore, subnets: Subnets, options: DefaultBridgeOptions): void {
  const known = store.byName('bridge');
  if (!known) {
    const ipam = bridgeIpam(options, subnets, []);
    store.insert({ ...bridgeAsConfigured(options), id: newId(), createdAt: now(), mac: randomMac(), ipam });
  } else {
    const ipam = bridgeIpam(options, subnets, known.ipam);
    const wanted: NetworkRecord = { ...known, ...bridgeAsConfigured(options), ipam };
    // a write waits for the disk: only when the configuration is another than last time
    if (JSON.stringify(wanted) !== JSON.stringify(known)) store.update(wanted);
  }
  for (const [name, driver] of [
    ['host', 'host'],
    ['none', 'null'],
  ] as const) {
    if (store.byName(name)) continue;
    store.insert({
      ...BARE,
      id: newId(),
      name,
      createdAt: now(),
      driver,
      options: {},
      interface: '',
      mac: '',
      ipam: [],
    });
  }
}

function bridgeAsConfigured(options: DefaultBridgeOptions): Omit<NetworkRecord, 'id' | 'createdAt' | 'mac' | 'ipam'> {
  return {
    ...BARE,
    name: 'bridge',
    driver: 'bridge',
    options: {
      [OPTION.defaultBridge]: 'true',
      [OPTION.communication]: String(options.communication),
      [OPTION.masquerade]: String(options.masquerade),
      [OPTION.hostBinding]: options.publishAddress,
      [OPTION.name]: options.bridge,
      [OPTION.mtu]: String(options.mtu),
    },
    ipv6: options.ipv6,
    interface: options.bridge,
  };
}

/** What is not configured stays as it is. Throws `invalid-argument`. */
function bridgeIpam(options: DefaultBridgeOptions, subnets: Subnets, known: readonly IpamConfig[]): IpamConfig[] {
  const of = (family: 4 | 6): { Subnet: string; Gateway: string } => {
    const found = known.find(({ Subnet }) => Subnet!.includes(':') === (family === 6));
    return found ? { Subnet: found.Subnet!, Gateway: found.Gateway! } : subnets.free(family);
  };
  const whole = (cidr: string): { Subnet: string; Gateway: string } => {
    const { subnet } = parseCidr(cidr);
    return { Subnet: formatSubnet(subnet), Gateway: formatAddress(hostAddress(subnet)) };
  };
  const { bridgeAddress, range, subnet6 } = options;
  let ipv4: IpamConfig = bridgeAddress === undefined ? of(4) : addressOfBridge(bridgeAddress);
  if (range !== undefined) {
    const inner = parseCidr(range).subnet;
    if (inner.family !== 4) throw new EngineError('invalid-argument', `fixed-cidr ${range} is not an IPv4 subnet`);
    const outer = parseCidr(ipv4.Subnet!).subnet;
    // a new network without an address of its own is that range and nothing else
    const free = bridgeAddress === undefined && !known.some(({ Subnet }) => Subnet === ipv4.Subnet);
    const fits = !free && inner.prefix >= outer.prefix && contains(outer, { family: inner.family, value: inner.base });
    if (!fits && bridgeAddress !== undefined) {
      throw new EngineError('invalid-argument', `fixed-cidr ${range} is not in the bridge's subnet ${ipv4.Subnet}`);
    }
    ipv4 = fits ? { ...ipv4, IPRange: formatSubnet(inner) } : whole(range);
  }
  if (!options.ipv6) return [ipv4];
  return [ipv4, subnet6 === undefined ? of(6) : whole(subnet6)];
}

/** `--bip`. Throws `invalid-argument` for what is no address of a host, in Docker's words. */
function addressOfBridge(cidr: string): IpamConfig {
  const { address, subnet } = parseCidr(cidr);
  const text = formatAddress(address);
  if (address.family !== 4) {
    throw new EngineError(
      'invalid-argument',
      `failed to allocate gateway (${text}): the address of the default bridge (bip) is an IPv4 address; its IPv6 subnet is fixed-cidr-v6`,
    );
  }
  const taken = subnet.prefix < 31 ? [firstAddress(subnet), lastAddress(subnet)] : [];
  if (taken.some(({ value }) => value === address.value)) {
    throw new EngineError('invalid-argument', `failed to allocate gateway (${text}): Address already in use`);
  }
  return ipamOfGateway(cidr);
}

const BARE = {
  ipv4: true,
  ipv6: false,
  internal: false,
  attachable: false,
  ipamOptions: null,
  ownSubnet: false,
  labels: {},
} as const;

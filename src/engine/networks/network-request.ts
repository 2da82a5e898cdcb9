import { createHash } from 'node:crypto';
import type { IpamConfig, NetworkCreateRequest } from '../../api/network.ts';
import { EngineError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { now } from '../../base/time.ts';
import {
  contains,
  firstAddress,
  formatAddress,
  formatSubnet,
  lastAddress,
  parseAddress,
  parseCidr,
  type Subnet,
} from '../../network/address.ts';
import type { SubnetPool } from '../../network/ipam.ts';
import { randomMac } from '../../network/mac.ts';
import type { NetworkRecord } from '../../state/networks.ts';
import {
  bridgeMtu,
  gatewayMode,
  ipvlanMode,
  isBeside,
  isCutOff,
  isOn,
  isRouted,
  macvlanMode,
  OPTION,
  publishAddress,
  trustedInterfaces,
} from './network-options.ts';
import { checkConfigurationRequest } from './configuration-network.ts';
import { parentName } from './parent-links.ts';
import { hostAddress } from './subnets.ts';

export interface SubnetChoice {
  /** A free subnet of the engine's pools. */
  free(family: 4 | 6): { Subnet: string; Gateway: string };
  /** Throws when a network has it. */
  check(subnet: Subnet): void;
}

const PREDEFINED = new Set(['bridge', 'host', 'none', 'default']);

/** A new network as asked for, with every default filled in. Pure but for its id. Throws in Docker's words. */
export function networkRecord(request: NetworkCreateRequest, subnets: SubnetChoice): NetworkRecord {
  checkConfigurationRequest(request);
  const driver = checkDriver(request);
  if (PREDEFINED.has(request.Name)) {
    throw new EngineError('forbidden', `operation is not permitted on predefined ${request.Name} network`);
  }
  const options = { ...request.Options };
  const id = newId();
  const ipv4 = request.EnableIPv4 ?? true;
  const ipv6 = request.EnableIPv6 ?? false;
  if (!ipv4 && !ipv6) throw new EngineError('invalid-argument', 'IPv4 or IPv6 must be enabled');
  const internal = request.Internal ?? false;
  // a network that is internal beside others, or in which the host takes no part, has no gateway unless it is named
  const hasGateway = (family: 4 | 6): boolean =>
    driver === 'bridge'
      ? gatewayMode({ options, internal }, family) !== 'isolated'
      : !isCutOff({ driver, options, internal }) && !isRouted({ driver, options });
  const asked = (request.IPAM?.Config ?? []).map((config) =>
    checkIpam(config, request.ConfigOnly ? () => false : hasGateway),
  );
  const enabled = ([4, 6] as const).filter((family) => (family === 4 ? ipv4 : ipv6));
  for (const family of enabled) {
    const own = asked.filter((config) => config.family === family);
    if (own.length > 1 && driver === 'bridge') {
      throw new EngineError('invalid-argument', "bridge driver doesn't support multiple subnets");
    }
    if (!request.ConfigOnly) for (const config of own) subnets.check(parseCidr(config.ipam.Subnet!).subnet);
  }
  const free = (family: 4 | 6): IpamConfig => {
    const { Subnet, Gateway } = subnets.free(family);
    return hasGateway(family) ? { Subnet, Gateway } : { Subnet };
  };
  const ipam = request.ConfigOnly
    ? asked.map((config) => config.ipam)
    : [
        ...asked.filter(({ family }) => enabled.includes(family)).map((config) => config.ipam),
        ...enabled.filter((family) => !asked.some((config) => config.family === family)).map(free),
      ];
  const record: NetworkRecord = {
    id,
    name: request.Name,
    createdAt: now(),
    driver: request.ConfigOnly ? 'null' : driver,
    ipv4,
    ipv6,
    internal,
    attachable: request.Attachable ?? false,
    ipam,
    ipamOptions: request.IPAM?.Options ?? null,
    ownSubnet: asked.length > 0,
    options,
    labels: { ...request.Labels },
    interface: isBeside({ driver })
      ? options['parent'] || parentName({ driver, id })
      : (options[OPTION.name] ?? `br-${id.slice(0, 12)}`),
    mac: randomMac(),
    ...(request.ConfigFrom?.Network && { configFrom: request.ConfigFrom.Network }),
  };
  // what a configuration says is read by the driver that it is made for, later
  if (request.ConfigOnly) return { ...record, interface: '', mac: '', configOnly: true };
  checkOptions(record);
  return record;
}

function checkDriver(request: NetworkCreateRequest): 'bridge' | 'macvlan' | 'ipvlan' {
  if (request.Name.trim() === '')
    throw new EngineError('invalid-argument', 'invalid network name: a network needs a name');
  if (request.Ingress) throw new EngineError('forbidden', 'Ingress network can only be global scope network');
  if (request.Scope === 'swarm') {
    throw new EngineError('forbidden', 'cannot create a swarm scoped network when swarm is not active');
  }
  if (request.Scope && request.Scope !== 'local') {
    throw new EngineError('invalid-argument', `invalid scope ${request.Scope}: networks of this engine are local`);
  }
  if (request.IPAM?.Driver && request.IPAM.Driver !== 'default') {
    throw new EngineError('not-found', `plugin "${request.IPAM.Driver}" not found`);
  }
  const driver = request.Driver || 'bridge';
  if (driver === 'host' || driver === 'null') {
    throw new EngineError('forbidden', `only one instance of "${driver}" network is allowed`);
  }
  if (driver === 'overlay') {
    throw new EngineError('unimplemented', 'an overlay network needs a swarm, which this engine has not: use bridge');
  }
  if (driver !== 'bridge' && driver !== 'macvlan' && driver !== 'ipvlan') {
    throw new EngineError('not-found', `plugin "${driver}" not found`);
  }
  return driver;
}

function checkIpam(config: IpamConfig, hasGateway: (family: 4 | 6) => boolean): { family: 4 | 6; ipam: IpamConfig } {
  const refuse = (problem: string): never => {
    throw new EngineError('invalid-argument', `invalid network config:\n${problem}`);
  };
  if (!config.Subnet) refuse('an IPAM configuration needs a subnet');
  const subnet =
    tryParseSubnet(config.Subnet!) ?? refuse(`invalid subnet ${config.Subnet}: invalid CIDR block notation`);
  const canonical = formatSubnet(subnet);
  if (canonical !== config.Subnet!.toLowerCase()) refuse(`invalid subnet ${config.Subnet}: it should be ${canonical}`);
  const inside = (text: string, what: string): string => {
    const address = parseAddress(text);
    if (!contains(subnet, address)) refuse(`invalid ${what} ${text}: parent subnet is ${canonical}`);
    return formatAddress(address);
  };
  const ipam: IpamConfig = { Subnet: canonical };
  if (config.IPRange) {
    const range = parseCidr(config.IPRange).subnet;
    if (range.prefix < subnet.prefix || !contains(subnet, { family: range.family, value: range.base })) {
      refuse(`invalid ip-range ${config.IPRange}: CIDR block is bigger than its parent subnet ${canonical}`);
    }
    ipam.IPRange = formatSubnet(range);
  }
  if (config.Gateway) ipam.Gateway = inside(config.Gateway, 'gateway');
  else if (hasGateway(subnet.family)) ipam.Gateway = formatAddress(hostAddress(subnet));
  const auxiliary = Object.entries(config.AuxiliaryAddresses ?? {});
  if (auxiliary.length > 0) {
    ipam.AuxiliaryAddresses = Object.fromEntries(
      auxiliary.map(([name, address]) => [name, inside(address, 'auxiliary address')]),
    );
  }
  checkReserved(subnet, ipam);
  return { family: subnet.family, ipam };
}

/** Gateway and auxiliary addresses are addresses of hosts, each of another one. */
function checkReserved(subnet: Subnet, { Gateway, AuxiliaryAddresses }: IpamConfig): void {
  const taken = new Set<string>();
  if (subnet.prefix < (subnet.family === 4 ? 31 : 127)) {
    taken.add(formatAddress(firstAddress(subnet)));
    if (subnet.family === 4) taken.add(formatAddress(lastAddress(subnet)));
  }
  const take = (address: string, what: string): void => {
    if (taken.has(address)) throw new EngineError('conflict', `failed to allocate ${what}: Address already in use`);
    taken.add(address);
  };
  if (Gateway) take(Gateway, `gateway (${Gateway})`);
  for (const [name, address] of Object.entries(AuxiliaryAddresses ?? {})) {
    take(address, `secondary ip address (${name}:${address})`);
  }
}

function tryParseSubnet(text: string): Subnet | undefined {
  try {
    return parseCidr(text).subnet;
  } catch {
    return undefined;
  }
}

function checkOptions(record: NetworkRecord): void {
  for (const option of [OPTION.communication, OPTION.masquerade, OPTION.inhibitIpv4]) isOn(record, option, true);
  if (bridgeMtu(record, 1500) < 1280 && record.ipv6) {
    throw new EngineError('invalid-argument', `invalid value for ${OPTION.mtu}: IPv6 needs at least 1280 (RFC 8200)`);
  }
  publishAddress(record, '0.0.0.0');
  for (const family of [4, 6] as const) gatewayMode(record, family);
  trustedInterfaces(record);
  if (record.driver === 'macvlan') macvlanMode(record);
  if (record.driver === 'ipvlan') ipvlanMode(record);
  if (isBeside(record) && record.interface === 'lo') {
    throw new EngineError('invalid-argument', `loopback interface is not a valid ${record.driver} parent link`);
  }
  if (record.interface !== '' && !/^[\w.@-]{1,15}$/.test(record.interface)) {
    throw new EngineError('invalid-argument', `invalid name of an interface: "${record.interface}"`);
  }
}

/** The engine's own /48 of unique local addresses (RFC 4193), the same for the same seed, cut in /64. */
export function uniqueLocalPool(seed: string): SubnetPool {
  const hash = createHash('sha256').update(seed).digest('hex');
  const base = parseCidr(`fd${hash.slice(0, 2)}:${hash.slice(2, 6)}:${hash.slice(6, 10)}::/48`).subnet;
  return { base, size: 64 };
}

import { createHash } from 'node:crypto';
import type { IpamConfig, NetworkCreateRequest } from '../../api/network.ts';
import { EngineError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { now } from '../../base/time.ts';
import { contains, formatAddress, formatSubnet, parseAddress, parseCidr, type Subnet } from '../../network/address.ts';
import type { SubnetPool } from '../../network/ipam.ts';
import { randomMac } from '../../network/mac.ts';
import type { NetworkRecord } from '../../state/networks.ts';
import { bridgeMtu, isOn, macvlanMode, OPTION, publishAddress } from './network-options.ts';
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
  const driver = checkDriver(request);
  if (PREDEFINED.has(request.Name)) {
    throw new EngineError('forbidden', `operation is not permitted on predefined ${request.Name} network`);
  }
  const options = { ...request.Options };
  const id = newId();
  const ipv4 = request.EnableIPv4 ?? true;
  const ipv6 = request.EnableIPv6 ?? false;
  if (!ipv4 && !ipv6) throw new EngineError('invalid-argument', 'IPv4 or IPv6 must be enabled');
  const asked = (request.IPAM?.Config ?? []).map((config) => checkIpam(config, driver, request.Internal ?? false));
  const enabled = ([4, 6] as const).filter((family) => (family === 4 ? ipv4 : ipv6));
  for (const family of enabled) {
    const own = asked.filter((config) => config.family === family);
    if (own.length > 1 && driver === 'bridge') {
      throw new EngineError('invalid-argument', "bridge driver doesn't support multiple subnets");
    }
    for (const config of own) subnets.check(parseCidr(config.ipam.Subnet!).subnet);
  }
  const ipam = [
    ...asked.filter(({ family }) => enabled.includes(family)).map((config) => config.ipam),
    ...enabled.filter((family) => !asked.some((config) => config.family === family)).map((f) => subnets.free(f)),
  ];
  const record: NetworkRecord = {
    id,
    name: request.Name,
    createdAt: now(),
    driver,
    ipv4,
    ipv6,
    internal: request.Internal ?? false,
    attachable: request.Attachable ?? false,
    ipam,
    ipamOptions: request.IPAM?.Options ?? null,
    ownSubnet: asked.length > 0,
    options,
    labels: { ...request.Labels },
    interface: driver === 'macvlan' ? (options['parent'] ?? '') : (options[OPTION.name] ?? `br-${id.slice(0, 12)}`),
    mac: randomMac(),
  };
  checkOptions(record);
  return record;
}

function checkDriver(request: NetworkCreateRequest): 'bridge' | 'macvlan' {
  if (request.Name.trim() === '')
    throw new EngineError('invalid-argument', 'invalid network name: a network needs a name');
  if (request.ConfigOnly || request.ConfigFrom?.Network) {
    throw new EngineError(
      'unimplemented',
      'configuration-only networks (--config-only, --config-from) are not there yet',
    );
  }
  if (request.Ingress || (request.Scope && request.Scope !== 'local')) {
    throw new EngineError(
      'unimplemented',
      'networks of a swarm (--ingress, --scope swarm) need a swarm, which this engine has not',
    );
  }
  if (request.IPAM?.Driver && request.IPAM.Driver !== 'default') {
    throw new EngineError('not-found', `plugin "${request.IPAM.Driver}" not found`);
  }
  const driver = request.Driver || 'bridge';
  if (driver === 'host' || driver === 'null') {
    throw new EngineError('forbidden', `only one instance of "${driver}" network is allowed`);
  }
  if (driver === 'ipvlan' || driver === 'overlay') {
    throw new EngineError('unimplemented', `the network driver ${driver} is not there yet; bridge and macvlan are`);
  }
  if (driver !== 'bridge' && driver !== 'macvlan') throw new EngineError('not-found', `plugin "${driver}" not found`);
  return driver;
}

function checkIpam(
  config: IpamConfig,
  driver: 'bridge' | 'macvlan',
  internal: boolean,
): { family: 4 | 6; ipam: IpamConfig } {
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
  else if (driver === 'bridge' || !internal) ipam.Gateway = formatAddress(hostAddress(subnet));
  const auxiliary = Object.entries(config.AuxiliaryAddresses ?? {});
  if (auxiliary.length > 0) {
    ipam.AuxiliaryAddresses = Object.fromEntries(
      auxiliary.map(([name, address]) => [name, inside(address, 'auxiliary address')]),
    );
  }
  return { family: subnet.family, ipam };
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
  bridgeMtu(record, 1500);
  publishAddress(record, '0.0.0.0');
  if (record.driver === 'macvlan') {
    macvlanMode(record);
    if (record.interface === '') {
      throw new EngineError(
        'invalid-argument',
        'a macvlan network needs the link of the host that it is beside: -o parent=eth0',
      );
    }
  }
  if (record.interface !== '' && !/^[^/\s]{1,15}$/.test(record.interface)) {
    throw new EngineError('invalid-argument', `invalid name of an interface: "${record.interface}"`);
  }
  const unsupported = Object.entries(record.options).filter(
    ([name, value]) => name.startsWith('com.docker.network.bridge.gateway_mode') && value !== 'nat',
  );
  if (unsupported.length > 0) {
    throw new EngineError('unimplemented', `${unsupported[0]![0]}=${unsupported[0]![1]} is not there yet; nat is`);
  }
}

/** The engine's own /48 of unique local addresses (RFC 4193), the same for the same seed, cut in /64. */
export function uniqueLocalPool(seed: string): SubnetPool {
  const hash = createHash('sha256').update(seed).digest('hex');
  const base = parseCidr(`fd${hash.slice(0, 2)}:${hash.slice(2, 6)}:${hash.slice(6, 10)}::/48`).subnet;
  return { base, size: 64 };
}

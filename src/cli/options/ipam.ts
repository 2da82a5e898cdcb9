import { BlockList, isIP } from 'node:net';
import type { IpamConfig } from '../../api/network.ts';

interface IpamFlags {
  readonly subnets: readonly string[];
  readonly ranges: readonly string[];
  readonly gateways: readonly string[];
  readonly auxiliary: ReadonlyMap<string, string>;
}

/** Puts ranges, gateways and auxiliary addresses to the subnets that hold them. Throws an Error in docker's words. */
export function ipamConfigs(flags: IpamFlags): IpamConfig[] {
  if (flags.subnets.length < flags.ranges.length || flags.subnets.length < flags.gateways.length) {
    throw new Error('every ip-range or gateway must have a corresponding subnet');
  }
  const configs = flags.subnets.map((subnet): IpamConfig & { Subnet: string } => ({ Subnet: subnet }));
  for (const [i, one] of configs.entries()) {
    for (const other of configs.slice(i + 1)) {
      if (contains(one.Subnet, addressOf(other.Subnet)) || contains(other.Subnet, addressOf(one.Subnet))) {
        throw new Error('multiple overlapping subnet configuration is not supported');
      }
    }
  }
  const owner = (address: string): IpamConfig | undefined =>
    configs.find(({ Subnet }) => contains(Subnet, addressOf(address)));
  for (const range of flags.ranges) {
    const config = owner(range);
    if (!config) throw new Error(`no matching subnet for range ${range}`);
    if (config.IPRange !== undefined)
      throw new Error(
        `cannot configure multiple ranges (${range}, ${config.IPRange}) on the same subnet (${config.Subnet})`,
      );
    config.IPRange = range;
  }
  for (const gateway of flags.gateways) {
    const config = owner(gateway);
    if (!config) throw new Error(`no matching subnet for gateway ${gateway}`);
    if (config.Gateway !== undefined)
      throw new Error(
        `cannot configure multiple gateways (${gateway}, ${config.Gateway}) for the same subnet (${config.Subnet})`,
      );
    config.Gateway = gateway;
  }
  for (const [name, address] of flags.auxiliary) {
    const config = owner(address);
    if (!config) throw new Error(`no matching subnet for aux-address ${address}`);
    config.AuxiliaryAddresses = { ...config.AuxiliaryAddresses, [name]: address };
  }
  return configs;
}

function addressOf(text: string): string {
  return text.split('/')[0]!;
}

function contains(subnet: string, address: string): boolean {
  const [base, prefix] = subnet.split('/');
  const family = isIP(base!);
  if (family === 0 || prefix === undefined || !/^\d+$/.test(prefix) || Number(prefix) > (family === 4 ? 32 : 128)) {
    throw new Error(`invalid CIDR address: ${subnet}`);
  }
  if (isIP(address) === 0) throw new Error(`invalid address: ${address}`);
  const type = family === 4 ? 'ipv4' : 'ipv6';
  if (isIP(address) !== family) return false;
  const block = new BlockList();
  block.addSubnet(base!, Number(prefix), type);
  return block.check(address, type);
}

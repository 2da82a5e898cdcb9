import type { IpamConfig, NetworkCreateRequest } from '../../../api/network.ts';
import { command } from '../../command.ts';
import { bool, each, map, string, strings } from '../../flag.ts';
import { checkLabel, toRecord } from '../../options/environment.ts';
import { ipamConfigs } from '../../options/ipam.ts';

export const create = command({
  usage: '[OPTIONS] NETWORK',
  flags: {
    attachable: bool('Enable manual container attachment'),
    'aux-address': map('Auxiliary IPv4 or IPv6 addresses used by Network driver'),
    'config-from': string('The network from which to copy the configuration'),
    'config-only': bool('Create a configuration only network'),
    driver: string('Driver to manage the Network', { short: 'd', initial: 'bridge' }),
    gateway: strings('IPv4 or IPv6 Gateway for the master subnet'),
    ingress: bool('Create swarm routing-mesh network'),
    internal: bool('Restrict external access to the network'),
    'ip-range': strings('Allocate container ip from a sub-range'),
    'ipam-driver': string('IP Address Management Driver', { initial: 'default' }),
    'ipam-opt': map('Set IPAM driver specific options'),
    ipv4: bool('Enable or disable IPv4 address assignment', { defaultText: 'true' }),
    ipv6: bool('Enable or disable IPv6 address assignment'),
    label: each('list', 'Set metadata on a network', checkLabel),
    opt: map('Set driver specific options', { short: 'o' }),
    scope: string("Control the network's scope"),
    subnet: strings('Subnet in CIDR format that represents a network segment'),
  },
  args: { min: 1, max: 1 },
  async run(cli, { flags, given, args }) {
    const configs: IpamConfig[] = ipamConfigs({
      subnets: flags.subnet,
      ranges: flags['ip-range'],
      gateways: flags.gateway,
      auxiliary: flags['aux-address'],
    });
    const request: NetworkCreateRequest = {
      Name: args[0]!,
      Driver: flags.driver,
      Options: Object.fromEntries(flags.opt),
      IPAM: { Driver: flags['ipam-driver'], Config: configs, Options: Object.fromEntries(flags['ipam-opt']) },
      Internal: flags.internal,
      Attachable: flags.attachable,
      Ingress: flags.ingress,
      Scope: flags.scope,
      ConfigOnly: flags['config-only'],
      ...(flags['config-from'] === '' ? {} : { ConfigFrom: { Network: flags['config-from'] } }),
      Labels: toRecord(flags.label),
      ...(given.has('ipv4') ? { EnableIPv4: flags.ipv4 } : {}),
      ...(given.has('ipv6') ? { EnableIPv6: flags.ipv6 } : {}),
    };
    const client = await cli.client();
    const { Id, Warning } = await client.networks.create(request);
    if (Warning) cli.warn(`WARNING: ${Warning}`);
    cli.print(Id);
    return 0;
  },
});

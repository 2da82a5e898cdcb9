import type { EndpointSettings } from '../../../api/network.ts';
import { command } from '../../command.ts';
import { bool, int, list, string, strings } from '../../flag.ts';
import { cutPair } from '../../options/csv.ts';
import { checkIp, checkLink } from '../../options/network.ts';

export const connect = command({
  usage: '[OPTIONS] NETWORK CONTAINER',
  flags: {
    alias: strings('Add network-scoped alias for the container'),
    'driver-opt': strings('driver options for the network'),
    'gw-priority': int('Highest gw-priority provides the default gateway. Accepts positive and negative values.'),
    ip: string('IPv4 address (e.g., "172.30.100.104")'),
    ip6: string('IPv6 address (e.g., "2001:db8::33")'),
    link: list('Add link to another container'),
    'link-local-ip': strings('Add a link-local address for the container'),
  },
  args: { min: 2, max: 2 },
  complete: 'network',
  async run(cli, { flags, args }) {
    const driverOptions = flags['driver-opt'].map((item) => {
      const pair = cutPair(item);
      if (!pair) throw new Error('invalid key/value pair format in driver options');
      return pair;
    });
    const endpoint: EndpointSettings = {
      IPAMConfig: {
        ...(flags.ip === '' ? {} : { IPv4Address: checkIp(flags.ip) }),
        ...(flags.ip6 === '' ? {} : { IPv6Address: checkIp(flags.ip6) }),
        ...(flags['link-local-ip'].length === 0 ? {} : { LinkLocalIPs: flags['link-local-ip'].map(checkIp) }),
      },
      ...(flags.link.length === 0 ? {} : { Links: flags.link.map(checkLink) }),
      ...(flags.alias.length === 0 ? {} : { Aliases: [...flags.alias] }),
      ...(driverOptions.length === 0 ? {} : { DriverOpts: Object.fromEntries(driverOptions) }),
      ...(flags['gw-priority'] === 0 ? {} : { GwPriority: flags['gw-priority'] }),
    };
    const client = await cli.client();
    await client.networks.connect(args[0]!, { Container: args[1]!, EndpointConfig: endpoint });
    return 0;
  },
});

export const disconnect = command({
  usage: '[OPTIONS] NETWORK CONTAINER',
  flags: { force: bool('Force the container to disconnect from a network', { short: 'f' }) },
  args: { min: 2, max: 2 },
  complete: 'network',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    await client.networks.disconnect(args[0]!, { Container: args[1]!, Force: flags.force });
    return 0;
  },
});

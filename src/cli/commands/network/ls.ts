import { command } from '../../command.ts';
import { bool, filters, string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { labelFields } from '../../output/labels.ts';
import { printRows } from '../../output/rows.ts';
import { goTimeText } from '../../output/units.ts';
import { compareNatural } from '../../output/order.ts';

export const ls = command({
  usage: '[OPTIONS]',
  flags: {
    filter: filters('Provide filter values (e.g. "driver=bridge")', { short: 'f' }),
    format: string(FORMAT_HELP),
    'no-trunc': bool('Do not truncate the output'),
    quiet: bool('Only display network IDs', { short: 'q' }),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const client = await cli.client();
    const networks = (await client.networks.list(flags.filter)).toSorted((a, b) => compareNatural(a.Name, b.Name));
    printRows(
      cli,
      {
        columns: ['ID', 'Name', 'Driver', 'Scope'],
        headers: { ID: 'NETWORK ID', CreatedAt: 'CREATED AT' },
        typeName: '*network.networkContext',
        quiet: 'ID',
      },
      networks.map((network) => ({
        ID: flags['no-trunc'] ? network.Id : network.Id.slice(0, 12),
        Name: network.Name,
        Driver: network.Driver,
        Scope: network.Scope,
        IPv4: String(network.EnableIPv4 ?? true),
        IPv6: String(network.EnableIPv6),
        Internal: String(network.Internal),
        ...labelFields(network.Labels),
        CreatedAt: goTimeText(network.Created),
      })),
      {
        template: flags.format || (flags.quiet ? '' : (cli.config.document.networksFormat ?? '')),
        quiet: flags.quiet,
        noTrunc: flags['no-trunc'],
      },
    );
    return 0;
  },
});

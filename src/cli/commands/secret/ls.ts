import { command } from '../../command.ts';
import { bool, filters, string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { labelFields } from '../../output/labels.ts';
import { compareNatural } from '../../output/order.ts';
import { printRows } from '../../output/rows.ts';
import { timeAgo } from '../../output/units.ts';

export const ls = command({
  usage: '[OPTIONS]',
  flags: {
    filter: filters('Filter output based on conditions provided', { short: 'f' }),
    format: string(FORMAT_HELP),
    quiet: bool('Only display IDs', { short: 'q' }),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const client = await cli.client();
    const secrets = (await client.secrets.list(flags.filter)).toSorted((a, b) =>
      compareNatural(a.Spec.Name, b.Spec.Name),
    );
    printRows(
      cli,
      {
        columns: ['ID', 'Name', 'Driver', 'CreatedAt', 'UpdatedAt'],
        headers: { CreatedAt: 'CREATED', UpdatedAt: 'UPDATED' },
        typeName: '*formatter.secretContext',
        quiet: 'ID',
      },
      secrets.map((secret) => ({
        ID: secret.ID,
        Name: secret.Spec.Name,
        Driver: '',
        CreatedAt: timeAgo(Date.parse(secret.CreatedAt) / 1000),
        UpdatedAt: timeAgo(Date.parse(secret.UpdatedAt) / 1000),
        ...labelFields(secret.Spec.Labels),
      })),
      { template: flags.format || (flags.quiet ? '' : (cli.config.document.secretFormat ?? '')), quiet: flags.quiet },
    );
    for (const { Spec, Leaks } of secrets) {
      for (const { Where } of flags.quiet ? [] : (Leaks ?? []))
        cli.warn(cli.clean(`WARNING: the value of ${Spec.Name} was seen in the ${Where}: rotate it`));
    }
    return 0;
  },
});

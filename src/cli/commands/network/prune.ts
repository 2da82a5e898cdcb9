import { clientOf, TRASH_FLAG } from '../../options/trash.ts';
import { command } from '../../command.ts';
import { confirmPrune } from '../../confirm.ts';
import { bool, filters } from '../../flag.ts';
import { pruneFilters } from '../../options/prune-filters.ts';
import { printPruned } from '../../output/reclaimed.ts';

export const prune = command({
  usage: '[OPTIONS]',
  flags: {
    filter: filters('Provide filter values (e.g. "until=<timestamp>")'),
    force: bool('Do not prompt for confirmation', { short: 'f' }),
    ...TRASH_FLAG,
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const warning = 'WARNING! This will remove all custom networks not used by at least one container.';
    if (!(await confirmPrune(cli, flags.force, warning))) return 0;
    const client = await clientOf(() => cli.client(), flags);
    const report = await client.networks.prune(pruneFilters(cli, flags.filter));
    printPruned(cli, 'Deleted Networks:', report.NetworksDeleted ?? [], undefined);
    return 0;
  },
});

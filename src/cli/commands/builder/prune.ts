import { command } from '../../command.ts';
import { confirmPrune } from '../../confirm.ts';
import { bool, bytes, filters } from '../../flag.ts';
import { printPruned } from '../../output/reclaimed.ts';

export const prune = command({
  usage: '[OPTIONS]',
  flags: {
    all: bool('Remove all unused build cache, not just dangling ones', { short: 'a' }),
    filter: filters('Provide filter values (e.g. "until=24h")'),
    force: bool('Do not prompt for confirmation', { short: 'f' }),
    'keep-storage': bytes('Amount of disk space to keep for cache'),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags, given }) {
    const what = flags.all ? 'all build cache.' : 'all dangling build cache.';
    if (!(await confirmPrune(cli, flags.force, `WARNING! This will remove ${what}`))) return 0;
    const client = await cli.client();
    const report = await client.builder.prune({
      all: flags.all,
      filters: flags.filter,
      keepBytes: given.has('keep-storage') ? flags['keep-storage'] : undefined,
    });
    printPruned(cli, 'Deleted build cache objects:', report.CachesDeleted ?? [], report.SpaceReclaimed);
    return 0;
  },
});

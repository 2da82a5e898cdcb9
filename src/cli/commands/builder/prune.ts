import { command } from '../../command.ts';
import { confirmPrune } from '../../confirm.ts';
import { bool, bytes, filters } from '../../flag.ts';
import { printPruned } from '../../output/reclaimed.ts';

export const prune = command({
  usage: '[OPTIONS]',
  examples: `# What was not used for a day
gantry builder prune --all --filter unused-for=24h

# Down to 10 GB, the longest unused first
gantry builder prune --all --max-used-space 10gb`,
  flags: {
    all: bool('Remove all unused build cache, not just dangling ones', { short: 'a' }),
    filter: filters('Provide filter values (e.g. "until=24h")'),
    force: bool('Do not prompt for confirmation', { short: 'f' }),
    'keep-storage': bytes('Amount of disk space to keep for cache'),
    'max-used-space': bytes('Maximum amount of disk space allowed to keep for cache'),
    'min-free-space': bytes('Target amount of free disk space after pruning'),
    'reserved-space': bytes('Amount of disk space always allowed to keep for cache'),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags, given }) {
    const what = flags.all ? 'all build cache.' : 'all dangling build cache.';
    if (!(await confirmPrune(cli, flags.force, `WARNING! This will remove ${what}`))) return 0;
    const client = await cli.client();
    const report = await client.builder.prune({
      all: flags.all,
      filters: flags.filter,
      keepBytes: given.has('reserved-space')
        ? flags['reserved-space']
        : given.has('keep-storage')
          ? flags['keep-storage']
          : undefined,
      maxUsed: flags['max-used-space'] || undefined,
      minFree: flags['min-free-space'] || undefined,
    });
    printPruned(cli, 'Deleted build cache objects:', report.CachesDeleted ?? [], report.SpaceReclaimed);
    return 0;
  },
});

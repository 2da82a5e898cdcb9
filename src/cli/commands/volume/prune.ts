import { clientOf, TRASH_FLAG } from '../../options/trash.ts';
import { command } from '../../command.ts';
import { confirmPrune } from '../../confirm.ts';
import { bool, filters } from '../../flag.ts';
import { pruneFilters } from '../../options/prune-filters.ts';
import { printPruned } from '../../output/reclaimed.ts';

export const prune = command({
  usage: '[OPTIONS]',
  flags: {
    all: bool('Remove all unused volumes, not just anonymous ones', { short: 'a' }),
    filter: filters('Provide filter values (e.g. "label=<label>")'),
    force: bool('Do not prompt for confirmation', { short: 'f' }),
    ...TRASH_FLAG,
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const what = flags.all
      ? 'all local volumes not used by at least one container.'
      : 'anonymous local volumes not used by at least one container.';
    if (!(await confirmPrune(cli, flags.force, `WARNING! This will remove ${what}`))) return 0;
    const filter = pruneFilters(cli, flags.filter);
    if (flags.all) filter.set('all', ['true']);
    const client = await clientOf(() => cli.client(), flags);
    const report = await client.volumes.prune(filter);
    printPruned(cli, 'Deleted Volumes:', report.VolumesDeleted ?? [], report.SpaceReclaimed);
    return 0;
  },
});

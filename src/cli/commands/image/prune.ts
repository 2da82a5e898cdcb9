import { clientOf, TRASH_FLAG } from '../../options/trash.ts';
import { command } from '../../command.ts';
import { confirmPrune } from '../../confirm.ts';
import { bool, filters } from '../../flag.ts';
import { pruneFilters } from '../../options/prune-filters.ts';
import { deletedLines } from '../../output/image-deletes.ts';
import { printPruned } from '../../output/reclaimed.ts';

export const prune = command({
  usage: '[OPTIONS]',
  flags: {
    all: bool('Remove all unused images, not just dangling ones', { short: 'a' }),
    filter: filters('Provide filter values (e.g. "until=<timestamp>")'),
    force: bool('Do not prompt for confirmation', { short: 'f' }),
    ...TRASH_FLAG,
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const what = flags.all ? 'all images without at least one container associated to them.' : 'all dangling images.';
    if (!(await confirmPrune(cli, flags.force, `WARNING! This will remove ${what}`))) return 0;
    const client = await clientOf(() => cli.client(), flags);
    const report = await client.images.prune(
      new Map([...pruneFilters(cli, flags.filter), ['dangling', [String(!flags.all)]]]),
    );
    printPruned(cli, 'Deleted Images:', deletedLines(report.ImagesDeleted), report.SpaceReclaimed);
    return 0;
  },
});

import { clientOf, TRASH_FLAG } from '../../options/trash.ts';
import { command, CommandError } from '../../command.ts';
import { confirmPrune } from '../../confirm.ts';
import { bool, filters } from '../../flag.ts';
import { pruneFilters } from '../../options/prune-filters.ts';
import { deletedLines } from '../../output/image-deletes.ts';
import { printPruned } from '../../output/reclaimed.ts';

export const prune = command({
  usage: '[OPTIONS]',
  flags: {
    all: bool('Remove all unused images not just dangling ones', { short: 'a' }),
    filter: filters('Provide filter values (e.g. "label=<key>=<value>")'),
    force: bool('Do not prompt for confirmation', { short: 'f' }),
    volumes: bool('Prune anonymous volumes'),
    ...TRASH_FLAG,
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const filter = pruneFilters(cli, flags.filter);
    if (flags.volumes && filter.has('until'))
      throw new CommandError('ERROR: The "until" filter is not supported with "--volumes"');
    const losses = [
      'all stopped containers',
      'all networks not used by at least one container',
      ...(flags.volumes ? ['all anonymous volumes not used by at least one container'] : []),
      flags.all ? 'all images without at least one container associated to them' : 'all dangling images',
      flags.all ? 'all build cache' : 'unused build cache',
    ];
    const filterText =
      filter.size === 0
        ? ''
        : `\n  Items to be pruned will be filtered with:\n${[...filter].flatMap(([key, values]) => values.map((value) => `  - ${key}=${value}\n`)).join('')}`;
    const warning = `WARNING! This will remove:\n${losses.map((item) => `  - ${item}\n`).join('')}${filterText}`;
    if (!(await confirmPrune(cli, flags.force, warning))) return 0;
    const client = await clientOf(() => cli.client(), flags);
    let bytes = 0;
    const containers = await client.containers.prune(filter);
    bytes += containers.SpaceReclaimed;
    printPruned(cli, 'Deleted Containers:', containers.ContainersDeleted ?? [], undefined);
    const networks = await client.networks.prune(filter);
    printPruned(cli, 'Deleted Networks:', networks.NetworksDeleted ?? [], undefined);
    if (flags.volumes) {
      const volumes = await client.volumes.prune(filter);
      bytes += volumes.SpaceReclaimed;
      printPruned(cli, 'Deleted Volumes:', volumes.VolumesDeleted ?? [], undefined);
    }
    const images = await client.images.prune(new Map([...filter, ['dangling', [String(!flags.all)]]]));
    bytes += images.SpaceReclaimed;
    printPruned(cli, 'Deleted Images:', deletedLines(images.ImagesDeleted), undefined);
    const withoutLabels = new Map([...filter].filter(([key]) => !key.startsWith('label')));
    const cache = await client.builder.prune({ all: flags.all, filters: withoutLabels });
    bytes += cache.SpaceReclaimed;
    printPruned(cli, 'Deleted build cache objects:', cache.CachesDeleted ?? [], bytes);
    return 0;
  },
});

import type { TrashDocument, TrashRestoreReport } from '../../../api/trash.ts';
import type { Client } from '../../../client/client.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { confirm } from '../../confirm.ts';
import { bool, string } from '../../flag.ts';
import { authorOf } from '../../output/author.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { printRows } from '../../output/rows.ts';
import { humanSize, timeAgo } from '../../output/units.ts';

export const undo = command({
  usage: '[OPTIONS] [OPERATION|NAME...]',
  description:
    'Bring back what rm, rmi, volume rm, network rm, prune or compose down took away: what the last command did, or the operations and things named.',
  examples: `# The last removal, with everything that went with it
gantry undo

# What there is to bring back, and one of it
gantry undo --list
gantry undo 3f2a9c01d7be
gantry undo web

# Free the space now
gantry undo --empty`,
  flags: {
    list: bool('List what can be brought back, newest first', { short: 'l' }),
    empty: bool('Delete it for good instead: what is named, or everything'),
    force: bool('With --empty: do not prompt for confirmation', { short: 'f' }),
    format: string(`With --list: ${FORMAT_HELP}`),
  },
  args: { min: 0 },
  async run(cli, { flags, args }) {
    if (flags.list && flags.empty) throw new CommandError('--list and --empty exclude each other');
    const client = await cli.client();
    if (flags.list) return list(cli, await client.trash.list(), flags.format);
    if (flags.empty) return empty(cli, client, args, flags.force);
    return tell(cli, await client.trash.restore({ Ids: [...args] }));
  },
});

function list(cli: Cli, document: TrashDocument, template: string): number {
  const rows = document.Operations.flatMap(({ Id, Removed, By, Items }) =>
    Items.map(({ Kind, Name, Size }) => ({
      Operation: Id,
      Removed: timeAgo(Date.parse(Removed) / 1000),
      Kind,
      Name,
      Size: humanSize(Size, 3),
      By: authorOf(By),
    })),
  );
  printRows(
    cli,
    { columns: ['Operation', 'Removed', 'Kind', 'Name', 'Size', 'By'], headers: {}, typeName: '*trash.itemContext' },
    rows,
    { template },
  );
  if (document.Off && template === '') cli.warn('The trash is off: what is removed now is gone (daemon setting trash)');
  return 0;
}

async function empty(cli: Cli, client: Client, ids: readonly string[], force: boolean): Promise<number> {
  const what = ids.length === 0 ? 'everything in the trash' : ids.join(', ');
  if (
    !force &&
    !(await confirm(cli, `WARNING! This will delete ${what} for good.\nAre you sure you want to continue?`))
  )
    return 1;
  const { SpaceReclaimed } = await client.trash.empty(ids);
  cli.print(`Total reclaimed space: ${humanSize(SpaceReclaimed)}`);
  return 0;
}

function tell(cli: Cli, { Restored, Problems }: TrashRestoreReport): number {
  for (const { Kind, Name } of Restored) cli.print(cli.clean(`Restored ${Kind} ${Name}`));
  for (const { Kind, Name, Problem } of Problems) cli.warn(`${Kind} ${cli.clean(Name)} stays in the trash: ${Problem}`);
  return Problems.length > 0 ? 1 : 0;
}

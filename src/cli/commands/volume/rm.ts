import { clientOf, TRASH_FLAG } from '../../options/trash.ts';
import { command } from '../../command.ts';
import { bool } from '../../flag.ts';
import { forEachName } from '../../names.ts';

export const rm = command({
  usage: '[OPTIONS] VOLUME [VOLUME...]',
  flags: { force: bool('Force the removal of one or more volumes', { short: 'f' }), ...TRASH_FLAG },
  args: { min: 1 },
  complete: 'volume',
  async run(cli, { flags, args }) {
    const client = await clientOf(() => cli.client(), flags);
    return forEachName(cli, args, (name) => client.volumes.remove(name, { force: flags.force }), { atOnce: 1 });
  },
});

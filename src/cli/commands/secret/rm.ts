import { command } from '../../command.ts';
import { forEachName } from '../../names.ts';

export const rm = command({
  usage: 'SECRET [SECRET...]',
  flags: {},
  args: { min: 1 },
  complete: 'secret',
  async run(cli, { args }) {
    const client = await cli.client();
    return forEachName(cli, args, (name) => client.secrets.remove(name), { atOnce: 1 });
  },
});

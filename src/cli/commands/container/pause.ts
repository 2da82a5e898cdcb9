import { command } from '../../command.ts';
import { forEachName } from '../../names.ts';

export const pause = command({
  usage: 'CONTAINER [CONTAINER...]',
  flags: {},
  args: { min: 1 },
  complete: 'container',
  async run(cli, { args }) {
    const client = await cli.client();
    return forEachName(cli, args, (name) => client.containers.pause(name));
  },
});

export const unpause = command({
  usage: 'CONTAINER [CONTAINER...]',
  flags: {},
  args: { min: 1 },
  complete: 'container',
  async run(cli, { args }) {
    const client = await cli.client();
    return forEachName(cli, args, (name) => client.containers.unpause(name));
  },
});

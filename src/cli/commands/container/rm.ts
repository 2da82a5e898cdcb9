import { clientOf, TRASH_FLAG } from '../../options/trash.ts';
import { command } from '../../command.ts';
import { bool } from '../../flag.ts';
import { forEachName } from '../../names.ts';

export const rm = command({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: {
    force: bool('Force the removal of a running container (uses SIGKILL)', { short: 'f' }),
    link: bool('Remove the specified link', { short: 'l' }),
    volumes: bool('Remove anonymous volumes associated with the container', { short: 'v' }),
    ...TRASH_FLAG,
  },
  args: { min: 1 },
  complete: 'container',
  async run(cli, { flags, args }) {
    const client = await clientOf(() => cli.client(), flags);
    const { force, link, volumes } = flags;
    return forEachName(cli, args, (name) => client.containers.remove(name, { force, link, volumes }));
  },
});

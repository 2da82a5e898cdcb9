import { command } from '../../command.ts';
import { layOut } from '../../output/table.ts';

export const top = command({
  usage: 'CONTAINER [ps OPTIONS]',
  flags: {},
  args: { min: 1 },
  interspersed: false,
  complete: 'container',
  async run(cli, { args }) {
    const client = await cli.client();
    const { Titles, Processes } = await client.containers.top(args[0]!, args.slice(1).join(' ') || undefined);
    cli.io.stdout.write(cli.clean(layOut([Titles, ...(Processes ?? [])], 20, 1)));
    return 0;
  },
});

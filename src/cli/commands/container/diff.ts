import { command } from '../../command.ts';

export const diff = command({
  usage: 'CONTAINER',
  flags: {},
  args: { min: 1, max: 1 },
  complete: 'container',
  async run(cli, { args }) {
    const client = await cli.client();
    for (const { Path, Kind } of (await client.containers.changes(args[0]!)) ?? [])
      cli.print(`${'CAD'[Kind]} ${cli.clean(Path)}`);
    return 0;
  },
});

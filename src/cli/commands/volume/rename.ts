import { command } from '../../command.ts';

export const rename = command({
  usage: 'VOLUME NEW_NAME',
  flags: {},
  args: { min: 2, max: 2 },
  complete: 'volume',
  async run(cli, { args }) {
    const client = await cli.client();
    await client.volumes.rename(args[0]!, args[1]!);
    return 0;
  },
});

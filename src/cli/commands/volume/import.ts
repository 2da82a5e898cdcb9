import { command } from '../../command.ts';
import { readStream } from '../../output/file.ts';

export const importVolume = command({
  usage: 'VOLUME [file|-]',
  flags: {},
  args: { min: 1, max: 2 },
  complete: 'volume',
  async run(cli, { args }) {
    const archive = readStream(cli, args[1] ?? '-');
    const client = await cli.client();
    cli.print((await client.volumes.import(args[0]!, archive)).Name);
    return 0;
  },
});

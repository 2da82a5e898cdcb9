import { command } from '../../command.ts';
import { bool, each } from '../../flag.ts';
import { checkLabel, toRecord } from '../../options/environment.ts';

export const snapshot = command({
  usage: '[OPTIONS] VOLUME [SNAPSHOT]',
  flags: {
    label: each('list', 'Set metadata for the snapshot', checkLabel),
    live: bool('Copy although a running container may write into the volume'),
  },
  args: { min: 1, max: 2 },
  complete: 'volume',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    const request = { Name: args[1] ?? '', Labels: toRecord(flags.label), Live: flags.live };
    cli.print((await client.volumes.snapshot(args[0]!, request)).Name);
    return 0;
  },
});

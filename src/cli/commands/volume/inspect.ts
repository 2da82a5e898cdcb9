import { command } from '../../command.ts';
import { string } from '../../flag.ts';
import { INSPECT_FORMAT_HELP } from '../../output/format-help.ts';
import { printInspect } from '../../output/inspect.ts';

export const inspect = command({
  usage: '[OPTIONS] VOLUME [VOLUME...]',
  flags: { format: string(INSPECT_FORMAT_HELP, { short: 'f' }) },
  args: { min: 1 },
  complete: 'volume',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    return printInspect(cli, args, flags.format, (name) => client.volumes.inspectRaw(name));
  },
});

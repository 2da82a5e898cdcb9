import { command } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { INSPECT_FORMAT_HELP } from '../../output/format-help.ts';
import { printInspect } from '../../output/inspect.ts';

export const inspect = command({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: {
    format: string(INSPECT_FORMAT_HELP, { short: 'f' }),
    size: bool('Display total file sizes', { short: 's' }),
  },
  args: { min: 1 },
  complete: 'container',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    return printInspect(cli, args, flags.format, (name) => client.containers.inspectRaw(name, { size: flags.size }));
  },
});

import { command } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { INSPECT_FORMAT_HELP } from '../../output/format-help.ts';
import { printInspect } from '../../output/inspect.ts';

export const inspect = command({
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  flags: {
    format: string(INSPECT_FORMAT_HELP, { short: 'f' }),
    verbose: bool('Verbose output for diagnostics', { short: 'v' }),
  },
  args: { min: 1 },
  complete: 'network',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    return printInspect(cli, args, flags.format, (name) =>
      client.networks.inspectRaw(name, { verbose: flags.verbose }),
    );
  },
});

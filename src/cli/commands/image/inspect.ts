import { command } from '../../command.ts';
import { string } from '../../flag.ts';
import { platformJson } from '../../options/platform.ts';
import { INSPECT_FORMAT_HELP } from '../../output/format-help.ts';
import { printInspect } from '../../output/inspect.ts';

export const inspect = command({
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  flags: {
    format: string(INSPECT_FORMAT_HELP, { short: 'f' }),
    platform: string('Inspect a specific platform of the multi-platform image (eg. linux/amd64)'),
  },
  args: { min: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    return printInspect(cli, args, flags.format, (name) =>
      client.images.inspectRaw(name, { platform: platformJson(flags.platform) }),
    );
  },
});

import { command } from '../../command.ts';
import { string } from '../../flag.ts';
import { platformJson } from '../../options/platform.ts';
import { writeStream } from '../../output/file.ts';

export const save = command({
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  flags: {
    output: string('Write to a file, instead of STDOUT', { short: 'o', complete: 'file' }),
    platform: string('Save only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")'),
  },
  args: { min: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const platform = platformJson(flags.platform);
    await writeStream(
      cli,
      flags.output,
      async () =>
        (await (await cli.client()).images.save(args, platform === undefined ? {} : { platforms: [platform] })).body,
      'save',
    );
    return 0;
  },
});

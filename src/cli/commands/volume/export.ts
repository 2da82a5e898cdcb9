import { command } from '../../command.ts';
import { string } from '../../flag.ts';
import { writeStream } from '../../output/file.ts';

export const exportVolume = command({
  usage: '[OPTIONS] VOLUME',
  flags: { output: string('Write to a file, instead of STDOUT', { short: 'o', complete: 'file' }) },
  args: { min: 1, max: 1 },
  complete: 'volume',
  async run(cli, { flags, args }) {
    await writeStream(
      cli,
      flags.output,
      async () => (await (await cli.client()).volumes.export(args[0]!)).body,
      'export',
      'volume',
    );
    return 0;
  },
});

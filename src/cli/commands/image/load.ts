import { command, CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { platformJson } from '../../options/platform.ts';
import { readStream } from '../../output/file.ts';
import { progressFlag, progressForm, progressOutput } from '../../options/progress.ts';
import { showProgress } from '../../output/progress.ts';

export const load = command({
  usage: '[OPTIONS]',
  flags: {
    input: string('Read from tar archive file, instead of STDIN', { short: 'i', complete: 'file' }),
    platform: string('Load only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")'),
    progress: progressFlag,
    quiet: bool('Suppress the load output', { short: 'q' }),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    if (flags.input === '' && cli.io.stdinIsTTY)
      throw new CommandError('requested load from stdin, but stdin is empty');
    const form = progressForm(flags, cli.io.stdout);
    const archive = readStream(cli, flags.input);
    const client = await cli.client();
    const platform = platformJson(flags.platform);
    // Rows of each layer only where they are drawn or read by a program.
    const quiet = form === 'quiet' || form === 'plain';
    await showProgress(
      progressOutput(form === 'quiet' ? 'plain' : form, cli.io.stdout),
      await client.images.load(archive, { quiet, ...(platform === undefined ? {} : { platforms: [platform] }) }),
      { json: form === 'json' },
    );
    return 0;
  },
});

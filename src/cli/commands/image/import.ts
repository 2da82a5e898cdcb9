import { parseReference } from '../../../oci/reference.ts';
import { command } from '../../command.ts';
import { list, string } from '../../flag.ts';
import { readStream } from '../../output/file.ts';
import { progressFlag, progressForm, progressOutput } from '../../options/progress.ts';
import { showProgress } from '../../output/progress.ts';

export const importImage = command({
  usage: '[OPTIONS] file|URL|- [REPOSITORY[:TAG]]',
  flags: {
    change: list('Apply Dockerfile instruction to the created image', { short: 'c' }),
    message: string('Set commit message for imported image', { short: 'm' }),
    progress: progressFlag,
    platform: string('Set platform if server is multi-platform capable'),
  },
  args: { min: 1, max: 2 },
  complete: 'file',
  async run(cli, { flags, args }) {
    const [source, name] = args;
    if (name !== undefined) parseReference(name); // told before anything is sent
    const form = progressForm(flags, cli.io.stdout);
    const remote = /^https?:\/\//.test(source!);
    const body = remote ? undefined : readStream(cli, source!);
    const client = await cli.client();
    await showProgress(
      progressOutput(form, cli.io.stdout),
      client.images.import({
        source: remote ? source! : '-',
        ...(body ? { body } : {}),
        repository: name,
        message: flags.message || undefined,
        changes: flags.change,
        platform: flags.platform || undefined,
      }),
      { json: form === 'json' },
    );
    return 0;
  },
});

import { DEFAULT_TAG, parseReference } from '../../../oci/reference.ts';
import { command, CommandError } from '../../command.ts';
import { authHeaderFor } from '../../credentials.ts';
import { bool, string } from '../../flag.ts';
import { platformJson } from '../../options/platform.ts';
import { progressFlag, progressForm, progressOutput, say } from '../../options/progress.ts';
import { showProgress } from '../../output/progress.ts';
import { familiarName } from '../../pull-image.ts';

export const push = command({
  usage: '[OPTIONS] NAME[:TAG]',
  flags: {
    'all-tags': bool('Push all tags of an image to the repository', { short: 'a' }),
    'disable-content-trust': bool('Skip image signing', { initial: true, hidden: true }),
    platform: string(
      "Push a platform-specific manifest as a single-platform image to the registry.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
    ),
    progress: progressFlag,
    quiet: bool('Suppress verbose output', { short: 'q' }),
  },
  args: { min: 1, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const reference = parseReference(args[0]!);
    if (reference.digest !== undefined) throw new CommandError('cannot push a digest reference');
    if (flags['all-tags'] && reference.tag !== undefined)
      throw new CommandError("tag can't be used with --all-tags/-a");
    const tag = flags['all-tags'] ? undefined : (reference.tag ?? DEFAULT_TAG);
    const form = progressForm(flags, cli.io.stdout);
    if (!flags['all-tags'] && reference.tag === undefined && form !== 'quiet')
      say(cli, form, `Using default tag: ${DEFAULT_TAG}`);
    const client = await cli.client();
    await showProgress(
      progressOutput(form, cli.io.stdout),
      client.images.push(reference.repository, {
        tag,
        platform: platformJson(flags.platform),
        auth: await authHeaderFor(cli, args[0]!),
      }),
      { json: form === 'json' },
    );
    if (form === 'quiet') cli.print(flags['all-tags'] ? reference.repository : familiarName({ ...reference, tag }));
    return 0;
  },
});

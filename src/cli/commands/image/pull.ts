import { DEFAULT_TAG, parseReference } from '../../../oci/reference.ts';
import { command, CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { pullImage } from '../../pull-image.ts';

export const pull = command({
  usage: '[OPTIONS] NAME[:TAG|@DIGEST]',
  flags: {
    'all-tags': bool('Download all tagged images in the repository', { short: 'a' }),
    'disable-content-trust': bool('Skip image verification', { initial: true, hidden: true }),
    platform: string('Set platform if server is multi-platform capable'),
    quiet: bool('Suppress verbose output', { short: 'q' }),
  },
  args: { min: 1, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const reference = parseReference(args[0]!);
    const bare = reference.tag === undefined && reference.digest === undefined;
    if (flags['all-tags'] && !bare) throw new CommandError("tag can't be used with --all-tags/-a");
    if (!flags['all-tags'] && bare && !flags.quiet) cli.print(`Using default tag: ${DEFAULT_TAG}`);
    const platform = flags.platform || cli.env['DOCKER_DEFAULT_PLATFORM'] || undefined;
    await pullImage(cli, args[0]!, {
      platform,
      all: flags['all-tags'],
      output: flags.quiet ? undefined : cli.io.stdout,
    });
    const end =
      reference.digest !== undefined
        ? `@${reference.digest}`
        : flags['all-tags']
          ? ''
          : `:${reference.tag ?? DEFAULT_TAG}`;
    cli.print(`${reference.repository}${end}`);
    return 0;
  },
});

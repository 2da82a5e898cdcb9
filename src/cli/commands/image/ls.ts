import { command, CommandError } from '../../command.ts';
import { bool, filters, string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { IMAGE_FORMAT, imageRows } from '../../output/image-row.ts';
import { imageTree } from '../../output/image-tree.ts';
import { printRows } from '../../output/rows.ts';

export const ls = command({
  usage: '[OPTIONS] [REPOSITORY[:TAG]]',
  flags: {
    all: bool('Show all images (default hides intermediate images)', { short: 'a' }),
    digests: bool('Show digests'),
    filter: filters('Filter output based on conditions provided', { short: 'f' }),
    format: string(FORMAT_HELP),
    'no-trunc': bool("Don't truncate output"),
    quiet: bool('Only show image IDs', { short: 'q' }),
    tree: bool('List multi-platform images as a tree'),
  },
  args: { min: 0, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const wanted =
      args[0] === undefined
        ? flags.filter
        : new Map([...flags.filter, ['reference', [...(flags.filter.get('reference') ?? []), args[0]]]]);
    const client = await cli.client();
    const images = await client.images.list({ all: flags.all, filters: wanted, manifests: flags.tree });
    if (flags.tree) {
      for (const flag of ['digests', 'format', 'quiet', 'no-trunc'] as const)
        if (flags[flag]) throw new CommandError(`--${flag} is not yet supported with --tree`);
      cli.io.stdout.write(cli.clean(imageTree(images)));
      return 0;
    }
    const digests = flags.digests || /\.Digest\b/.test(flags.format);
    const rows = images.flatMap((image) => imageRows(image, { truncate: !flags['no-trunc'], digests }));
    printRows(
      cli,
      flags.digests
        ? { ...IMAGE_FORMAT, columns: ['Repository', 'Tag', 'Digest', 'ID', 'CreatedSince', 'Size'] }
        : IMAGE_FORMAT,
      rows,
      {
        template: flags.format || (flags.quiet ? '' : (cli.config.document.imagesFormat ?? '')),
        quiet: flags.quiet,
        noTrunc: flags['no-trunc'],
      },
    );
    return 0;
  },
});

import { command } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { platformJson } from '../../options/platform.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { printRows } from '../../output/rows.ts';
import { humanSize, localRfc3339, timeAgo } from '../../output/units.ts';
import { ellipsis } from '../../output/width.ts';

export const history = command({
  usage: '[OPTIONS] IMAGE',
  flags: {
    format: string(FORMAT_HELP),
    human: bool('Print sizes and dates in human readable format', { short: 'H', initial: true }),
    'no-trunc': bool("Don't truncate output"),
    platform: string('Show history for the given platform. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")'),
    quiet: bool('Only show image IDs', { short: 'q' }),
  },
  args: { min: 1, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    const items = await client.images.history(args[0]!, { platform: platformJson(flags.platform) });
    const short = !flags['no-trunc'];
    printRows(
      cli,
      {
        columns: ['ID', flags.human ? 'CreatedSince' : 'CreatedAt', 'CreatedBy', 'Size', 'Comment'],
        headers: { ID: 'IMAGE', CreatedSince: 'CREATED', CreatedAt: 'CREATED AT', CreatedBy: 'CREATED BY' },
        typeName: '*formatter.historyContext',
        quiet: 'ID',
      },
      items.map((item) => {
        const by = item.CreatedBy.replaceAll('\t', ' ');
        return {
          ID: short && item.Id !== '<missing>' ? item.Id.replace(/^sha256:/, '').slice(0, 12) : item.Id,
          CreatedAt: item.Created <= 0 ? '' : localRfc3339(item.Created * 1000),
          CreatedSince:
            item.Created <= 0 ? 'N/A' : flags.human ? timeAgo(item.Created) : localRfc3339(item.Created * 1000),
          CreatedBy: short ? ellipsis(by, 45) : by,
          Size: flags.human ? humanSize(item.Size, 3) : String(item.Size),
          Comment: item.Comment,
        };
      }),
      { template: flags.format, quiet: flags.quiet, noTrunc: flags['no-trunc'] },
    );
    return 0;
  },
});

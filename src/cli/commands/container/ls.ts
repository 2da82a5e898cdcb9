import { command } from '../../command.ts';
import { bool, filters, int, string } from '../../flag.ts';
import { CONTAINER_FORMAT, containerRow, EMPTY_CONTAINER } from '../../output/container-row.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { formatRows, printRows } from '../../output/rows.ts';

export const ls = command({
  usage: '[OPTIONS]',
  flags: {
    all: bool('Show all containers (default shows just running)', { short: 'a' }),
    filter: filters('Filter output based on conditions provided', { short: 'f' }),
    format: string(FORMAT_HELP),
    last: int('Show n last created containers (includes all states)', { short: 'n', initial: -1 }),
    latest: bool('Show the latest created container (includes all states)', { short: 'l' }),
    'no-trunc': bool("Don't truncate output"),
    quiet: bool('Only display container IDs', { short: 'q' }),
    size: bool('Display total file sizes', { short: 's' }),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const template = flags.format || (flags.quiet ? '' : (cli.config.document.psFormat ?? ''));
    const size = flags.size || /\.Size\b/.test(template);
    const last = flags.latest ? 1 : flags.last;
    // A template that cannot work is told even where there is nothing to list, and before the engine is asked.
    if (template !== '')
      formatRows(CONTAINER_FORMAT, [containerRow(EMPTY_CONTAINER, { truncate: true })], { template });
    const client = await cli.client();
    const containers = await client.containers.list({
      all: flags.all,
      limit: last > 0 ? last : undefined,
      size,
      filters: flags.filter,
    });
    printRows(
      cli,
      flags.size && !CONTAINER_FORMAT.columns.includes('Size')
        ? { ...CONTAINER_FORMAT, columns: [...CONTAINER_FORMAT.columns, 'Size'] }
        : CONTAINER_FORMAT,
      containers.map((container) => containerRow(container, { truncate: !flags['no-trunc'] })),
      { template, quiet: flags.quiet, noTrunc: flags['no-trunc'] },
    );
    return 0;
  },
});

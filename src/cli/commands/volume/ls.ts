import { command } from '../../command.ts';
import { bool, filters, string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { printRows } from '../../output/rows.ts';
import { VOLUME_FORMAT, volumeRow } from '../../output/volume-row.ts';
import { compareNatural } from '../../output/order.ts';

export const ls = command({
  usage: '[OPTIONS]',
  flags: {
    filter: filters('Provide filter values (e.g. "dangling=true")', { short: 'f' }),
    format: string(FORMAT_HELP),
    quiet: bool('Only display volume names', { short: 'q' }),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const client = await cli.client();
    const { Volumes } = await client.volumes.list(flags.filter);
    const volumes = (Volumes ?? []).toSorted((a, b) => compareNatural(a.Name, b.Name));
    printRows(cli, VOLUME_FORMAT, volumes.map(volumeRow), {
      template: flags.format || (flags.quiet ? '' : (cli.config.document.volumesFormat ?? '')),
      quiet: flags.quiet,
    });
    return 0;
  },
});

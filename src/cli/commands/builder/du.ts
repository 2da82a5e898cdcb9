import type { BuildCacheRecord } from '../../../api/system.ts';
import { command } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { printRows } from '../../output/rows.ts';
import { humanSize, timeAgo } from '../../output/units.ts';

/** What the build cache takes, record by record, the largest first. */
export const du = command({
  usage: '[OPTIONS]',
  examples: `# What the build cache takes on disk
gantry builder du

# With what each record is
gantry builder du --verbose`,
  flags: { format: string(FORMAT_HELP), verbose: bool('Provide a more verbose output') },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const records = (await (await cli.client()).system.diskUsage()).BuildCache ?? [];
    const sorted = records.toSorted((a, b) => b.Size - a.Size || (a.ID < b.ID ? -1 : 1));
    if (flags.verbose && flags.format === '') {
      for (const record of sorted) cli.print(`${details(record)}\n`);
    } else {
      printRows(
        cli,
        {
          columns: ['ID', 'Reclaimable', 'Size', 'LastAccessed'],
          headers: { LastAccessed: 'LAST ACCESSED' },
          typeName: '*formatter.buildCacheContext',
        },
        sorted.map((record) => ({
          ID: record.ID,
          Reclaimable: String(!record.InUse),
          Size: humanSize(record.Size),
          LastAccessed: record.LastUsedAt ? timeAgo(Date.parse(record.LastUsedAt) / 1000) : '',
          Description: record.Description,
          Type: record.Type,
        })),
        { template: flags.format },
      );
    }
    if (flags.format === '') {
      const sum = (of: readonly BuildCacheRecord[]): string =>
        humanSize(of.reduce((total, { Size }) => total + Size, 0));
      cli.print(`Reclaimable:\t${sum(records.filter(({ InUse }) => !InUse))}\nTotal:\t\t${sum(records)}`);
    }
    return 0;
  },
});

function details(record: BuildCacheRecord): string {
  const lines: readonly (readonly [string, string])[] = [
    ['ID', record.ID],
    ['Parents', (record.Parents ?? []).join(', ')],
    ['Created at', record.CreatedAt],
    ['Mutable', String(record.Type === 'exec.cachemount')],
    ['Reclaimable', String(!record.InUse)],
    ['Size', humanSize(record.Size)],
    ['Description', record.Description],
    ['Usage count', String(record.UsageCount)],
    ['Last used', record.LastUsedAt ? timeAgo(Date.parse(record.LastUsedAt) / 1000) : ''],
    ['Type', record.Type],
  ];
  return lines
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${`${name}:`.padEnd(16)}${value}`)
    .join('\n');
}

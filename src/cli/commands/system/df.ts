import type { DiskPart } from '../../../api/gantry.ts';
import type { DiskUsage } from '../../../api/system.ts';
import type { TrashDocument } from '../../../api/trash.ts';
import { errorCode } from '../../../base/errors.ts';
import type { Client } from '../../../client/client.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { CONTAINER_FORMAT, containerRow } from '../../output/container-row.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { IMAGE_FORMAT, imageRows } from '../../output/image-row.ts';
import {
  compile,
  execute,
  formatRows,
  printRows,
  type Row,
  type RowFormat,
  templateRow,
  unescapeTemplate,
} from '../../output/rows.ts';
import { layOut } from '../../output/table.ts';
import { goTime, humanSize, timeAgo } from '../../output/units.ts';
import { VOLUME_FORMAT, volumeRow } from '../../output/volume-row.ts';
import { goJson } from '../../../template/print.ts';

export const df = command({
  usage: '[OPTIONS]',
  flags: {
    format: string(FORMAT_HELP),
    'on-disk': bool('Show what the files of the engine take, by what they are for: together all that du finds'),
    verbose: bool('Show detailed information on space usage', { short: 'v' }),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    if (flags.verbose && flags['on-disk']) throw new CommandError('the on-disk and verbose flags conflict');
    const client = await cli.client();
    if (flags['on-disk']) {
      printOnDisk(cli, await client.system.onDisk(), flags.format);
      return 0;
    }
    const usage = await client.system.diskUsage();
    if (flags.verbose) {
      cli.io.stdout.write(
        cli.clean(
          flags.format === '' || flags.format === 'table' ? details(usage) : `${formatDetails(usage, flags.format)}\n`,
        ),
      );
      return 0;
    }
    const trash = await trashOf(client);
    printRows(
      cli,
      {
        columns: ['Type', 'TotalCount', 'Active', 'Size', 'Reclaimable'],
        headers: { TotalCount: 'TOTAL' },
        typeName: '*formatter.diskUsageContext',
      },
      [
        imagesRow(usage),
        containersRow(usage),
        volumesRow(usage),
        cacheRow(usage),
        ...(trash && trash.Operations.length > 0 ? [trashRow(trash)] : []),
      ],
      { template: flags.format },
    );
    return 0;
  },
});

/** Undefined with an engine that has none. */
async function trashOf(client: Client): Promise<TrashDocument | undefined> {
  try {
    return await client.trash.list();
  } catch (error) {
    if (errorCode(error) === 'not-found') return undefined;
    throw error;
  }
}

function trashRow({ Operations, Size }: TrashDocument): Row {
  const total = Operations.reduce((sum, { Items }) => sum + Items.length, 0);
  return summary('Trash', total, 0, Size, Size);
}

function printOnDisk(cli: Cli, parts: readonly DiskPart[], format: string): void {
  const total = parts.reduce((sum, { Bytes }) => sum + Bytes, 0);
  const rows = [...parts, { Name: 'total', Bytes: total }].map(({ Name, Bytes }) => ({
    Part: Name,
    Size: humanSize(Bytes),
    Bytes: String(Bytes),
  }));
  printRows(cli, { columns: ['Part', 'Size', 'Bytes'], headers: {}, typeName: '*formatter.onDiskContext' }, rows, {
    template: format,
  });
}

function summary(
  Type: string,
  total: number,
  active: number,
  size: number,
  reclaimable: number,
  percent = size > 0,
): Row {
  const share = percent ? ` (${Math.trunc((reclaimable / size) * 100)}%)` : '';
  return {
    Type,
    TotalCount: String(total),
    Active: String(active),
    Size: humanSize(size),
    Reclaimable: `${humanSize(reclaimable)}${share}`,
  };
}

function imagesRow(usage: DiskUsage): Row {
  const images = usage.Images ?? [];
  const active = images.filter((image) => image.Containers > 0);
  let used = 0;
  for (const image of images) {
    if (image.Containers === 0) continue;
    if (image.Size === -1 || image.SharedSize === -1) continue;
    used += image.Size - image.SharedSize;
  }
  return summary('Images', images.length, active.length, usage.LayersSize, Math.max(0, usage.LayersSize - used));
}

function containersRow(usage: DiskUsage): Row {
  const containers = usage.Containers ?? [];
  const active = containers.filter(({ State }) => /running|paused|restarting/.test(State));
  const size = (list: typeof containers): number => list.reduce((sum, item) => sum + (item.SizeRw ?? 0), 0);
  return summary('Containers', containers.length, active.length, size(containers), size(containers) - size(active));
}

function volumesRow(usage: DiskUsage): Row {
  const volumes = usage.Volumes ?? [];
  const known = volumes.filter((volume) => (volume.UsageData?.Size ?? -1) !== -1);
  const size = known.reduce((sum, volume) => sum + volume.UsageData!.Size, 0);
  const used = known
    .filter((volume) => volume.UsageData!.RefCount > 0)
    .reduce((sum, volume) => sum + volume.UsageData!.Size, 0);
  const active = volumes.filter((volume) => (volume.UsageData?.RefCount ?? 0) > 0);
  return summary('Local Volumes', volumes.length, active.length, size, size - used);
}

function cacheRow(usage: DiskUsage): Row {
  const records = usage.BuildCache ?? [];
  const size = records.filter(({ Shared }) => !Shared).reduce((sum, item) => sum + item.Size, 0);
  const inUse = records.filter(({ Shared, InUse }) => !Shared && InUse).reduce((sum, item) => sum + item.Size, 0);
  return summary('Build Cache', records.length, records.filter(({ InUse }) => InUse).length, size, size - inUse, false);
}

/** All of it for one template: lists of what `images`, `ps` and `volume ls` show, and of the records of the build cache. */
function formatDetails(usage: DiskUsage, format: string): string {
  const seen = (rowFormat: RowFormat, rows: readonly Row[]): unknown[] =>
    rows.map((row) => templateRow(rowFormat, row));
  const data = {
    Images: seen(
      IMAGE_FORMAT,
      (usage.Images ?? []).flatMap((image) => imageRows(image, { truncate: false, digests: false })),
    ),
    Containers: seen(
      CONTAINER_FORMAT,
      (usage.Containers ?? []).map((container) => ({
        ...containerRow(container, { truncate: false }),
        Size: humanSize(container.SizeRw ?? 0, 3),
      })),
    ),
    Volumes: seen(VOLUME_FORMAT, (usage.Volumes ?? []).map(volumeRow)),
    BuildCache: seen(CACHE_FORMAT, (usage.BuildCache ?? []).map(cacheRecordRow)),
  };
  return format === 'json' ? goJson(data) : execute(compile(unescapeTemplate(format)), data);
}

const CACHE_FORMAT: RowFormat = { columns: [], headers: {}, typeName: '*formatter.buildCacheContext' };

function cacheRecordRow(item: NonNullable<DiskUsage['BuildCache']>[number]): Row {
  return {
    ID: item.ID,
    CacheType: item.Type,
    Description: item.Description,
    Size: humanSize(item.Size, 3),
    CreatedAt: goTime(Date.parse(item.CreatedAt)),
    CreatedSince: timeAgo(Date.parse(item.CreatedAt) / 1000),
    LastUsedAt: item.LastUsedAt === null ? '' : goTime(Date.parse(item.LastUsedAt)),
    LastUsedSince: item.LastUsedAt === null ? '' : timeAgo(Date.parse(item.LastUsedAt) / 1000),
    UsageCount: String(item.UsageCount),
    InUse: String(item.InUse),
    Shared: String(item.Shared),
  };
}

function details(usage: DiskUsage): string {
  const images = (usage.Images ?? []).flatMap((image) =>
    imageRows(image, { truncate: true, digests: false }).map((row) =>
      [
        row['Repository'],
        row['Tag'],
        row['ID'],
        row['CreatedSince'],
        row['Size'],
        row['SharedSize'],
        row['UniqueSize'],
        row['Containers'],
      ].map(String),
    ),
  );
  const containers = (usage.Containers ?? []).map((container) => ({
    ...containerRow(container, { truncate: true }),
    Size: humanSize(container.SizeRw ?? 0, 3),
  }));
  const volumes = (usage.Volumes ?? []).map((volume) => [
    volume.Name,
    String(volume.UsageData?.RefCount ?? 'N/A'),
    volume.UsageData ? humanSize(volume.UsageData.Size) : 'N/A',
  ]);
  const cache = (usage.BuildCache ?? []).map((item) => [
    item.ID.slice(0, 12),
    item.Type,
    humanSize(item.Size, 3),
    timeAgo(Date.parse(item.CreatedAt) / 1000),
    item.LastUsedAt === null ? '' : timeAgo(Date.parse(item.LastUsedAt) / 1000),
    String(item.UsageCount),
    String(item.Shared),
  ]);
  const size = cacheRow(usage)['Size'];
  return [
    'Images space usage:\n',
    layOut([
      ['REPOSITORY', 'TAG', 'IMAGE ID', 'CREATED', 'SIZE', 'SHARED SIZE', 'UNIQUE SIZE', 'CONTAINERS'],
      ...images,
    ]),
    'Containers space usage:\n',
    formatRows(
      {
        ...CONTAINER_FORMAT,
        columns: ['ID', 'Image', 'Command', 'LocalVolumes', 'Size', 'RunningFor', 'Status', 'Names'],
      },
      containers,
    ),
    'Local Volumes space usage:\n',
    layOut([['VOLUME NAME', 'LINKS', 'SIZE'], ...volumes]),
    `Build cache usage: ${String(size)}\n`,
    layOut([['CACHE ID', 'CACHE TYPE', 'SIZE', 'CREATED', 'LAST USED', 'USAGE', 'SHARED'], ...cache]),
  ].join('\n');
}

import type { ContainerSummary } from '../../../api/container.ts';
import { COMPOSE_VERSION, LABEL } from '../../../compose/project/labels.ts';
import { VERSION } from '../../../base/version.ts';
import { CommandError } from '../../command.ts';
import { bool, filters, int, string } from '../../flag.ts';
import { layOut } from '../../output/table.ts';
import { humanSize, timeAgo } from '../../output/units.ts';
import { composeCommand } from './context.ts';

export const images = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    format: string('Format the output. Values: [table | json]', { initial: 'table' }),
    quiet: bool('Only display IDs', { short: 'q' }),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    const { containers } = await compose.containers(args);
    const client = await compose.client();
    const { cli } = compose;
    const rows = await Promise.all(
      containers.map(async (item) => {
        const image = await client.images.inspect(item.summary.ImageID);
        const tag =
          image.RepoTags.find((one) => one === item.summary.Image || one === `${item.summary.Image}:latest`) ??
          image.RepoTags[0] ??
          '<none>:<none>';
        const cut = tag.lastIndexOf(':');
        return {
          name: item.name,
          repository: tag.slice(0, cut),
          tag: tag.slice(cut + 1),
          platform: `${image.Os}/${image.Architecture}`,
          id: image.Id,
          size: image.Size,
          created: image.Created ?? '',
          last: image.Metadata.LastTagTime,
        };
      }),
    );
    checkFormat(flags.format);
    if (flags.quiet) for (const id of new Set(rows.map((row) => row.id.replace(/^sha256:/, '')))) cli.print(id);
    else if (flags.format === 'json')
      cli.print(
        JSON.stringify(
          rows.map((row) => ({
            ID: row.id,
            ContainerName: row.name,
            Repository: row.repository,
            Tag: row.tag,
            Platform: row.platform,
            Size: row.size,
            Created: row.created,
            LastTagTime: row.last,
          })),
        ),
      );
    else
      cli.io.stdout.write(
        layOut(
          [
            ['CONTAINER', 'REPOSITORY', 'TAG', 'PLATFORM', 'IMAGE ID', 'SIZE', 'CREATED'],
            ...rows.map((row) => [
              cli.clean(row.name),
              row.repository,
              row.tag,
              row.platform,
              row.id.replace(/^sha256:/, '').slice(0, 12),
              humanSize(row.size, 3),
              timeAgo(Date.parse(row.created) / 1000),
            ]),
          ],
          20,
        ),
      );
    return 0;
  },
});

export const ls = composeCommand({
  usage: '[OPTIONS]',
  flags: {
    all: bool('Show all stopped Compose projects', { short: 'a' }),
    filter: filters('Filter output based on conditions provided (name=PART)'),
    format: string('Format the output. Values: [table | json]', { initial: 'table' }),
    quiet: bool('Only display project names', { short: 'q' }),
  },
  args: { min: 0, max: 0 },
  async run(compose, { flags }) {
    const { cli } = compose;
    for (const key of flags.filter.keys())
      if (key !== 'name') throw new CommandError(`unknown filter ${JSON.stringify(key)}: use name=PART`);
    checkFormat(flags.format);
    const parts = flags.filter.get('name') ?? [];
    const client = await compose.client();
    const found = await client.containers.list({ all: true, filters: new Map([['label', [LABEL.project]]]) });
    const projects = new Map<string, ContainerSummary[]>();
    for (const item of found) {
      if (item.Labels[LABEL.oneOff] === 'True') continue;
      const name = item.Labels[LABEL.project]!;
      projects.set(name, [...(projects.get(name) ?? []), item]);
    }
    const rows = [...projects]
      .filter(([name]) => parts.length === 0 || parts.some((part) => name.includes(part)))
      .filter(([, items]) => flags.all || items.some((item) => item.State === 'running'))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, items]) => ({
        Name: name,
        Status: statusOf(items),
        ConfigFiles: items.map((item) => item.Labels[LABEL.configFiles]).find((text) => text !== undefined) ?? 'N/A',
      }));
    if (flags.quiet) for (const row of rows) cli.print(cli.clean(row.Name));
    else if (flags.format === 'json') cli.print(JSON.stringify(rows));
    else
      cli.io.stdout.write(
        layOut(
          [
            ['NAME', 'STATUS', 'CONFIG FILES'],
            ...rows.map((row) => [cli.clean(row.Name), row.Status, cli.clean(row.ConfigFiles)]),
          ],
          20,
        ),
      );
    return 0;
  },
});

function statusOf(items: readonly ContainerSummary[]): string {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item.State, (counts.get(item.State) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([state, count]) => `${state}(${count})`)
    .join(', ');
}

export const port = composeCommand({
  usage: '[OPTIONS] SERVICE PRIVATE_PORT',
  flags: {
    index: int('Index of the container if service has multiple replicas'),
    protocol: string('tcp or udp', { initial: 'tcp' }),
  },
  args: { min: 2, max: 2 },
  async run(compose, { flags, args }) {
    const container = await compose.container(args[0]!, flags.index);
    const wanted = Number(args[1]);
    const found = container.summary.Ports.find(
      (item) => item.PrivatePort === wanted && item.Type === flags.protocol && item.PublicPort !== undefined,
    );
    if (!found) throw new CommandError(`no port ${args[1]}/${flags.protocol} for container ${container.name}`);
    const ip = found.IP ?? '0.0.0.0';
    compose.cli.print(`${ip.includes(':') ? `[${ip}]` : ip}:${found.PublicPort}`);
    return 0;
  },
});

export const top = composeCommand({
  usage: '[SERVICES...]',
  flags: {},
  args: { min: 0 },
  async run(compose, { args }) {
    const { containers } = await compose.containers(args);
    const client = await compose.client();
    const { cli } = compose;
    let titles: string[] | undefined;
    const rows: string[][] = [];
    for (const item of containers) {
      if (item.summary.State !== 'running') continue;
      const found = await client.containers.top(item.id);
      titles ??= found.Titles;
      for (const process of found.Processes)
        rows.push([cli.clean(item.service), String(item.number), ...process.map((text) => cli.clean(text))]);
    }
    if (titles) cli.io.stdout.write(layOut([['SERVICE', '#', ...titles], ...rows], 0, 2));
    return 0;
  },
});

export const version = composeCommand({
  usage: '[OPTIONS]',
  flags: {
    format: string('Format the output. Values: [pretty | json]', { short: 'f', initial: 'pretty' }),
    short: bool("Shows only Compose's version number"),
  },
  args: { min: 0, max: 0 },
  async run(compose, { flags }) {
    if (flags.short) compose.cli.print(VERSION);
    else if (flags.format === 'json') compose.cli.print(JSON.stringify({ version: VERSION }));
    else compose.cli.print(`Gantry Compose version ${VERSION} (projects as of Docker Compose ${COMPOSE_VERSION})`);
    return 0;
  },
});

/** Throws `CommandError` for what these lists are not shown in. */
function checkFormat(format: string): void {
  if (!['', 'table', 'json'].includes(format))
    throw new CommandError(`format value ${JSON.stringify(format)} could not be parsed: use table or json`);
}

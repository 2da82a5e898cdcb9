import { containerRow, portsText } from '../../output/container-row.ts';
import { labelFields } from '../../output/labels.ts';
import { formatTemplate } from '../../output/rows.ts';
import { fitRows, layOut } from '../../output/table.ts';
import { decode, list as listOf, struct } from '../../../template/go-value.ts';
import { timeAgo } from '../../output/units.ts';
import { ellipsis } from '../../output/width.ts';
import { CommandError } from '../../command.ts';
import { bool, filters, list, string } from '../../flag.ts';
import type { Observed } from '../../../compose/project/observe.ts';
import { composeCommand } from './context.ts';

const STATES = ['paused', 'restarting', 'removing', 'running', 'dead', 'created', 'exited'];

export const ps = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    all: bool('Show all stopped containers (including those created by the run command)', { short: 'a' }),
    filter: filters('Filter services by a property (supported filters: status)'),
    format: string('Format output: "table", "json", or a Go template, below a head with "table TEMPLATE"', {
      initial: 'table',
    }),
    'no-trunc': bool("Don't truncate output"),
    orphans: bool('Include orphaned services (not declared by project)', { initial: true }),
    quiet: bool('Only display IDs', { short: 'q' }),
    services: bool('Display services'),
    status: list(
      'Filter services by status. Values: [paused | restarting | removing | running | dead | created | exited]',
      { complete: STATES },
    ),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    for (const key of flags.filter.keys())
      if (key !== 'status' && key !== 'source') throw new CommandError(`unknown filter ${key}`);
    const states = [...flags.status, ...(flags.filter.get('status') ?? [])];
    for (const state of states)
      if (!STATES.includes(state))
        throw new CommandError(`invalid status ${JSON.stringify(state)}: one of ${STATES.join(', ')}`);
    const { containers, project, name } = await compose.containers(args, { oneOffs: true });
    const shown = containers
      .filter((item) =>
        states.length > 0
          ? states.includes(item.summary.State)
          : flags.all || !['exited', 'dead', 'created', 'removing'].includes(item.summary.State),
      )
      .filter((item) => flags.orphans || !project || project.services.has(item.service))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const { cli } = compose;
    const { isTTY, columns } = cli.io.stdout;
    // Names, services and, as long as anything else can be cut, states are what people look for.
    const fitted = (rows: readonly (readonly string[])[]): readonly (readonly string[])[] =>
      isTTY && !flags['no-trunc'] ? fitRows(rows, columns, new Set([0, 3]), new Set([5])) : rows;
    if (flags.quiet) for (const item of shown) cli.print(item.id);
    else if (flags.services)
      for (const service of new Set(shown.map((item) => item.service))) cli.print(cli.clean(service));
    else if (flags.format === 'json') for (const item of shown) cli.print(JSON.stringify(document(item, name)));
    else if (flags.format !== 'table')
      cli.io.stdout.write(
        cli.clean(
          formatTemplate(
            flags.format,
            { headers: HEADERS, typeName: '*formatter.ContainerContext' },
            shown.map((item) => templateOf(item, name)),
          ),
        ),
      );
    else
      cli.io.stdout.write(
        layOut(
          fitted([
            ['NAME', 'IMAGE', 'COMMAND', 'SERVICE', 'CREATED', 'STATUS', 'PORTS'],
            ...shown.map((item) => [
              cli.clean(item.name),
              cli.clean(item.summary.Image),
              cli.clean(JSON.stringify(flags['no-trunc'] ? item.summary.Command : ellipsis(item.summary.Command, 20))),
              cli.clean(item.service),
              timeAgo(item.summary.Created),
              item.summary.Status,
              portsText(item.summary.Ports),
            ]),
          ]),
          0,
        ),
      );
    return 0;
  },
});

/** What stands above the fields whose names are not what stands there. */
const HEADERS: Readonly<Record<string, string>> = {
  ID: 'CONTAINER ID',
  RunningFor: 'CREATED',
  CreatedAt: 'CREATED AT',
  ExitCode: 'EXIT CODE',
  LocalVolumes: 'LOCAL VOLUMES',
};

const FIELDS = struct({ Publishers: listOf(struct({ URL: '', TargetPort: 0, PublishedPort: 0, Protocol: '' })) });

function templateOf(item: Observed, project: string): unknown {
  const fields = document(item, project);
  return decode({ ...fields, Label: (key: unknown) => item.summary.Labels[String(key)] ?? '' }, FIELDS);
}

/** Docker's fields, in their order. */
function document(item: Observed, project: string): Record<string, unknown> {
  const { summary } = item;
  const row = containerRow(summary, { truncate: true });
  return {
    Command: JSON.stringify(ellipsis(summary.Command, 20)),
    CreatedAt: row['CreatedAt'],
    ExitCode: Number(/^Exited \((\d+)\)/.exec(summary.Status)?.[1] ?? 0),
    Health: /\((healthy|unhealthy|health: starting)\)/.exec(summary.Status)?.[1]?.replace('health: ', '') ?? '',
    ID: summary.Id.slice(0, 12),
    Image: summary.Image,
    Labels: labelFields(summary.Labels)['Labels'],
    LocalVolumes: row['LocalVolumes'],
    Mounts: row['Mounts'],
    Name: item.name,
    Names: row['Names'],
    Networks: row['Networks'],
    Ports: row['Ports'],
    Project: project,
    Publishers: summary.Ports.map((port) => ({
      URL: port.IP ?? '',
      TargetPort: port.PrivatePort,
      PublishedPort: port.PublicPort ?? 0,
      Protocol: port.Type,
    })),
    RunningFor: row['RunningFor'],
    Service: item.service,
    Size: row['Size'],
    State: summary.State,
    Status: summary.Status,
  };
}

import { containerRow, portsText } from '../../output/container-row.ts';
import { labelFields } from '../../output/labels.ts';
import { layOut } from '../../output/table.ts';
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
    format: string('Format output: "table" or "json"', { initial: 'table' }),
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
    if (!['table', 'json'].includes(flags.format))
      throw new CommandError(`format value ${JSON.stringify(flags.format)} could not be parsed: use table or json`);
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
    if (flags.quiet) for (const item of shown) cli.print(item.id);
    else if (flags.services)
      for (const service of new Set(shown.map((item) => item.service))) cli.print(cli.clean(service));
    else if (flags.format === 'json') for (const item of shown) cli.print(JSON.stringify(document(item, name)));
    else
      cli.io.stdout.write(
        layOut(
          [
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
          ],
          0,
        ),
      );
    return 0;
  },
});

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

import { posix } from 'node:path';
import type { Observed } from '../../../compose/project/observe.ts';
import { CommandError, type Command } from '../../command.ts';
import { bool, int, list, string } from '../../flag.ts';
import { parseLine } from '../../parse.ts';
import { attach as attachContainer } from '../container/attach.ts';
import { commit as commitContainer } from '../container/commit.ts';
import { cp as copyContainer } from '../container/cp.ts';
import { exportContainer } from '../container/export.ts';
import { stats as containerStats } from '../container/stats.ts';
import { type Compose, composeCommand } from './context.ts';

const INDEX = int('Index of the container if service has multiple replicas');

/** A command for containers, run for those of a service: on a line of the flags that both have, as that command reads it. */
function run(
  compose: Compose,
  command: Command,
  path: string,
  { flags, given }: { readonly flags: Readonly<Record<string, unknown>>; readonly given: ReadonlySet<string> },
  args: readonly string[],
): Promise<number> {
  const words = [...given]
    .filter((name) => Object.hasOwn(command.flags, name))
    .flatMap((name) => {
      const value = flags[name];
      return (Array.isArray(value) ? value : [value]).map((one) => `--${name}=${String(one)}`);
    });
  const parsed = parseLine(command.flags, [...words, '--', ...args], { interspersed: true });
  return command.run(compose.cli, {
    path: `gantry compose ${path}`,
    flags: parsed.values,
    given: parsed.given,
    args: parsed.args,
  });
}

export const attach = composeCommand({
  usage: '[OPTIONS] SERVICE',
  flags: {
    'detach-keys': string('Override the key sequence for detaching from a container.'),
    index: INDEX,
    'no-stdin': bool('Do not attach STDIN'),
    'sig-proxy': bool('Proxy all received signals to the process', { initial: true }),
  },
  args: { min: 1, max: 1 },
  async run(compose, invocation) {
    const { flags, args } = invocation;
    const { id } = await compose.container(args[0]!, flags.index);
    return run(compose, attachContainer, 'attach', invocation, [id]);
  },
});

export const commit = composeCommand({
  usage: '[OPTIONS] SERVICE [REPOSITORY[:TAG]]',
  flags: {
    author: string('Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")', { short: 'a' }),
    change: list('Apply Dockerfile instruction to the created image', { short: 'c' }),
    index: INDEX,
    message: string('Commit message', { short: 'm' }),
    pause: bool('Pause container during commit', { short: 'p', initial: true }),
  },
  args: { min: 1, max: 2 },
  async run(compose, invocation) {
    const { flags, args } = invocation;
    const { id } = await compose.container(args[0]!, flags.index, false);
    return run(compose, commitContainer, 'commit', invocation, [id, ...args.slice(1)]);
  },
});

export const exportService = composeCommand({
  usage: '[OPTIONS] SERVICE',
  flags: { index: INDEX, output: string('Write to a file, instead of STDOUT', { short: 'o', complete: 'file' }) },
  args: { min: 1, max: 1 },
  async run(compose, invocation) {
    const { flags, args } = invocation;
    const { id } = await compose.container(args[0]!, flags.index, false);
    return run(compose, exportContainer, 'export', invocation, [id]);
  },
});

export const cp = composeCommand({
  usage: '[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- SERVICE:DEST_PATH',
  examples: `# A file into every container of a service, and out of one
gantry compose cp index.html web:/www/
gantry compose cp web:/etc/hostname .`,
  flags: {
    all: bool('Include containers created by the run command'),
    archive: bool('Archive mode (copy all uid/gid information)', { short: 'a' }),
    'follow-link': bool('Always follow symbol link in SRC_PATH', { short: 'L' }),
    index: INDEX,
  },
  args: { min: 2, max: 2 },
  async run(compose, invocation) {
    const { flags, args } = invocation;
    const [from, to] = args.map(servicePath);
    if (from!.service !== undefined && to!.service !== undefined)
      throw new CommandError('copying between services is not supported');
    const service = from!.service ?? to!.service;
    if (service === undefined) throw new CommandError('unknown copy direction: name one place as SERVICE:PATH');
    const { containers } = await compose.containers([service], { oneOffs: flags.all });
    const chosen = containers.filter((item) => flags.index <= 0 || item.number === flags.index);
    if (chosen.length === 0)
      throw new CommandError(
        flags.index > 0
          ? `service "${service}" has no container with index ${flags.index}`
          : `no container found for service "${service}"`,
      );
    const quiet = { flags: { ...flags, quiet: true }, given: new Set([...invocation.given, 'quiet']) };
    // Out of the first, into all of them.
    for (const { id } of from!.service === undefined ? chosen : chosen.slice(0, 1)) {
      const place = (end: { service?: string; path: string }): string =>
        end.service === undefined ? end.path : `${id}:${end.path}`;
      const code = await run(compose, copyContainer, 'cp', quiet, [place(from!), place(to!)]);
      if (code !== 0) return code;
    }
    return 0;
  },
});

function servicePath(text: string): { service?: string; path: string } {
  if (posix.isAbsolute(text) || text.startsWith('.')) return { path: text };
  const colon = text.indexOf(':');
  return colon < 1 ? { path: text } : { service: text.slice(0, colon), path: text.slice(colon + 1) };
}

export const stats = composeCommand({
  usage: '[OPTIONS] [SERVICE]',
  flags: {
    all: bool('Show all containers (default shows just running)', { short: 'a' }),
    format: string('Format output using a custom template: "table", "table TEMPLATE", "json", or a Go template'),
    'no-stream': bool('Disable streaming stats and only pull the first result'),
    'no-trunc': bool('Do not truncate output'),
  },
  args: { min: 0, max: 1 },
  async run(compose, invocation) {
    const { flags, args } = invocation;
    const { containers, name } = await compose.containers(args);
    const shown = containers.filter((item) => flags.all || isUp(item));
    if (shown.length === 0) throw new CommandError(`no container of project "${name}" is running`);
    return run(
      compose,
      containerStats,
      'stats',
      invocation,
      shown.map((item) => item.id),
    );
  },
});

export const wait = composeCommand({
  usage: 'SERVICE [SERVICE...] [OPTIONS]',
  flags: { 'down-project': bool('Drops project when the first container stops') },
  args: { min: 1 },
  async run(compose, { flags, args }) {
    const { containers, project, name } = await compose.containers(args);
    if (containers.length === 0) throw new CommandError(`no container found for service "${args[0]!}"`);
    const client = await compose.client();
    const ends = await Promise.all(
      containers.map(async ({ id }) => ({ id, outcome: (await client.containers.wait(id, 'not-running')).outcome })),
    );
    let code = 0;
    const ended = ends.map(async ({ id, outcome }) => {
      const { StatusCode: status } = await outcome;
      compose.cli.print(`container "${id}" exited with status code ${status}`);
      code = status;
    });
    if (!flags['down-project']) {
      await Promise.all(ended);
      return code;
    }
    await Promise.race(ended);
    const first = code;
    const { down } = await import('../../../compose/project/down.ts');
    await down(client, {
      project: name,
      services: project?.services,
      volumes: false,
      removeImages: '',
      removeOrphans: false,
      onProgress: compose.onProgress,
      externalVolumes: new Set(),
    });
    await Promise.all(ended);
    return first;
  },
});

function isUp(item: Observed): boolean {
  return ['running', 'paused', 'restarting'].includes(item.summary.State);
}

import { command, CommandError, UsageError } from '../../command.ts';
import { nearest } from '../../../base/nearest.ts';
import { parseLine } from '../../parse.ts';
import type { Entry } from '../../registry.ts';
import { Compose, type ComposeCommand, PROJECT_FLAGS } from './context.ts';

interface Sub {
  readonly summary: string;
  load(): Promise<ComposeCommand>;
}

export const SUBCOMMANDS: Readonly<Record<string, Sub>> = {
  'alpha viz': {
    summary: 'Draw services and their dependencies, for graphviz',
    load: async () => (await import('./viz.ts')).viz,
  },
  attach: {
    summary: "Attach local standard input, output, and error streams to a service's running container",
    load: async () => (await import('./container.ts')).attach,
  },
  build: { summary: 'Build or rebuild services', load: async () => (await import('./build.ts')).build },
  config: {
    summary: 'Parse, resolve and render compose file in canonical format',
    load: async () => (await import('./config.ts')).config,
  },
  commit: {
    summary: "Create a new image from a service container's changes",
    load: async () => (await import('./container.ts')).commit,
  },
  convert: {
    summary: 'Write the project for another system (--to kubernetes)',
    load: async () => (await import('./convert.ts')).convert,
  },
  cp: {
    summary: 'Copy files/folders between a service container and the local filesystem',
    load: async () => (await import('./container.ts')).cp,
  },
  create: { summary: 'Creates containers for a service', load: async () => (await import('./up.ts')).create },
  down: { summary: 'Stop and remove containers, networks', load: async () => (await import('./down.ts')).downCommand },
  exec: { summary: 'Execute a command in a running container', load: async () => (await import('./exec.ts')).exec },
  images: {
    summary: 'List images used by the created containers',
    load: async () => (await import('./show.ts')).images,
  },
  events: {
    summary: 'Receive real time events from containers',
    load: async () => (await import('./events.ts')).events,
  },
  export: {
    summary: "Export a service container's filesystem as a tar archive",
    load: async () => (await import('./container.ts')).exportService,
  },
  kill: { summary: 'Force stop service containers', load: async () => (await import('./life.ts')).kill },
  logs: { summary: 'View output from containers', load: async () => (await import('./logs.ts')).logs },
  ls: { summary: 'List running compose projects', load: async () => (await import('./show.ts')).ls },
  pause: { summary: 'Pause services', load: async () => (await import('./life.ts')).pause },
  port: { summary: 'Print the public port for a port binding', load: async () => (await import('./show.ts')).port },
  ps: { summary: 'List containers', load: async () => (await import('./ps.ts')).ps },
  publish: { summary: 'Publish compose application', load: async () => (await import('./publish.ts')).publish },
  pull: { summary: 'Pull service images', load: async () => (await import('./transfer.ts')).pull },
  push: { summary: 'Push service images', load: async () => (await import('./transfer.ts')).push },
  restart: { summary: 'Restart service containers', load: async () => (await import('./life.ts')).restart },
  rm: { summary: 'Removes stopped service containers', load: async () => (await import('./life.ts')).rm },
  run: { summary: 'Run a one-off command on a service', load: async () => (await import('./run.ts')).run },
  scale: { summary: 'Scale services', load: async () => (await import('./up.ts')).scale },
  start: { summary: 'Start services', load: async () => (await import('./life.ts')).start },
  stats: {
    summary: 'Display a live stream of container(s) resource usage statistics',
    load: async () => (await import('./container.ts')).stats,
  },
  stop: { summary: 'Stop services', load: async () => (await import('./life.ts')).stop },
  top: { summary: 'Display the running processes', load: async () => (await import('./show.ts')).top },
  unpause: { summary: 'Unpause services', load: async () => (await import('./life.ts')).unpause },
  up: { summary: 'Create and start containers', load: async () => (await import('./up.ts')).upCommand },
  version: { summary: 'Show the version', load: async () => (await import('./show.ts')).version },
  volumes: { summary: 'List volumes', load: async () => (await import('./volumes.ts')).volumes },
  wait: {
    summary: 'Block until containers of all (or specified) services stop.',
    load: async () => (await import('./container.ts')).wait,
  },
  watch: {
    summary: 'Watch build context for service and rebuild/refresh containers when files are updated',
    load: async () => (await import('./watch.ts')).watch,
  },
};

/** Commands of Docker's Compose that there are not here, and what to use in their place. */
const ABSENT: Readonly<Record<string, string>> = {
  alpha:
    "of Docker's experiments there is only `alpha viz`; `gantry compose publish` and `gantry compose config` are what became of some",
  bridge: 'use `gantry compose convert --to kubernetes`',
};

/** Commands that act in the terminal or on files of the host: they cannot be pretended. */
const NOT_DRY = new Set(['attach', 'commit', 'cp', 'exec', 'export', 'run', 'wait', 'watch']);

export const compose = command({
  usage: '[OPTIONS] COMMAND',
  description: `Define and run multi-container applications\n\nCommands:\n${Object.entries(SUBCOMMANDS)
    .map(([name, { summary }]) => `  ${name.padEnd(9)}   ${summary}`)
    .join('\n')}`,
  flags: PROJECT_FLAGS,
  args: { min: 0 },
  interspersed: false,
  candidates: async (cli, words, last) =>
    (await import('./candidates.ts')).composeCandidates(cli, SUBCOMMANDS, words, last),
  async run(cli, { flags, given, args }) {
    const words = args.length > 1 && Object.hasOwn(SUBCOMMANDS, `${args[0]} ${args[1]}`) ? 2 : 1;
    const name = args.length === 0 ? undefined : args.slice(0, words).join(' ');
    const line = args.slice(words);
    if (name === undefined || name === 'help') {
      const { commandHelp } = await import('../../help.ts');
      const entry: Entry = { paths: ['compose'], summary: '', load: async () => compose };
      cli.io.stdout.write(commandHelp(entry, compose, 'compose', cli.io.stdout.columns));
      return 0;
    }
    const sub = Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined;
    if (!sub) {
      if (Object.hasOwn(ABSENT, name)) throw new CommandError(`there is no gantry compose ${name}: ${ABSENT[name]}`);
      const found = nearest(name, Object.keys(SUBCOMMANDS)).slice(0, 3);
      throw new CommandError(
        `unknown gantry command: "compose ${name}"${found.length === 0 ? '' : `\n\nDid you mean this?\n${found.map((item) => `\tgantry compose ${item}`).join('\n')}`}`,
      );
    }
    if (flags['dry-run'] && NOT_DRY.has(name)) {
      throw new CommandError(`gantry compose ${name} has no --dry-run; nothing was done`);
    }
    const spec = await sub.load();
    const path = `compose ${name}`;
    const shown = { ...spec, run: async () => 0 };
    try {
      const parsed = parseLine(spec.flags, line, { interspersed: spec.interspersed !== false, shortHelp: true });
      if (parsed.help) {
        const { commandHelp } = await import('../../help.ts');
        const entry: Entry = { paths: [path], summary: sub.summary, load: async () => shown };
        cli.io.stdout.write(commandHelp(entry, shown, path, cli.io.stdout.columns));
        return 0;
      }
      if (parsed.args.length < spec.args.min || (spec.args.max !== undefined && parsed.args.length > spec.args.max))
        throw new UsageError(`"gantry ${path}" was given ${parsed.args.length} arguments`, 1);
      return await spec.run(
        new Compose(cli, flags, parallelism(flags.parallel, given.has('parallel'), cli.env['COMPOSE_PARALLEL_LIMIT'])),
        {
          path: `gantry ${path}`,
          flags: parsed.values,
          given: parsed.given,
          args: parsed.args,
        },
      );
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      const { usageOf } = await import('../../help.ts');
      throw new CommandError(
        `${error.message}\n\nUsage:  ${usageOf(shown, path)}\n\nRun 'gantry ${path} --help' for more information`,
        error.code,
      );
    }
  },
});

/** `--parallel`, else COMPOSE_PARALLEL_LIMIT; undefined where there is no limit. */
function parallelism(flag: number, given: boolean, variable: string | undefined): number | undefined {
  const limit = given || variable === undefined || variable === '' ? flag : Number(variable);
  if (!Number.isInteger(limit))
    throw new CommandError(`COMPOSE_PARALLEL_LIMIT must be an integer (found: ${JSON.stringify(variable)})`);
  if (limit === 0) throw new CommandError('a parallelism of 0 would do nothing: use -1 for no limit');
  return limit < 0 ? undefined : limit;
}

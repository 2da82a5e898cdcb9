import type { Client } from '../../../client/client.ts';
import { timerMs } from '../../../base/time.ts';
import { demultiplex } from '../../../client/multiplex.ts';
import { observeContainers } from '../../../compose/project/observe.ts';
import { all } from '../../../compose/project/parallel.ts';
import { type Project, selectServices, type Service } from '../../../compose/project/project.ts';
import { stopContainer } from '../../../compose/project/down.ts';
import { ignoredFields } from '../../../compose/project/support.ts';
import { type Attach, Up, waitUntilReady } from '../../../compose/project/up.ts';
import { inDependencyOrder } from '../../../compose/project/parallel.ts';
import { CommandError } from '../../command.ts';
import { describeError } from '../../describe-error.ts';
import { isSet } from '../../engine-client.ts';
import { bool, int, list, string } from '../../flag.ts';
import { type Compose, composeCommand, parseScale } from './context.ts';
import { ensureImages } from './images.ts';
import { initImages } from '../../../compose/project/init-steps.ts';
import { ImageIds } from '../../../compose/project/image-ids.ts';
import type { Watcher } from '../../../compose/watch/watcher.ts';
import { LogPrinter } from './log-printer.ts';
import { canShowMenu, UpMenu } from './up-menu.ts';

const CREATE_FLAGS = {
  build: bool('Build images before starting containers'),
  'force-recreate': bool("Recreate containers even if their configuration and image haven't changed"),
  'no-build': bool("Don't build an image, even if it's policy"),
  'no-recreate': bool("If containers already exist, don't recreate them. Incompatible with --force-recreate"),
  pull: string('Pull image before running ("always"|"missing"|"never"|"build")', {
    complete: ['always', 'missing', 'never', 'build'],
  }),
  'quiet-pull': bool('Pull without printing progress information'),
  'remove-orphans': bool('Remove containers for services not defined in the Compose file'),
  scale: list('Scale SERVICE to NUM instances. Overrides the `scale` setting in the Compose file if present.'),
};

interface CreateFlags {
  readonly build: boolean;
  readonly 'force-recreate': boolean;
  readonly 'no-build': boolean;
  readonly 'no-recreate': boolean;
  readonly pull: string;
  readonly 'quiet-pull': boolean;
  readonly 'remove-orphans': boolean;
  readonly scale: readonly string[];
}

export const create = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    ...CREATE_FLAGS,
    yes: bool('Assume "yes" as answer to all prompts and run non-interactively', { short: 'y' }),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    const prepared = await prepare(compose, flags, args, {});
    await ensure(compose, prepared, flags, false);
    await prepared.up.create();
    return 0;
  },
});

export const scale = composeCommand({
  usage: '[SERVICE=REPLICAS...]',
  examples: `# Three containers of web, one of worker
gantry compose scale web=3 worker=1`,
  flags: { 'no-deps': bool("Don't start linked services") },
  args: { min: 1 },
  async run(compose, { flags, args }) {
    const none = { build: false, 'force-recreate': false, 'no-build': false, 'no-recreate': false, pull: '' };
    const given = { ...none, 'quiet-pull': false, 'remove-orphans': false, scale: args };
    const names = [...parseScale(args).keys()];
    const prepared = await prepare(compose, given, names, { noDeps: flags['no-deps'] });
    await ensure(compose, prepared, given, false);
    await prepared.up.start(await prepared.up.create());
    return 0;
  },
});

export const upCommand = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    ...CREATE_FLAGS,
    'abort-on-container-exit': bool('Stops all containers if any container was stopped. Incompatible with -d'),
    'abort-on-container-failure': bool(
      'Stops all containers if any container exited with failure. Incompatible with -d',
    ),
    'always-recreate-deps': bool('Recreate dependent containers. Incompatible with --no-recreate.'),
    attach: list('Restrict attaching to the specified services. Incompatible with --attach-dependencies.'),
    'attach-dependencies': bool('Automatically attach to log output of dependent services'),
    detach: bool('Detached mode: Run containers in the background', { short: 'd' }),
    'exit-code-from': string(
      'Return the exit code of the selected service container. Implies --abort-on-container-exit',
    ),
    menu: bool('Enable interactive shortcuts when running attached. Incompatible with --detach.'),
    'no-attach': list('Do not attach (stream logs) to the specified services'),
    'no-color': bool('Produce monochrome output'),
    'no-deps': bool("Don't start linked services"),
    'no-log-prefix': bool("Don't print prefix in logs"),
    'no-start': bool("Don't start the services after creating them"),
    plan: bool('Print what would be done, and why; do nothing'),
    'quiet-build': bool('Suppress the build output'),
    'renew-anon-volumes': bool('Recreate anonymous volumes instead of retrieving data from the previous containers', {
      short: 'V',
    }),
    timeout: int(
      'Use this timeout in seconds for container shutdown when attached or when containers are already running',
      { short: 't' },
    ),
    timestamps: bool('Show timestamps'),
    wait: bool('Wait for services to be running|healthy. Implies detached mode.'),
    'wait-timeout': int('Maximum duration in seconds to wait for the project to be running|healthy'),
    watch: bool('Watch source code and rebuild/refresh containers when files are updated.', { short: 'w' }),
    yes: bool('Assume "yes" as answer to all prompts and run non-interactively', { short: 'y' }),
  },
  args: { min: 0 },
  async run(compose, { flags, given, args }) {
    if (flags.menu && (flags.detach || flags.wait)) throw new CommandError('--menu cannot be combined with --detach');
    if (flags.watch && (flags.detach || flags.wait)) throw new CommandError('--watch cannot be combined with --detach');
    const abort = flags['abort-on-container-exit'] || flags['exit-code-from'] !== '';
    const detached = flags.detach || flags.wait || compose.flags['dry-run'];
    if (detached && (abort || flags['abort-on-container-failure'] || flags.attach.length > 0))
      throw new CommandError(
        '--detach and --wait cannot be combined with --abort-on-container-exit, --abort-on-container-failure or --attach',
      );
    if (flags['force-recreate'] && flags['no-recreate'])
      throw new CommandError('--force-recreate and --no-recreate are incompatible');
    if (flags.build && flags['no-build']) throw new CommandError('--build and --no-build are incompatible');
    const timeoutSeconds = given.has('timeout') ? flags.timeout : undefined;
    const prepared = await prepare(compose, flags, args, {
      noDeps: flags['no-deps'],
      renewVolumes: flags['renew-anon-volumes'],
      timeoutSeconds,
      alwaysRecreateDeps: flags['always-recreate-deps'],
    });
    const { up, services, project } = prepared;
    if (flags.plan) return showPlan(compose, up);
    if (flags['exit-code-from'] !== '' && !services.has(flags['exit-code-from']))
      throw new CommandError(`no such service: ${flags['exit-code-from']}`);
    await ensure(compose, prepared, flags, flags['quiet-build']);
    const containers = await up.create();
    if (flags['no-start']) return 0;
    const client = await compose.client();
    if (detached) {
      await up.start(containers);
      if (flags.wait)
        await waitReady(
          compose,
          client,
          services,
          containers,
          given.has('wait-timeout') ? flags['wait-timeout'] : undefined,
        );
      return 0;
    }
    const attached = new Set(
      [...services.keys()].filter((name) => {
        const service = services.get(name)!;
        if (flags['no-attach'].includes(name) || service.model['attach'] === false) return false;
        if (flags.attach.length > 0) return flags.attach.includes(name);
        return args.length === 0 || args.includes(name) || flags['attach-dependencies'];
      }),
    );
    const { cli } = compose;
    const menu = (flags.menu || (!given.has('menu') && isSet(cli.env['COMPOSE_MENU']))) && canShowMenu(cli);
    const watch = flags.watch || menu ? await import('./watch.ts') : undefined;
    const quiet = flags['quiet-build'];
    const printer = new LogPrinter(compose.cli, {
      prefix: !flags['no-log-prefix'],
      color: !flags['no-color'] && compose.flags.ansi !== 'never',
      timestamps: flags.timestamps,
    });
    return new AttachedRun(compose, client, project, printer, {
      attached,
      abort: abort ? 'exit' : flags['abort-on-container-failure'] ? 'failure' : 'never',
      exitCodeFrom: flags['exit-code-from'],
      timeoutSeconds,
      watcher:
        watch && ((attach) => watch.watcherOf(compose, client, project, services, { prune: true, quiet, attach })),
      watches: flags.watch,
      menu,
    }).run(up, containers);
  },
});

interface Prepared {
  readonly project: Project;
  readonly services: ReadonlyMap<string, Service>;
  readonly up: Up;
  readonly images: ImageIds;
}

async function prepare(
  compose: Compose,
  flags: CreateFlags,
  args: readonly string[],
  more: { noDeps?: boolean; renewVolumes?: boolean; timeoutSeconds?: number | undefined; alwaysRecreateDeps?: boolean },
): Promise<Prepared> {
  const project = await compose.projectToRun(args, parseScale(flags.scale));
  const services = selectServices(project, args, more.noDeps === true);
  if (services.size === 0) throw new CommandError('no service selected');
  for (const service of services.values()) for (const text of ignoredFields(service)) compose.warn(text);
  const client = await compose.client();
  const images = new ImageIds(client);
  const up = new Up(client, project, {
    images,
    providers: await compose.providers(project),
    services,
    ...(args.length === 0 ? {} : { named: new Set(args) }),
    recreate: flags['force-recreate'] ? 'force' : flags['no-recreate'] ? 'never' : 'diverged',
    recreateDependencies: more.alwaysRecreateDeps === true ? 'force' : flags['no-recreate'] ? 'never' : 'diverged',
    removeOrphans: flags['remove-orphans'],
    ignoreOrphans: ['1', 'true'].includes(compose.cli.env['COMPOSE_IGNORE_ORPHANS'] ?? ''),
    renewVolumes: more.renewVolumes === true,
    timeoutSeconds: more.timeoutSeconds,
    onProgress: compose.onProgress,
    warn: (message) => compose.warn(message),
  });
  return { project, services, up, images };
}

async function ensure(compose: Compose, prepared: Prepared, flags: CreateFlags, quietBuild: boolean): Promise<void> {
  prepared.up.lookAhead();
  const changed = await ensureImages(
    compose,
    new Map([...prepared.services, ...initImages(prepared.services.values())]),
    {
      ids: prepared.images,
      build: flags.build ? 'always' : flags['no-build'] ? 'never' : 'missing',
      pull: flags.pull,
      quietPull: flags['quiet-pull'],
      quietBuild,
      project: prepared.project,
    },
  );
  if (changed) prepared.up.stale();
}

async function showPlan(compose: Compose, up: Up): Promise<number> {
  for (const step of await up.plan()) compose.cli.print(`${step.kind.padEnd(8)}  ${step.name}  (${step.reason})`);
  return 0;
}

async function waitReady(
  compose: Compose,
  client: Client,
  services: ReadonlyMap<string, Service>,
  containers: ReadonlyMap<string, readonly string[]>,
  seconds: number | undefined,
): Promise<void> {
  const signal = seconds === undefined ? undefined : AbortSignal.timeout(timerMs(seconds * 1000));
  try {
    await waitUntilReady(client, services, containers, compose.onProgress, signal);
  } catch (error) {
    if (signal?.aborted) throw new CommandError(`application not healthy after ${seconds}s`);
    throw error;
  }
}

interface AttachedOptions {
  readonly attached: ReadonlySet<string>;
  readonly abort: 'exit' | 'failure' | 'never';
  readonly exitCodeFrom: string;
  readonly timeoutSeconds: number | undefined;
  /** Throws where there is nothing to watch. */
  readonly watcher: ((attach: Attach) => Watcher) | undefined;
  /** From the beginning. */
  readonly watches: boolean;
  readonly menu: boolean;
}

/** A watch that can be switched on and off while containers are attached. */
class WatchSwitch {
  readonly #make: () => Watcher;
  #running: { readonly ended: Promise<void>; readonly stop: AbortController } | undefined;

  constructor(make: () => Watcher) {
    this.#make = make;
  }

  /** Resolves when it is switched off; undefined while it is off. */
  get running(): Promise<void> | undefined {
    return this.#running?.ended;
  }

  on(): void {
    if (this.#running) return;
    const stop = new AbortController();
    const watcher = this.#make();
    const ended = watcher.run(stop.signal).finally(() => (this.#running = undefined));
    ended.catch(() => {}); // thrown where it is waited for
    this.#running = { ended, stop };
  }

  async off(): Promise<void> {
    this.#running?.stop.abort();
    await this.#running?.ended;
  }
}

/** `up` without `-d`: output of all containers until they end, or are ended. */
class AttachedRun {
  readonly #compose: Compose;
  readonly #client: Client;
  readonly #project: Project;
  readonly #printer: LogPrinter;
  readonly #options: AttachedOptions;
  readonly #ends: Promise<void>[] = [];
  readonly #streams: Promise<void>[] = [];
  readonly #open = new Set<{ close(): void }>();
  #code = 0;
  #stopping: Promise<void> | undefined;

  constructor(compose: Compose, client: Client, project: Project, printer: LogPrinter, options: AttachedOptions) {
    this.#compose = compose;
    this.#client = client;
    this.#project = project;
    this.#printer = printer;
    this.#options = options;
  }

  async run(up: Up, containers: Map<string, string[]>): Promise<number> {
    let interrupts = 0;
    const left = Promise.withResolvers<'interrupted' | 'detached'>();
    const interrupt = (): void => {
      left.resolve('interrupted');
      interrupts++;
      if (interrupts === 1) {
        this.#compose.cli.warn('Gracefully Stopping... press Ctrl+C again to force');
        this.#code = 130;
        this.#stop().catch(() => {});
      } else this.#kill().catch(() => {});
    };
    process.on('SIGINT', interrupt);
    process.on('SIGTERM', interrupt);
    const { watcher, watches, menu } = this.#options;
    const watch = watcher && new WatchSwitch(() => watcher((service, id) => this.#attach(service, id)));
    if (watches) watcher?.(async () => {}); // nothing to watch: said before anything starts
    try {
      await up.start(containers, (service, id) => this.#attach(service, id));
      using _menu = menu ? this.#showMenu(watch, interrupt, () => left.resolve('detached')) : undefined;
      if (watches) watch?.on();
      if (watch && (await this.#untilOver(watch, left.promise)) === 'detached') {
        await watch.off();
        // They go on, and how they end is for nobody here.
        for (const waiting of [...this.#streams, ...this.#ends]) waiting.catch(() => {});
        for (const stream of this.#open) stream.close();
        return 0;
      }
      await watch?.off();
      for (let i = 0; i < this.#ends.length; i++) await this.#ends[i];
      await Promise.all(this.#streams);
      await this.#stopping;
      return this.#code;
    } finally {
      process.off('SIGINT', interrupt);
      process.off('SIGTERM', interrupt);
    }
  }

  /** While it watches, a rebuild ends containers and begins others; otherwise it is over with the last of them. */
  async #untilOver(
    watch: WatchSwitch,
    left: Promise<'interrupted' | 'detached'>,
  ): Promise<'over' | 'interrupted' | 'detached'> {
    for (let seen = 0; ;) {
      const next = seen < this.#ends.length ? this.#ends[seen++] : watch.running;
      if (!next) return 'over';
      const how = await Promise.race([left, next]);
      if (how !== undefined) return how;
    }
  }

  #showMenu(watch: WatchSwitch | undefined, interrupt: () => void, detach: () => void): UpMenu {
    const toggle = async (): Promise<void> => {
      try {
        if (watch?.running) await watch.off();
        else watch?.on();
      } catch (error) {
        this.#compose.warn(describeError(error));
      }
      menu.watching = watch?.running !== undefined;
    };
    const menu = new UpMenu(
      this.#compose.cli,
      { watch: watch && (() => void toggle()), detach, interrupt },
      this.#options.watches,
    );
    return menu;
  }

  /** Before the start, so that no output and no exit is missed. */
  async #attach(service: Service, id: string): Promise<void> {
    const inspected = await this.#client.containers.inspect(id);
    const name = shortName(this.#project.name, inspected.Name.slice(1));
    let drained: Promise<void> | undefined;
    if (this.#options.attached.has(service.name)) {
      const stream = await this.#client.containers.attach(id, { stdout: true, stderr: true, stream: true });
      this.#open.add(stream);
      const sinks = { stdout: this.#printer.sink(name, 'stdout'), stderr: this.#printer.sink(name, 'stderr') };
      drained = (async () => {
        if (inspected.Config.Tty === true) for await (const data of stream.output) sinks.stdout.write(data);
        else for await (const part of demultiplex(stream.output)) sinks[part.stream].write(part.data);
        sinks.stdout.end();
        sinks.stderr.end();
        this.#open.delete(stream);
        stream.close();
      })();
      this.#streams.push(drained);
    }
    const { outcome } = await this.#client.containers.wait(id, inspected.State.Running ? 'not-running' : 'next-exit');
    this.#ends.push(
      outcome.then(async ({ StatusCode: code }) => {
        await drained;
        if (drained) this.#printer.status(name, `${name} exited with code ${code}`);
        if (this.#stopping) return;
        const ends = this.#options.abort === 'exit' || (this.#options.abort === 'failure' && code !== 0);
        if (!ends) return;
        if (this.#options.exitCodeFrom === '') this.#code = code;
        this.#compose.cli.warn('Aborting on container exit...');
        if (this.#options.exitCodeFrom === service.name) this.#code = code;
        return this.#stop();
      }),
    );
  }

  #stop(): Promise<void> {
    this.#stopping ??= (async () => {
      const containers = await observeContainers(this.#client, this.#project.name);
      await inDependencyOrder(
        this.#project.services,
        (service) =>
          all(
            containers.filter((item) => item.service === service.name && !item.oneOff),
            (item) =>
              stopContainer(this.#client, item, service, {
                timeoutSeconds: this.#options.timeoutSeconds,
                onProgress: this.#compose.onProgress,
              }),
          ),
        { reverse: true },
      );
    })();
    return this.#stopping;
  }

  async #kill(): Promise<void> {
    const containers = await observeContainers(this.#client, this.#project.name);
    await all(
      containers.filter((item) => !item.oneOff),
      async (item) => {
        await this.#client.containers.kill(item.id).catch(() => {}); // it may have ended meanwhile
      },
    );
  }
}

/** `web-1` of `shop-web-1`. */
export function shortName(project: string, name: string): string {
  return name.startsWith(`${project}-`) ? name.slice(project.length + 1) : name;
}

import fs from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../../client/client.ts';
import { usesApiSocket, withApiSocket } from '../../../compose/project/api-socket.ts';
import { LABEL } from '../../../compose/project/labels.ts';
import { type Observed, observeContainers } from '../../../compose/project/observe.ts';
import type { ProgressEvent } from '../../../compose/project/progress.ts';
import { type Project, projectOf, type Service } from '../../../compose/project/project.ts';
import type { RunProvider } from '../../../compose/project/providers.ts';
import { dropUnused } from '../../../compose/model/drop-unused.ts';
import { ProjectInputs } from '../../../compose/model/inputs.ts';
import { type KeptModel, KeptModels } from '../../../compose/model/kept-models.ts';
import type { LoadedProject, LoadOptions } from '../../../compose/model/load.ts';
import { errorAt } from '../../../compose/model/place.ts';
import { type RemoteFile, RemoteFileNeeded } from '../../../compose/model/remote-file.ts';
import { checkProjectName } from '../../../compose/model/project-name.ts';
import { errorCode, errorMessage } from '../../../base/errors.ts';
import { BUILD } from '../../../base/version.ts';
import type { Cli } from '../../cli.ts';
import { type CommandSpec, CommandError, type Invocation } from '../../command.ts';
import type { Flags, FlagValues } from '../../flag.ts';
import { bool, int, list, string } from '../../flag.ts';
import { TaskRows } from '../../output/task-rows.ts';

/** Flags before the sub-command. */
export const PROJECT_FLAGS = {
  'all-resources': bool('Include all resources, even those not used by services'),
  ansi: string('Control when to print ANSI control characters ("never"|"always"|"auto")', {
    initial: 'auto',
    complete: ['never', 'always', 'auto'],
  }),
  'dry-run': bool('Execute command in dry run mode: say what would be done, change nothing'),
  'env-file': list('Specify an alternate environment file', { complete: 'file' }),
  file: list('Compose configuration files', { short: 'f', complete: 'file' }),
  locked: bool('Use the digests of compose.lock and of Dockerfile.lock, and no other images'),
  parallel: int('Control max parallelism, -1 for unlimited', { initial: -1 }),
  profile: list('Specify a profile to enable'),
  progress: string('Set type of progress output (auto, tty, plain, json, quiet)', {
    initial: 'auto',
    complete: ['auto', 'tty', 'plain', 'json', 'quiet'],
  }),
  'project-directory': string('Specify an alternate working directory (default: the path of the first Compose file)', {
    complete: 'file',
  }),
  'project-name': string('Project name', { short: 'p' }),
} satisfies Flags;

export interface ComposeSpec<F extends Flags> extends Omit<CommandSpec<F>, 'run'> {
  /** Gives the exit code. */
  run(compose: Compose, invocation: Invocation<F>): Promise<number>;
}

/** A sub-command with its types put away. */
export type ComposeCommand = ComposeSpec<Flags>;

export function composeCommand<F extends Flags>(spec: ComposeSpec<F>): ComposeCommand {
  return spec as unknown as ComposeCommand;
}

/** What every sub-command gets: the project as its flags name it, and the engine. */
export class Compose {
  readonly cli: Cli;
  readonly flags: FlagValues<typeof PROJECT_FLAGS>;

  readonly #parallel: number | undefined;

  /** @param parallel how many things may be done to the engine at once; without it any number */
  constructor(cli: Cli, flags: FlagValues<typeof PROJECT_FLAGS>, parallel?: number) {
    this.cli = cli;
    this.flags = flags;
    this.#parallel = parallel;
  }

  #client: Promise<Client> | undefined;

  /** The engine; one that nothing is done to when this is a dry run. */
  client(): Promise<Client> {
    this.#client ??= this.#connect();
    return this.#client;
  }

  async #connect(): Promise<Client> {
    let client = await this.cli.client();
    if (this.flags['dry-run']) client = (await import('../../../compose/project/dry-run.ts')).dryRunClient(client);
    const limit = this.#parallel;
    if (limit !== undefined)
      client = (await import('../../../compose/project/limited-client.ts')).limitedClient(client, limit);
    return client;
  }

  readonly #fetched = new Map<string, RemoteFile>();
  #stdin: string | undefined;

  /** The project as its files say it now. */
  async load(more: Partial<LoadOptions> = {}): Promise<LoadedProject> {
    const options = this.#options(more);
    const { loaded, warnings } = this.#kept?.find(options) ?? (await this.#read(options));
    if (this.flags.locked) (await import('../../lock/pin-services.ts')).pinServices(loaded);
    for (const text of warnings) this.warn(text);
    return loaded;
  }

  /** Reads the project's files, and fetches those of registries that they name. It is much code, which a kept model does without. */
  async #read(options: LoadOptions): Promise<KeptModel> {
    const { loadProject } = await import('../../../compose/model/load.ts');
    for (;;) {
      const warnings: string[] = [];
      const inputs = new ProjectInputs(options.env);
      try {
        const loaded = loadProject({ ...options, inputs, warn: (message) => warnings.push(message) });
        const read = { loaded, warnings };
        this.#kept?.keep(options, inputs, read);
        return read;
      } catch (error) {
        if (!(error instanceof RemoteFileNeeded)) throw error;
        const { address, place } = error;
        const path = await this.#fetch(address).catch((reason: unknown) => {
          throw errorAt(place, errorMessage(reason), errorCode(reason));
        });
        this.#fetched.set(address, path);
      }
    }
  }

  get #cache(): string {
    const { env } = this.cli;
    return join(env['XDG_CACHE_HOME'] || join(env['HOME'] || '/root', '.cache'), 'gantry', 'compose');
  }

  /** Nothing where the code may change while the models stay, or where nobody has a home. */
  get #kept(): KeptModels | undefined {
    const { XDG_CACHE_HOME, HOME } = this.cli.env;
    const base = XDG_CACHE_HOME || HOME;
    return BUILD && base ? new KeptModels(base, join(this.#cache, 'models'), BUILD) : undefined;
  }

  /** The local path of what is elsewhere. What that needs is much code, which most projects do without. */
  async #fetch(address: string): Promise<RemoteFile> {
    if (!address.startsWith('oci://'))
      return (await import('../../compose-repository.ts')).repositoryPath(address, this.#cache);
    return (await import('../../compose-artifact.ts')).fetchProject(this.cli, address, this.#cache);
  }

  #options(more: Partial<LoadOptions>): LoadOptions {
    const { flags, cli } = this;
    return {
      files: flags.file,
      projectName: flags['project-name'] || undefined,
      projectDirectory: flags['project-directory'] || undefined,
      envFiles: flags['env-file'],
      profiles: flags.profile,
      cwd: process.cwd(),
      env: cli.env,
      stdin: () => (this.#stdin ??= fs.readFileSync(0, 'utf8')),
      warn: () => {},
      fetchRemote: (address) => {
        const path = this.#fetched.get(address);
        if (path === undefined) throw new RemoteFileNeeded(address);
        return path;
      },
      ...more,
    };
  }

  /** The project without what no service uses. */
  async project(services: readonly string[] = [], scale?: ReadonlyMap<string, number>): Promise<Project> {
    const loaded = await this.load({ services });
    if (!this.flags['all-resources']) dropUnused(loaded.model);
    return projectOf(loaded, scale);
  }

  /** As `project`, for commands that make containers: with what some of them get of the engine and its user. */
  async projectToRun(services: readonly string[], scale?: ReadonlyMap<string, number>): Promise<Project> {
    const project = await this.project(services, scale);
    if (!usesApiSocket(project)) return project;
    const { clientConfig } = await import('../../credentials.ts');
    const { endpoint } = await this.client();
    return withApiSocket(project, {
      // Where an engine listens is known but for one that is reached by TCP.
      socket: endpoint.kind === 'tcp' ? '/var/run/docker.sock' : endpoint.path,
      credentials: await clientConfig(this.cli),
    });
  }

  /** For commands that can do without files: the project's name, and its services where there are files. */
  async projectOrName(services: readonly string[] = []): Promise<{ name: string; project: Project | undefined }> {
    const given = this.flags['project-name'] || this.cli.env['COMPOSE_PROJECT_NAME'];
    try {
      const project = projectOf(
        await this.load({ services, profiles: this.flags.profile.length > 0 ? this.flags.profile : ['*'] }),
      );
      return { name: project.name, project };
    } catch (error) {
      if (!given || errorCode(error) !== 'not-found' || this.flags.file.length > 0) throw error;
      return { name: checkProjectName(given), project: undefined };
    }
  }

  /** The project's containers; only the named services' when some are named. Throws for a service that nobody knows. */
  async containers(
    services: readonly string[],
    options: { oneOffs?: boolean } = {},
  ): Promise<{ containers: Observed[]; project: Project | undefined; name: string }> {
    const { name, project } = await this.projectOrName(services);
    const found = await observeContainers(await this.client(), name);
    for (const service of services)
      if (project ? !project.services.has(service) : !found.some((item) => item.service === service))
        throw new CommandError(`no such service: ${service}`);
    const containers = found.filter(
      (item) =>
        (services.length === 0 || services.includes(item.service)) && (options.oneOffs === true || !item.oneOff),
    );
    return { containers, project, name };
  }

  /** The one container that `exec`, `port`, `attach` mean. */
  async container(service: string, index: number, running = true): Promise<Observed> {
    const { containers, name } = await this.containers([service]);
    const found = containers.find(
      (item) => (index <= 0 || item.number === index) && (!running || item.summary.State === 'running'),
    );
    if (!found)
      throw new CommandError(
        index > 0
          ? `service "${service}" has no container with index ${index}${running ? ' that is running' : ''}`
          : `service "${service}" is not running in project "${name}"`,
      );
    return found;
  }

  #rows: TaskRows | undefined;

  /** Rows that are redrawn, where `--progress` and the terminal are for it. */
  get rows(): TaskRows | undefined {
    const { progress, ansi } = this.flags;
    const { stderr } = this.cli.io;
    const able = stderr.isTTY && this.cli.env['TERM'] !== 'dumb' && ansi !== 'never';
    if (progress !== 'tty' && !(progress === 'auto' && able)) return undefined;
    this.#rows ??= new TaskRows({
      io: this.cli.io,
      output: stderr,
      colour: able && !this.cli.env['NO_COLOR'],
      prefix: this.flags['dry-run'] ? ' DRY-RUN MODE - ' : '',
    });
    return this.#rows;
  }

  /** What has services made that are not ours to make; nothing where this is a dry run, or where no service is such a one. */
  async providers(project: Project | undefined): Promise<RunProvider | undefined> {
    const some = [...(project?.services.values() ?? [])].some((service) => service.model['provider'] !== undefined);
    if (!some || this.flags['dry-run']) return undefined;
    return (await import('../../compose-provider.ts')).providerRunner(this.cli);
  }

  readonly onProgress = (event: ProgressEvent): void => {
    const { progress } = this.flags;
    if (progress === 'quiet') return;
    const { rows } = this;
    if (rows) rows.show(event);
    else if (progress === 'json')
      this.cli.warn(
        JSON.stringify({
          id: `${event.kind} ${event.name}`,
          status: event.status,
          ...(event.reason === undefined ? {} : { text: event.reason }),
        }),
      );
    else
      this.cli.warn(
        `${this.flags['dry-run'] ? ' DRY-RUN MODE - ' : ''} ${event.kind} ${this.cli.clean(event.name)}  ${event.status}`,
      );
  };

  warn(message: string): void {
    this.cli.warn(`WARN[0000] ${message}`);
  }
}

/** `service` → the replicas that `--scale` asks for. */
export function parseScale(given: readonly string[]): Map<string, number> {
  return new Map(
    given.map((item) => {
      const [name, count] = item.split('=');
      if (name === undefined || count === undefined || !/^\d+$/.test(count))
        throw new CommandError(`invalid --scale option ${JSON.stringify(item)}: should be SERVICE=NUM`);
      return [name, Number(count)];
    }),
  );
}

/** Services in the order in which their containers stop: those that depend on others first. */
export function servicesOf(project: Project | undefined, containers: readonly Observed[]): Map<string, Service> {
  return new Map(
    project ? [...project.services].filter(([name]) => containers.some((item) => item.service === name)) : [],
  );
}

export function isOneOff(item: Observed): boolean {
  return item.summary.Labels[LABEL.oneOff] === 'True';
}

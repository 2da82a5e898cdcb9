import type { HostConfig } from '../../api/container.ts';
import { errorCode, errorMessage } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { now } from '../../base/time.ts';
import type { ImageRunConfig } from '../../oci/image.ts';
import type { UserMount } from '../../runtime/spec/mounts.ts';
import type { OutputChunk, Task, TaskLog, TaskRunner } from '../../runtime/task.ts';
import { type ContainerIds, type ContainerRecord, NEVER_RUN } from '../../state/containers.ts';
import type { ContainerLogs, ContainerSpecs } from '../containers/parts.ts';
import type { BuildRequest } from '../engine.ts';
import type { StepShell, TerminalSize } from './build-session.ts';
import type { StepDevices } from './cdi-devices.ts';
import { ownFiles } from '../userns/own-files.ts';
import type { Networking } from '../networks/networking.ts';

export interface StepExecutorParts {
  readonly tasks: TaskRunner;
  readonly specs: ContainerSpecs;
  readonly networking: Networking;
  readonly logs: ContainerLogs;
  readonly defaultRuntime: string;
}

export interface StepCommand {
  /** Mounted read-write. */
  readonly rootfs: string;
  readonly config: ImageRunConfig;
  readonly args: readonly string[];
  /** Variables besides the configuration's own. */
  readonly env: readonly string[];
  readonly mounts: readonly UserMount[];
  readonly networkMode: string;
  readonly privileged: boolean;
  /** Of the user namespace that it runs in: files and mounts are seen with them. */
  readonly ids: ContainerIds | undefined;
  readonly limits: BuildRequest['limits'];
  /** Its root cannot be written to. */
  readonly readOnly?: boolean;
  /** `buildkitsandbox` when there is none. */
  readonly hostname?: string | undefined;
  readonly request: Pick<BuildRequest, 'extraHosts' | 'shmSize' | 'ulimits' | 'securityOpt'>;
  /** Of the host, with what belongs to them. */
  readonly devices?: Pick<StepDevices, 'nodes' | 'groups'> | undefined;
  /** Directory of the step's own files (hosts, resolv.conf, log), removed by the caller. */
  readonly directory: string;
  /** 1 is stdout, 2 is stderr. */
  readonly onOutput: (text: string, stream: 1 | 2) => void;
  readonly signal: AbortSignal | undefined;
}

/** The exit code of a command; one that is not there fails as in a shell. Throws what `run` throws. */
export async function runToExitCode(executor: Pick<StepExecutor, 'run'>, command: StepCommand): Promise<number> {
  try {
    return await executor.run(command);
  } catch (error) {
    const code = errorCode(error);
    if (code !== 'no-such-command' && code !== 'not-executable') throw error;
    command.onOutput(`${errorMessage(error)}\n`, 2);
    return code === 'no-such-command' ? 127 : 126;
  }
}

/** A command that is spoken with. Reading its output slowly does not slow it: what nobody read in time is lost. */
export interface SpokenCommand {
  /** Ends with the command. */
  readonly output: AsyncIterable<OutputChunk>;
  /** Resolves when the kernel has taken the bytes. Throws `conflict` when nobody reads there any more. */
  write(data: Uint8Array): Promise<void>;
  /** Ends it at once; without effect when it has ended. */
  kill(): void;
  /** Its exit code: 128 + n when signal n ended it. Never rejects. */
  readonly exited: Promise<number>;
}

/** More than is ever on its way between two that mind each other's windows: what goes beyond is dropped from the disk. */
const SPOKEN_LOG = { maxBytes: 32 << 20, maxFiles: 2 };

/** More than any build needs, and less than a host can bear. */
const MAX_PROCESSES = 8192;

/**
 * Runs a RUN step as a container is run: same confinement, same network, same monitor. It belongs to its build:
 * an abort kills it, and what a dead engine left of it is swept as a task without a container.
 */
export class StepExecutor {
  readonly #parts: StepExecutorParts;

  constructor(parts: StepExecutorParts) {
    this.#parts = parts;
  }

  /** Refuses what no step could run with. Throws `invalid-argument`, `not-found`. */
  check(request: BuildRequest): void {
    const { networkMode = 'default', limits } = request;
    const hostConfig = hostConfigOf({ networkMode, privileged: false, limits, request });
    this.#parts.specs.check({ Hostname: '' }, hostConfig);
    this.#parts.networking.checkMode(hostConfig);
  }

  /** Resolves to the exit code. Throws what a container's start throws, and `cancelled`. */
  async run(command: StepCommand): Promise<number> {
    const { logs } = this.#parts;
    await using started = await this.#start(command);
    const { task, log } = started;
    const decoders = { 1: new TextDecoder(), 2: new TextDecoder() };
    for await (const chunk of logs.read(log, { stdout: true, stderr: true, follow: task.exited }))
      command.onOutput(decoders[chunk.stream].decode(chunk.data, { stream: true }), chunk.stream);
    const exit = await task.exited;
    command.signal?.throwIfAborted();
    return exit.exitCode;
  }

  /** Runs it for as long as `use` takes, which has both ends of its stdio. Throws what a container's start throws, and what `use` throws. */
  async speak<T>(command: StepCommand, use: (spoken: SpokenCommand) => Promise<T>): Promise<T> {
    await using started = await this.#start(command, { stdin: true, bounds: SPOKEN_LOG });
    const { task, log } = started;
    return await use({
      output: this.#parts.logs.read(log, { stdout: true, stderr: true, follow: task.exited }),
      write: (data) => task.write(data),
      kill: () => void task.kill(9, { all: true }).catch(() => undefined),
      exited: task.exited.then(({ exitCode }) => exitCode),
    });
  }

  /** The same with a terminal, for somebody who looks on. Throws what a container's start throws, and `cancelled`. */
  async enter(command: StepCommand, size: TerminalSize): Promise<StepShell> {
    const started = await this.#start(command, { terminal: size, stdin: true });
    const { task, log } = started;
    const close = (): void => void task.kill(9, { all: true }).catch(() => undefined);
    return {
      tty: true,
      output: this.#parts.logs.read(log, { stdout: true, stderr: false, follow: task.exited }),
      write: async (data) => {
        await task.write(data);
        return 'passed';
      },
      // Who has hung up types no more.
      endInput: async () => close(),
      resize: (to) => task.resize(to),
      close,
      ended: task.exited.then(async () => started[Symbol.asyncDispose]()),
    };
  }

  async #start(
    command: StepCommand,
    { terminal, stdin = false, bounds = UNBOUNDED }: StartOptions = {},
  ): Promise<StartedStep> {
    const { tasks, specs, networking } = this.#parts;
    const record = this.#record(command, terminal !== undefined);
    const container = {
      id: record.id,
      name: record.name,
      config: record.config,
      hostConfig: record.hostConfig,
      networks: {},
      ids: command.ids,
      directory: command.directory,
    };
    const log: TaskLog = { path: `${command.directory}/log`, ...bounds };
    await using held = new AsyncDisposableStack();
    held.defer(() => tasks.forget(record.id));
    held.defer(() => networking.release(record.id));
    command.signal?.throwIfAborted();
    const network = await networking.prepare(container, command.signal);
    ownFiles(record, network);
    const spec = await specs.build({
      record,
      rootfs: command.rootfs,
      network,
      mounts: { mounts: command.mounts },
      joins: {},
    });
    const task = await tasks.start({
      id: record.id,
      name: record.name,
      spec,
      terminal: terminal !== undefined,
      stdin,
      stdinOnce: false,
      consoleSize: terminal,
      runtime: this.#parts.defaultRuntime,
      log,
      ready: network.ready,
    });
    networking.started(record.id, task.pid);
    const kill = (): void => void task.kill(9, { all: true }).catch(() => undefined);
    command.signal?.addEventListener('abort', kill, { once: true });
    held.defer(() => command.signal?.removeEventListener('abort', kill));
    if (command.signal?.aborted) kill();
    const end = held.move();
    return { task, log, [Symbol.asyncDispose]: () => end.disposeAsync() };
  }

  #record(command: StepCommand, tty: boolean): ContainerRecord {
    const id = newId();
    return {
      id,
      name: `build-${id.slice(0, 12)}`,
      createdAt: now(),
      imageId: '',
      platform: { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch },
      chain: undefined,
      ...(command.ids && { ids: command.ids }),
      config: {
        Hostname: command.hostname ?? 'buildkitsandbox',
        User: command.config.User ?? '',
        Env: environment(command),
        WorkingDir: command.config.WorkingDir ?? '/',
        Entrypoint: null,
        Cmd: [...command.args],
        ...(tty && { Tty: true, OpenStdin: true }),
      },
      hostConfig: hostConfigOf(command),
      mounts: [],
      networks: {},
      attachment: undefined,
      state: NEVER_RUN,
      restartCount: 0,
      stoppedByHand: false,
    };
  }
}

function hostConfigOf({
  networkMode,
  privileged,
  readOnly,
  devices,
  limits,
  request,
}: Pick<StepCommand, 'networkMode' | 'privileged' | 'readOnly' | 'devices' | 'limits' | 'request'>): HostConfig {
  return {
    NetworkMode: networkMode,
    PidsLimit: MAX_PROCESSES,
    Privileged: privileged,
    ...(devices?.nodes.length && { Devices: [...devices.nodes] }),
    ...(devices?.groups.length && { GroupAdd: [...devices.groups] }),
    ...(readOnly && { ReadonlyRootfs: true }),
    ...(request.securityOpt?.length && { SecurityOpt: [...request.securityOpt] }),
    ExtraHosts: [...(request.extraHosts ?? [])],
    ...(request.shmSize && { ShmSize: request.shmSize }),
    ...(request.ulimits && { Ulimits: request.ulimits.map((ulimit) => ({ ...ulimit })) }),
    ...(limits?.memory && { Memory: limits.memory }),
    ...(limits?.memorySwap && { MemorySwap: limits.memorySwap }),
    ...(limits?.cpuShares && { CpuShares: limits.cpuShares }),
    ...(limits?.cpuPeriod && { CpuPeriod: limits.cpuPeriod }),
    ...(limits?.cpuQuota && { CpuQuota: limits.cpuQuota }),
    ...(limits?.cpusetCpus && { CpusetCpus: limits.cpusetCpus }),
    ...(limits?.cpusetMems && { CpusetMems: limits.cpusetMems }),
    ...(limits?.cgroupParent && { CgroupParent: limits.cgroupParent }),
  };
}

interface StartOptions {
  readonly terminal?: TerminalSize;
  readonly stdin?: boolean;
  readonly bounds?: Pick<TaskLog, 'maxBytes' | 'maxFiles'>;
}

const UNBOUNDED = { maxBytes: 0, maxFiles: 1 };

/** A command that runs. Disposing it clears away what it had, when it has ended. */
interface StartedStep extends AsyncDisposable {
  readonly task: Task;
  readonly log: TaskLog;
}

/** Each variable once: what the step brings takes the place of the image's. */
function environment({ config, env }: StepCommand): string[] {
  const lines = [...(config.Env ?? []), ...env];
  return [...new Map(lines.map((line) => [line.split('=', 1)[0], line])).values()];
}

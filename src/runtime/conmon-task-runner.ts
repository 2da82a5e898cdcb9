import { reclaimNullDevice } from '../linux/null-device.ts';
import { chmodSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import { CgroupHierarchy } from '../linux/cgroup.ts';
import { identify, type ProcessIdentity } from '../linux/process.ts';
import { setTerminalSizeOf } from '../linux/terminal.ts';
import {
  adoptMonitor,
  NOBODY,
  readMonitorRecord,
  requestReopen,
  startMonitor,
  type TaskStdin,
  writeMonitorRecord,
  type Monitor,
} from './conmon-monitor.ts';
import { ConmonTask, readExitFile } from './conmon-task.ts';
import { within } from '../base/time.ts';
import { startExec } from './exec-process.ts';
import { finishLog, LogRotation, monitorLogLimit, prepareLog } from './logs/rotation.ts';
import { OciRuntime } from './oci-runtime.ts';
import { runtimeError } from './runtime-error.ts';
import { SECCOMP_BPF_ANNOTATION, SeccompCache } from './seccomp-cache.ts';
import type { OciSpec } from './spec/oci-spec.ts';
import type { AdoptRequest, Task, TaskLog, TaskRequest, TaskRunner } from './task.ts';
import { directoryEntries, factsOf, factsOfBundle, knownTask, TaskCleanup } from './task-cleanup.ts';
import { TaskPaths } from './task-paths.ts';

export interface ConmonTaskRunnerOptions {
  readonly execRoot: string;
  /** For what can be kept over a reboot: `cache/`. */
  readonly dataRoot: string;
  /** Configured OCI runtimes by name: absolute path of the program, and arguments before its subcommand. */
  readonly runtimes: Readonly<Record<string, { readonly path: string; readonly args: readonly string[] }>>;
  readonly conmonPath: string;
  /** How long a runtime may take until a process of a container runs. Default 60 s: hooks take their time, and disks do. */
  readonly startTimeoutMs?: number;
}

/** Runs tasks with conmon as monitor of each (docs/decisions/0001). */
export class ConmonTaskRunner implements TaskRunner {
  readonly #options: ConmonTaskRunnerOptions;
  readonly #paths: TaskPaths;
  readonly #cgroups = new CgroupHierarchy();
  readonly #cleanup: TaskCleanup;
  readonly #seccomp: SeccompCache;
  readonly #runtimes = new Map<string, OciRuntime>();
  readonly #tasks = new Map<string, ConmonTask>();
  readonly #rotations = new Set<LogRotation>();

  constructor(options: ConmonTaskRunnerOptions) {
    this.#options = options;
    this.#paths = new TaskPaths(options.execRoot);
    this.#seccomp = new SeccompCache({ directory: `${options.dataRoot}/cache/seccomp`, architecture: process.arch });
    for (const [name, runtime] of Object.entries(options.runtimes)) {
      this.#runtimes.set(name, new OciRuntime({ name, ...runtime, root: this.#paths.runtimeRoot(name) }));
    }
    this.#cleanup = new TaskCleanup({
      paths: this.#paths,
      cgroups: this.#cgroups,
      runtimes: [...this.#runtimes.values()],
    });
    mkdirSync(this.#paths.tasks(), { recursive: true, mode: 0o711 });
    for (const directory of [this.#paths.exits(), this.#paths.execs()]) {
      mkdirSync(directory, { recursive: true });
      // what execs print is nobody else's on this host
      chmodSync(directory, 0o700);
    }
  }

  // The files here are small and on a memory filesystem: each synchronous call is a few µs, less than a promise of it.
  async start(request: TaskRequest): Promise<Task> {
    const { id, spec } = request;
    const runtime = this.#runtime(request.runtime);
    if (request.log.path.includes(':')) {
      throw new EngineError('invalid-argument', `conmon takes no log path with a colon: ${request.log.path}`);
    }
    const bundle = this.#paths.bundle(id);
    mkdirSync(bundle, { recursive: true, mode: 0o711 });
    mkdirSync(runtime.root, { recursive: true, mode: 0o711 });
    this.#cleanup.clearBundle(id);
    const seccompKey =
      spec.linux.seccomp && (await runtime.isCrun())
        ? this.#seccomp.key(spec.linux.seccomp, await runtime.version())
        : undefined;
    const filter = seccompKey === undefined ? undefined : this.#seccomp.get(seccompKey);
    const annotations: Record<string, string> = filter === undefined ? {} : { [SECCOMP_BPF_ANNOTATION]: filter };
    const config: OciSpec = {
      ...spec,
      annotations: { ...spec.annotations, ...annotations },
    };
    writeFileSync(`${bundle}/config.json`, JSON.stringify(config), { mode: 0o600 });

    prepareLog(request.log);
    const { monitor, created } = await startMonitor({
      conmonPath: this.#options.conmonPath,
      id,
      name: request.name,
      runtime,
      bundle,
      exitDirectory: this.#paths.exits(),
      log: request.log,
      logLimit: monitorLogLimit(request.log),
      terminal: request.terminal,
      stdin: request.stdin,
      leaveStdinOpen: request.stdin && (request.terminal || !request.stdinOnce),
      keep: request.keep ?? [],
    });
    const facts = factsOf(spec);
    const known = knownTask(monitor, facts);
    try {
      writeMonitorRecord(bundle, { ...monitor.identity, stdin: null, known: facts });
      const limit = this.#options.startTimeoutMs ?? DEFAULT_START_TIMEOUT_MS;
      const result = await within(limit, created);
      reclaimNullDevice();
      if (result === undefined) {
        throw new EngineError(
          'timeout',
          `the runtime ${runtime.name} made no container within ${limit / 1000} s: it was killed`,
        );
      }
      if ('failure' in result) {
        throw runtimeError({
          doing: 'create',
          runtime: runtime.name,
          words: result.failure,
          command: spec.process.args[0],
          openFiles: spec.process.rlimits?.find(({ type }) => type === 'RLIMIT_NOFILE')?.soft,
        });
      }
      const process = identify(result.pid);
      if (!process) throw new EngineError('internal', `the container’s process ${result.pid} was gone before it ran`);
      const stdin = request.stdin ? stdinOf(process, request.terminal) : null;
      if (stdin !== null) writeMonitorRecord(bundle, { ...monitor.identity, stdin, known: facts });
      if (request.terminal && request.consoleSize) setTerminalSizeOf(monitor.identity, request.consoleSize);
      if (seccompKey !== undefined && filter === undefined) {
        this.#seccomp.put(seccompKey, `${runtime.root}/${id}/seccomp.bpf`);
      }
      await request.ready;
      await runtime.start(id, { hooks: (spec.hooks?.poststart?.length ?? 0) > 0 });
      return this.#task({ ...request, ...known, stdin, process, runtime });
    } catch (error) {
      await this.#cleanup.destroy(id, known);
      this.#cleanup.clearBundle(id);
      this.#cleanup.removeEmptyBundle(id);
      throw error;
    }
  }

  async adopt(request: AdoptRequest): Promise<Task | undefined> {
    const known = this.#tasks.get(request.id);
    if (known) return known;
    const bundle = this.#paths.bundle(request.id);
    const monitor = adoptMonitor(bundle);
    const record = readMonitorRecord(bundle);
    const facts = record?.known ?? factsOfBundle(bundle);
    if (!monitor && !facts && !readExitFile(this.#paths.exit(request.id))) return undefined;
    const task = this.#task({
      id: request.id,
      terminal: request.terminal,
      stdin: record?.stdin ?? null,
      stdinOnce: request.stdinOnce,
      process: { pid: request.pid, startTime: request.pidStartTime },
      ...knownTask(monitor ?? { identity: NOBODY, gone: Promise.resolve(), release: () => undefined }, facts),
      runtime: this.#runtime(request.runtime),
      log: request.log,
    });
    await task.endOrphanedStdin();
    return task;
  }

  async forget(id: string): Promise<void> {
    const task = this.#tasks.get(id);
    await this.#cleanup.destroy(id, task?.known);
    this.#tasks.delete(id);
    this.#cleanup.removeBundle(id);
  }

  close(): void {
    for (const task of this.#tasks.values()) task.monitor.release();
    for (const rotation of this.#rotations) rotation.close();
  }

  async list(): Promise<readonly string[]> {
    const ids = new Set([...directoryEntries(this.#paths.tasks()), ...directoryEntries(this.#paths.exits())]);
    for (const runtime of this.#runtimes.values()) for (const id of directoryEntries(runtime.root)) ids.add(id);
    return [...ids].filter((id) => !id.includes('.')); // a dot: caches, and files about to be renamed
  }

  #runtime(name: string): OciRuntime {
    const runtime = this.#runtimes.get(name);
    if (!runtime) throw new EngineError('invalid-argument', `unknown or invalid runtime name: ${name}`);
    return runtime;
  }

  #task(options: {
    readonly id: string;
    readonly terminal: boolean;
    readonly stdin: TaskStdin | null;
    readonly stdinOnce: boolean;
    readonly process: ProcessIdentity;
    readonly monitor: Monitor;
    readonly runtime: OciRuntime;
    readonly log: TaskLog;
    readonly cgroupPath: string | undefined;
    readonly poststop: boolean;
  }): ConmonTask {
    const { id } = options;
    const task = new ConmonTask({
      ...options,
      cgroups: this.#cgroups,
      bundle: this.#paths.bundle(id),
      exitFile: this.#paths.exit(id),
      exec: (request) =>
        startExec({
          runtime: options.runtime,
          containerId: id,
          request,
          directory: this.#paths.execs(),
          timeoutMs: this.#options.startTimeoutMs ?? DEFAULT_START_TIMEOUT_MS,
        }),
    });
    this.#tasks.set(id, task);
    this.#rotate(options.log, task);
    return task;
  }

  /** Bounds the log as long as the task runs. */
  #rotate(log: TaskLog, task: ConmonTask): void {
    if (log.maxBytes <= 0) return;
    const rotation = new LogRotation({ log, reopen: () => requestReopen(this.#paths.bundle(task.id)) });
    this.#rotations.add(rotation);
    rotation.start();
    void task.monitor.gone.then(() => {
      this.#rotations.delete(rotation);
      rotation.close();
      try {
        finishLog(log);
      } catch {
        return; // the container was removed meanwhile, its log with it
      }
    });
  }
}

const DEFAULT_START_TIMEOUT_MS = 60_000;

/** Of a process that the runtime has made and not let run: later it may have put something else there. */
function stdinOf(process: ProcessIdentity, terminal: boolean): TaskStdin {
  return terminal ? 'terminal' : readlinkSync(`/proc/${process.pid}/fd/0`);
}

import { readFileSync, statSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { EngineError } from '../base/errors.ts';
import { formatNanos, now } from '../base/time.ts';
import type { CgroupHierarchy } from '../linux/cgroup.ts';
import { identify, processesBeside, type ProcessIdentity, signalProcess, takeDescriptor } from '../linux/process.ts';
import { setTerminalSizeOf } from '../linux/terminal.ts';
import type { Monitor, TaskStdin } from './conmon-monitor.ts';
import { type MemoryWatch, watchMemory } from './memory-watch.ts';
import type { OciRuntime } from './oci-runtime.ts';
import type { LinuxResources } from './spec/oci-spec.ts';
import { StdinChannel } from './stdin-channel.ts';
import type { ExecProcess, ExecRequest, Task, TaskExit } from './task.ts';
import type { KnownTask } from './known-task.ts';

export interface ConmonTaskOptions {
  readonly id: string;
  /** The container's first process. */
  readonly process: ProcessIdentity;
  readonly monitor: Monitor;
  readonly runtime: OciRuntime;
  readonly cgroups: CgroupHierarchy;
  /** As in the specification; undefined when it is not a plain path. */
  readonly cgroupPath: string | undefined;
  /** Whether the runtime has hooks to run when it deletes the container. */
  readonly poststop: boolean;
  readonly bundle: string;
  readonly exitFile: string;
  /** Where it is kept open for writers. */
  readonly stdin: TaskStdin | null;
  readonly stdinOnce: boolean;
  readonly terminal: boolean;
  readonly exec: (request: ExecRequest) => Promise<ExecProcess>;
}

/** A running container, as its monitor and the kernel show it. Holds no descriptor, unless someone writes to its stdin. */
export class ConmonTask implements Task {
  readonly id: string;
  readonly exited: Promise<TaskExit>;
  readonly #options: ConmonTaskOptions;
  readonly #stdin: StdinChannel | undefined;

  constructor(options: ConmonTaskOptions) {
    this.id = options.id;
    this.#options = options;
    // A terminal outlives those who type: it is never closed with them.
    const closable = options.stdinOnce && !options.terminal;
    const { stdin, bundle } = options;
    if (stdin !== null) {
      this.#stdin = new StdinChannel({ bundle, monitor: options.monitor.identity, stdin, closable });
    }
    this.exited = this.#awaitExit();
  }

  get pid(): number {
    return this.#options.process.pid;
  }

  get pidStartTime(): number {
    return this.#options.process.startTime;
  }

  /** Resolves when the monitor is gone. */
  get monitor(): Monitor {
    return this.#options.monitor;
  }

  /** For the clean-up after it. */
  get known(): KnownTask {
    return this.#options;
  }

  held(name: string): number | undefined {
    try {
      return takeDescriptor(this.#options.monitor.identity, (one) => one === name);
    } catch {
      return undefined; // it is gone, or not ours to look into
    }
  }

  async write(data: Uint8Array): Promise<void> {
    if (!this.#stdin) throw new EngineError('conflict', 'the container’s stdin is not open');
    await this.#stdin.write(data);
  }

  async closeStdin(): Promise<void> {
    await this.#stdin?.end();
  }

  /** For a task found again: its stdin ends, if it should with a writer that went with the earlier engine. */
  async endOrphanedStdin(): Promise<void> {
    await this.#stdin?.endIfUsed();
  }

  async resize(size: { readonly rows: number; readonly columns: number }): Promise<void> {
    try {
      if (setTerminalSizeOf(this.#options.monitor.identity, size)) return;
    } catch (error) {
      throw new EngineError('conflict', `cannot resize the terminal: ${(error as Error).message}`, { cause: error });
    }
    throw new EngineError('conflict', 'the container has no terminal');
  }

  async kill(signal: number, options: { readonly all?: boolean } = {}): Promise<void> {
    const { process, cgroupPath, cgroups } = this.#options;
    let reached = false;
    if (options.all && signal === SIGKILL && cgroupPath !== undefined) reached = cgroups.killAll(cgroupPath);
    for (const pid of options.all && cgroupPath !== undefined ? cgroups.processes(cgroupPath) : []) {
      const member = identify(pid);
      if (member && member.pid !== process.pid) reached = signalProcess(member, signal) || reached;
    }
    reached = signalProcess(process, signal) || reached;
    if (!reached) throw new EngineError('not-found', 'the container’s process is gone');
  }

  async pause(): Promise<void> {
    if (this.#options.cgroupPath === undefined)
      throw new EngineError('unimplemented', 'the container has no cgroup, so it cannot be paused');
    await this.#options.runtime.pause(this.id);
  }

  async resume(): Promise<void> {
    await this.#options.runtime.resume(this.id);
  }

  async update(resources: LinuxResources): Promise<void> {
    if (this.#options.cgroupPath === undefined) return; // it was warned of
    await this.#options.runtime.update(this.id, resources);
  }

  watchMemory(onKill: () => void): MemoryWatch | undefined {
    const { cgroups, cgroupPath, bundle } = this.#options;
    return cgroupPath === undefined ? undefined : watchMemory({ cgroups, cgroupPath, bundle, onKill });
  }

  async processes(): Promise<readonly number[]> {
    const { cgroups, cgroupPath, process } = this.#options;
    return cgroupPath === undefined ? processesBeside(process.pid) : cgroups.processes(cgroupPath);
  }

  exec(request: ExecRequest): Promise<ExecProcess> {
    return this.#options.exec(request);
  }

  async #awaitExit(): Promise<TaskExit> {
    const { monitor, cgroups, cgroupPath, bundle, exitFile } = this.#options;
    await monitor.gone;
    this.#stdin?.close();
    const oomKilled = exists(`${bundle}/oom`) || (cgroupPath !== undefined && cgroups.oomKills(cgroupPath) > 0);
    const own = readExitFile(exitFile);
    if (own) return { ...own, oomKilled };
    // Nobody reads its output any more, nor would anyone see it end.
    await killAll(this.#options.process, cgroups, cgroupPath);
    return { exitCode: 137, oomKilled, exitedAt: now(), lost: 'its monitor ended without an exit status' };
  }
}

const SIGKILL = 9;

/** Kills the process and everything in its cgroup, and waits until all are gone; gives up after some seconds (a process in the kernel’s uninterruptible sleep). */
export async function killAll(
  first: ProcessIdentity | undefined,
  cgroups: CgroupHierarchy,
  cgroupPath: string | undefined,
): Promise<void> {
  if (cgroupPath !== undefined) cgroups.killAll(cgroupPath);
  for (let attempt = 0; attempt < 200; attempt++) {
    const members = (cgroupPath === undefined ? [] : cgroups.processes(cgroupPath)).map(identify);
    const alive = [first && identify(first.pid)?.startTime === first.startTime ? first : undefined, ...members].filter(
      (identity) => identity !== undefined,
    );
    if (alive.length === 0) return;
    for (const identity of alive) signalProcess(identity, SIGKILL);
    await setTimeout(Math.min(1 + attempt, 50));
  }
}

/** conmon's exit file: the status in decimal, written by rename. */
export function readExitFile(path: string): { exitCode: number; exitedAt: string } | undefined {
  try {
    const text = readFileSync(path, 'latin1');
    if (!/^-?\d{1,6}\s*$/.test(text)) return undefined;
    return { exitCode: Number(text) & 0xff, exitedAt: formatNanos(statSync(path, { bigint: true }).mtimeNs) };
  } catch {
    return undefined;
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

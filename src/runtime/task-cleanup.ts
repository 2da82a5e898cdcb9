import { existsSync, lstatSync, readdirSync, readFileSync, rmdirSync, rmSync, unlinkSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { EngineError } from '../base/errors.ts';
import type { CgroupHierarchy } from '../linux/cgroup.ts';
import { unmount } from '../linux/mount.ts';
import { descendants, isAlive, signalProcess } from '../linux/process.ts';
import { adoptMonitor, readMonitorRecord, searchMonitor, type Monitor, type TaskFacts } from './conmon-monitor.ts';
import { killAll } from './conmon-task.ts';
import type { KnownTask } from './known-task.ts';
import type { OciRuntime } from './oci-runtime.ts';
import type { OciSpec } from './spec/oci-spec.ts';
import type { TaskPaths } from './task-paths.ts';

export interface TaskCleanupOptions {
  readonly paths: TaskPaths;
  readonly cgroups: CgroupHierarchy;
  readonly runtimes: readonly OciRuntime[];
}

/** Ends tasks and removes what they leave on the host, in whatever state an engine that was killed left them. */
export class TaskCleanup {
  readonly #options: TaskCleanupOptions;

  constructor(options: TaskCleanupOptions) {
    this.#options = options;
  }

  /**
   * Ends whatever runs of the task and removes what the runtime and the kernel keep of it; the bundle stays. Where the
   * container has ended and the runtime is one we know, that is two directories to remove, and no process to start.
   */
  async destroy(id: string, known: KnownTask | undefined): Promise<void> {
    const { paths, runtimes, cgroups } = this.#options;
    const bundle = paths.bundle(id);
    const { cgroupPath, poststop, monitor } = known ?? readTask(bundle);
    const ended = existsSync(paths.exit(id));
    // conmon has the runtime write this file when it has made the container; what is there before is no runtime's to delete.
    const created = existsSync(`${bundle}/pid`);
    if (!created) await killMonitor(bundle, monitor);
    for (const runtime of runtimes) {
      const state = `${runtime.root}/${id}`;
      if (!existsSync(state)) continue;
      const simple = ended && !poststop && /^(crun|runc) /.test(await runtime.version());
      const done = !created || (simple && cgroupPath !== undefined && (await cgroups.remove(cgroupPath)));
      if (!done) await runtime.delete(id);
      rmSync(state, { recursive: true, force: true });
    }
    if (created) await endMonitor(bundle, monitor);
    if (cgroupPath === undefined || (await cgroups.remove(cgroupPath))) return;
    // What is killed is in its cgroups a moment longer than it is listed there, and one that was being made may still join.
    for (let attempt = 0; attempt < 100; attempt++) {
      await killAll(undefined, cgroups, cgroupPath);
      if (await cgroups.remove(cgroupPath)) return;
      await setTimeout(20);
    }
    throw new EngineError('internal', `processes of container ${id} do not end: cgroup ${cgroupPath}`);
  }

  /** Removes the files of a run from the bundle; mount points and whatever else is a directory stay. */
  clearBundle(id: string): void {
    const { paths } = this.#options;
    const bundle = paths.bundle(id);
    for (const name of directoryEntries(bundle)) {
      const stat = lstatSync(`${bundle}/${name}`, { throwIfNoEntry: false });
      if (stat && !stat.isDirectory()) unlinkIfThere(`${bundle}/${name}`);
    }
    unlinkIfThere(paths.exit(id));
  }

  /** Removes the bundle, after its files; the root filesystem is unmounted. */
  removeBundle(id: string): void {
    const { paths } = this.#options;
    const rootfs = paths.rootfs(id);
    while (unmount(rootfs, { detach: true })); // mounts may lie on top of each other
    this.clearBundle(id);
    removeDirectory(rootfs);
    removeDirectory(paths.bundle(id));
  }

  /** Removes the bundle if nothing is in it. */
  removeEmptyBundle(id: string): void {
    const bundle = this.#options.paths.bundle(id);
    if (directoryEntries(bundle).length === 0) removeDirectory(bundle);
  }
}

/** A cgroup we can find ourselves: a plain absolute path, and not a root or a systemd unit. */
export function plainCgroup(path: string | undefined): string | undefined {
  return path !== undefined && /^\/[^/]/.test(path) && !path.split('/').includes('..') ? path : undefined;
}

export function factsOf(spec: OciSpec): TaskFacts {
  return {
    cgroupPath: plainCgroup(spec.linux.cgroupsPath) ?? null,
    poststop: (spec.hooks?.poststop?.length ?? 0) > 0,
  };
}

/** Of a task that an earlier engine started and wrote no facts of; undefined when there is no such bundle. */
export function factsOfBundle(bundle: string): TaskFacts | undefined {
  try {
    return factsOf(JSON.parse(readFileSync(`${bundle}/config.json`, 'utf8')) as OciSpec);
  } catch {
    return undefined;
  }
}

/** The same, from the bundle of a task that an earlier engine started. */
function readTask(bundle: string): Partial<KnownTask> {
  const facts = readMonitorRecord(bundle)?.known ?? factsOfBundle(bundle);
  return { cgroupPath: facts?.cgroupPath ?? undefined, poststop: facts?.poststop ?? false };
}

export function knownTask(monitor: Monitor, facts: TaskFacts | undefined): KnownTask {
  return { monitor, cgroupPath: facts?.cgroupPath ?? undefined, poststop: facts?.poststop ?? false };
}

export function directoryEntries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Waits until the monitor is gone; it goes by itself once its container has ended, and is killed when it does not. */
async function endMonitor(bundle: string, known: Monitor | undefined): Promise<void> {
  const monitor = known ?? adoptMonitor(bundle);
  if (!monitor) return;
  const patience = new AbortController();
  const tooLong = setTimeout(2000, 'too long', { ref: false, signal: patience.signal }).catch(() => 'gone');
  const outcome = await Promise.race([monitor.gone.then(() => 'gone'), tooLong]);
  patience.abort();
  if (outcome === 'too long') await killMonitor(bundle, monitor);
}

/** Kills the monitor with the runtime that it has started, which may be in the middle of its work. */
async function killMonitor(bundle: string, known: Monitor | undefined): Promise<void> {
  if (!existsSync(bundle)) return;
  const recorded = known?.identity.pid ? known.identity : readMonitorRecord(bundle);
  const identity = recorded ?? searchMonitor(bundle);
  if (!identity || !isAlive(identity)) return;
  const family = [identity, ...descendants(identity.pid)];
  for (const member of family) signalProcess(member, SIGKILL);
  for (let attempt = 0; family.some(isAlive) && attempt < 200; attempt++) await setTimeout(Math.min(attempt, 20));
}

const SIGKILL = 9;

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Never recursive: below could be a mount with someone's data. */
function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

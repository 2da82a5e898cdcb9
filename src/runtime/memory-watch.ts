import { existsSync, type FSWatcher, watch } from 'node:fs';
import type { CgroupHierarchy } from '../linux/cgroup.ts';

export interface MemoryWatchOptions {
  readonly cgroups: CgroupHierarchy;
  readonly cgroupPath: string;
  /** Where the container's monitor writes the file `oom`. */
  readonly bundle: string;
  /** Called for kills from now on: on cgroup v2 for each that is seen by itself, on v1 for the first. */
  readonly onKill: () => void;
}

/** Told by the kernel, or by the monitor, when a process of the container is killed for want of memory. */
export interface MemoryWatch {
  /** Looks for the last time, and ends. */
  close(): void;
}

/**
 * Version 2 notifies of changes of `memory.events`, so a watch of the file is enough. Version 1 tells only who holds an
 * eventfd: that is the monitor, which makes a file. Where the user has no watch left nothing is told: the end will say it.
 */
export function watchMemory({ cgroups, cgroupPath, bundle, onKill }: MemoryWatchOptions): MemoryWatch {
  const unified = cgroups.version === 'v2';
  const kills = (): number => (unified ? cgroups.oomKills(cgroupPath) : Number(existsSync(`${bundle}/oom`)));
  let seen = kills();
  const look = (): void => {
    const count = kills();
    if (count > seen) onKill();
    seen = Math.max(seen, count); // what is gone counts nothing
  };
  let watcher: FSWatcher | undefined;
  try {
    const path = unified ? `${cgroups.directory('memory', cgroupPath)}/memory.events` : bundle;
    watcher = watch(path, { persistent: false }, look);
    watcher.on('error', () => watcher?.close());
  } catch {
    watcher = undefined;
  }
  return {
    close() {
      watcher?.close();
      look();
    },
  };
}

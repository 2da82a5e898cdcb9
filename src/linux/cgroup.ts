import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';

/**
 * A host's cgroups: `v1` (a hierarchy for each controller), `hybrid` (v1, with an empty v2 hierarchy beside it), `v2`.
 * A cgroup is named by its path below the root of each hierarchy, as in `linux.cgroupsPath`: `/docker/<id>`.
 */
export type CgroupVersion = 'v1' | 'hybrid' | 'v2';

export class CgroupHierarchy {
  readonly version: CgroupVersion;
  readonly #root: string;
  /** v1: directories of the hierarchies, by each controller's name. */
  readonly #controllers: ReadonlyMap<string, string>;

  constructor(root = '/sys/fs/cgroup') {
    this.#root = root;
    if (existsSync(`${root}/cgroup.controllers`)) {
      this.version = 'v2';
      this.#controllers = new Map();
      return;
    }
    this.version = existsSync(`${root}/unified/cgroup.procs`) ? 'hybrid' : 'v1';
    const controllers = new Map<string, string>();
    for (const name of existsSync(root) ? readdirSync(root) : []) {
      if (name === 'unified' || !existsSync(`${root}/${name}/cgroup.procs`)) continue;
      for (const controller of name.split(',')) controllers.set(controller, `${root}/${name}`);
    }
    this.#controllers = controllers;
  }

  /** Where a controller's files of this cgroup are; undefined when the host has no such controller. Does not say that the cgroup exists. */
  directory(controller: string, path: string): string | undefined {
    if (this.version === 'v2') return `${this.#root}${path}`;
    const hierarchy = this.#controllers.get(controller);
    return hierarchy === undefined ? undefined : `${hierarchy}${path}`;
  }

  /** A file of the cgroup, without its last newline; undefined when it is not there. */
  read(controller: string, path: string, file: string): string | undefined {
    const directory = this.directory(controller, path);
    return directory === undefined ? undefined : readText(`${directory}/${file}`)?.trimEnd();
  }

  /** Processes in the cgroup and in those below it, as this process sees their pids. */
  processes(path: string): readonly number[] {
    const pids = new Set<number>();
    const directories = this.#directories(path);
    // In v1 a process is in each hierarchy; `pids` or `freezer` is what the runtimes trust. One that exists is enough.
    const start =
      this.version === 'v2' ? directories : [this.directory('pids', path) ?? this.directory('freezer', path) ?? ''];
    for (const directory of start) {
      if (directory === '') continue;
      for (const at of descend(directory)) {
        for (const pid of (readText(`${at}/cgroup.procs`) ?? '').split('\n')) {
          if (pid !== '' && pid !== '0') pids.add(Number(pid));
        }
      }
    }
    return [...pids];
  }

  /** Kills whatever is in the cgroup and below, and what is just being forked there. False where the kernel has no such call (v1, or older than 5.14). */
  killAll(path: string): boolean {
    if (this.version !== 'v2' || path === '' || path === '/') return false;
    try {
      writeFileSync(`${this.#root}${path}/cgroup.kill`, '1', { flag: 'r+' });
      return true;
    } catch {
      return false;
    }
  }

  /** How many processes the kernel killed here for want of memory. */
  oomKills(path: string): number {
    const [controller, file] = this.version === 'v2' ? ['memory', 'memory.events'] : ['memory', 'memory.oom_control'];
    const text = this.read(controller, path, file);
    return Number(/^oom_kill (\d+)$/m.exec(text ?? '')?.[1] ?? 0);
  }

  /**
   * Removes the cgroup with those below it. False when a process is still inside. A thread of Node's pool waits for the
   * kernel, which does one at a time of all that the host makes and removes.
   */
  async remove(path: string): Promise<boolean> {
    let removed = true;
    for (const directory of this.#directories(path)) {
      // Hardly any has cgroups below it: it is tried before it is read.
      if (await removeCgroup(directory)) continue;
      for (const at of [...descend(directory)].reverse()) if (!(await removeCgroup(at))) removed = false;
    }
    return removed;
  }

  /** Removes the cgroup where nothing is in it, neither processes nor cgroups. Says nothing where it stays. */
  removeEmpty(path: string): void {
    for (const directory of this.#directories(path)) {
      try {
        rmdirSync(directory);
      } catch (error) {
        if (!['ENOENT', 'EBUSY', 'ENOTEMPTY', 'EROFS', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? ''))
          throw error;
      }
    }
  }

  /** The cgroup's directory in every hierarchy. */
  #directories(path: string): readonly string[] {
    if (path === '' || path === '/') throw new Error('the root cgroup is nobody’s own');
    if (this.version === 'v2') return [`${this.#root}${path}`];
    const hierarchies = new Set(this.#controllers.values());
    if (this.version === 'hybrid') hierarchies.add(`${this.#root}/unified`);
    return [...hierarchies].map((hierarchy) => `${hierarchy}${path}`);
  }
}

async function removeCgroup(directory: string): Promise<boolean> {
  try {
    await rmdir(directory);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** The directory, then those below it, parents first. */
function* descend(directory: string): Generator<string> {
  yield directory;
  let entries;
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of entries) if (entry.isDirectory()) yield* descend(`${directory}/${entry.name}`);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

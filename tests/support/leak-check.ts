import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Owned {
  readonly directory: string;
  readonly bridge?: string;
  readonly cgroupParent?: string;
}

/** What an ended engine left on this host, after removal of everything in it; empty when nothing is. The kernel takes interfaces away in its own time. */
export async function leftBehind(owned: Owned): Promise<string[]> {
  let found: string[] = [];
  for (let tries = 0; tries < 40; tries++) {
    found = [...mounts(owned), ...processes(owned), ...cgroups(owned), ...interfaces(owned), ...containers(owned)];
    if (found.length === 0) return [];
    await sleep(100);
  }
  return found;
}

function mounts({ directory }: Owned): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(` ${directory}/`))
    .map((line) => `mount: ${line}`);
}

function processes({ directory }: Owned): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
        return command.includes(`${directory}/`) ? [`process ${pid}: ${command.slice(0, 200)}`] : [];
      } catch {
        return [];
      }
    });
}

function cgroups({ cgroupParent }: Owned): string[] {
  if (!cgroupParent) return [];
  const parents = [`/sys/fs/cgroup/${cgroupParent}`, `/sys/fs/cgroup/*/${cgroupParent}`];
  return globSync(parents.flatMap((parent) => [parent, `${parent}/*/`])).map((path) => `cgroup: ${path}`);
}

function interfaces({ bridge }: Owned): string[] {
  if (!bridge) return [];
  const result = spawnSync('ip', ['-o', 'link', 'show', 'master', bridge], { encoding: 'utf8' });
  return result.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => `interface: ${line}`);
}

function containers({ directory }: Owned): string[] {
  return ['data/containers', 'run/tasks', 'run/exits', 'data/ingest', 'data/tmp']
    .map((name) => `${directory}/${name}`)
    .filter((path) => existsSync(path))
    .flatMap((path) => readdirSync(path).map((name) => `left in ${path}: ${name}`));
}

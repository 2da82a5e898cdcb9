/** What clients make and take away around a power cut, and what must be there after it. */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { DaemonProcess } from '../support/daemon-process.ts';

export const KINDS = ['container', 'volume', 'filled', 'network', 'tag', 'image', 'built'] as const;
export type Kind = (typeof KINDS)[number];

const BASE = randomInt(50, 60);

/** Not of the host's pools: those are for everybody on it. */
function subnetOf(name: string): string {
  return `10.${BASE}.${Number(/\d+$/.exec(name)![0]) % 256}.0/24`;
}

/** How a thing of each kind is made, taken away and listed. */
export const VERBS: Readonly<
  Record<Kind, { make: (name: string) => string; remove: (name: string) => string; list: string }>
> = {
  container: {
    make: (name) => `docker create --name ${name} --network none busybox true`,
    remove: (name) => `docker rm ${name}`,
    list: "docker ps -a --format '{{.Names}}'",
  },
  volume: {
    make: (name) => `docker volume create ${name}`,
    remove: (name) => `docker volume rm ${name}`,
    list: 'docker volume ls -q',
  },
  filled: {
    make: (name) => `docker run --rm --network none -v ${name}:/etc busybox true`,
    remove: (name) => `docker volume rm ${name}`,
    list: 'docker volume ls -q',
  },
  network: {
    make: (name) => `docker network create --subnet ${subnetOf(name)} ${name}`,
    remove: (name) => `docker network rm ${name}`,
    list: "docker network ls --format '{{.Name}}'",
  },
  tag: {
    make: (name) => `docker tag busybox ${name}`,
    remove: (name) => `docker rmi ${name}`,
    list: "docker images --format '{{.Repository}}'",
  },
  image: {
    make: (name) => `docker commit made ${name}`,
    remove: (name) => `docker rmi ${name}`,
    list: "docker images --format '{{.Repository}}'",
  },
  built: {
    make: (name) => `printf 'FROM busybox\\nRUN echo ${name} >/name\\n' | docker build -q -t ${name} -`,
    remove: (name) => `docker rmi ${name}`,
    list: "docker images --format '{{.Repository}}'",
  },
};

const GANTRY = new URL('../../gantry', import.meta.url).pathname;

/** A script as a client of the engine. Never rejects. */
export async function shell(daemon: DaemonProcess, script: string): Promise<{ code: number; output: string }> {
  const child = spawn('sh', ['-c', script], { env: daemon.clientEnv, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (data: string) => (output += data));
  }
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? 137)));
  return { code, output };
}

/** What of the things that are to be there is not, what of those that are to be gone is there, what is damaged. */
export async function missing(
  daemon: DaemonProcess,
  when: string,
  there: ReadonlyMap<string, Kind>,
  gone: ReadonlyMap<string, Kind>,
): Promise<string[]> {
  const failures: string[] = [];
  const lists = new Map<string, Set<string>>();
  for (const { list } of Object.values(VERBS)) {
    if (lists.has(list)) continue;
    const { code, output } = await shell(daemon, list);
    if (code !== 0) failures.push(`${when}: ${list}: ${output}`);
    lists.set(list, new Set(output.trim().split('\n')));
  }
  for (const [name, kind] of there) {
    if (!lists.get(VERBS[kind].list)!.has(name)) failures.push(`${when}: undone: ${name}`);
    else if (kind === 'filled' && !isFilled(daemon, name)) failures.push(`${when}: half filled: ${name}`);
  }
  const built = [...there].find(([, kind]) => kind === 'built')?.[0];
  if (built !== undefined) {
    const printed = await shell(daemon, `docker run --rm --network none ${built} cat /name`);
    if (printed.output.trim() !== built) failures.push(`${when}: what was built is not in ${built}: ${printed.output}`);
  }
  for (const [name, kind] of gone) {
    if (lists.get(VERBS[kind].list)!.has(name)) failures.push(`${when}: resurrected: ${name}`);
  }
  const checked = await shell(daemon, `${GANTRY} system fsck`);
  if (checked.code !== 0) failures.push(`${when}: damaged: ${checked.output}`);
  return failures;
}

/** A volume that was filled from the image has all of it. */
function isFilled({ directory }: DaemonProcess, name: string): boolean {
  const file = join(directory, 'data/volumes', name, '_data/passwd');
  return existsSync(file) && statSync(file).size > 0;
}

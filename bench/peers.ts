import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Peer } from './measure.ts';

const UNPACKED = new URL('../.gantry/peers/', import.meta.url).pathname;

/** An engine that this run started, to be stopped at its end. */
export type StartedPeer = Peer & AsyncDisposable;

export interface Roots {
  readonly directory: string;
  /** On a tmpfs. */
  readonly execRoot: string;
}

/** Our engine from this checkout, on roots below `directory`; what it executes from is on a tmpfs, as where /run is one. */
export async function startGantry({ directory, execRoot }: Roots): Promise<StartedPeer> {
  const socket = join(directory, 'gantry.sock');
  const launcher = new URL('../gantry', import.meta.url).pathname;
  mkdirSync(directory, { recursive: true });
  const words = [
    ['--data-root', join(directory, 'gantry')],
    ['--exec-root', join(execRoot, 'gantry')],
    ['--host', `unix://${socket}`],
    ['--bridge', `gtb${process.pid}`],
    ['--bip', `10.${225 + (process.pid % 25)}.0.1/16`],
    ['--cgroup-parent', `/gantry-bench-${process.pid}`],
    // A pull after a removal is to come from the registry, not from what is kept for `undo`.
    ['--trash=false'],
  ].flat();
  // Of a signal from the terminal it hears by `all.ts`, when its containers are gone.
  const child = spawn(launcher, ['daemon', ...words], {
    stdio: ['ignore', log(directory, 'gantry'), 'inherit'],
    detached: true,
  });
  return ready({ name: 'gantry', host: `unix://${socket}` }, child);
}

/** A dockerd unpacked by tools/bench-peers.sh, in a network namespace of its own; undefined where there is none. */
export async function startDocker(
  name: string,
  suite: 'old' | 'new',
  { directory, execRoot }: Roots,
): Promise<StartedPeer | undefined> {
  const root = join(UNPACKED, suite, 'root/usr');
  if (!existsSync(join(root, 'sbin/dockerd'))) return undefined;
  const own = join(directory, name);
  mkdirSync(own, { recursive: true });
  const socket = join(own, 'docker.sock');
  const words = [
    ['--data-root', join(own, 'data')],
    ['--exec-root', join(execRoot, name)],
    ['-p', join(own, 'dockerd.pid')],
    ['-H', `unix://${socket}`],
    ['--cgroup-parent', `/${name}-bench-${process.pid}`],
    ['--insecure-registry', '127.0.0.0/8'],
  ].flat();
  // the host's runc comes first: the same runtime for all
  const PATH = `/usr/sbin:/usr/bin:/sbin:/bin:${root}/bin:${root}/sbin`;
  const child = spawn(
    'unshare',
    ['--net', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh', join(root, 'sbin/dockerd'), ...words],
    {
      stdio: ['ignore', log(own, 'dockerd'), log(own, 'dockerd-errors')],
      env: { ...process.env, PATH },
      detached: true,
    },
  );
  const pidFile = join(own, 'bench.pid');
  writeFileSync(pidFile, `${child.pid}\n`);
  return { ...(await ready({ name, host: `unix://${socket}` }, child)), pidFile };
}

function log(directory: string, name: string): number {
  return openSync(join(directory, `${name}.log`), 'a');
}

async function ready(peer: Peer, child: ChildProcess): Promise<StartedPeer> {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  for (let tries = 0; tries < 600; tries++) {
    if (child.exitCode !== null) throw new Error(`${peer.name} ended at its start (exit code ${child.exitCode})`);
    if (spawnSync('docker', ['-H', peer.host, 'info'], { stdio: 'ignore' }).status === 0) {
      const stop = async (): Promise<void> => {
        child.kill('SIGTERM');
        await ended;
      };
      return { ...peer, [Symbol.asyncDispose]: stop };
    }
    await sleep(100);
  }
  child.kill('SIGTERM');
  throw new Error(`${peer.name} does not answer`);
}

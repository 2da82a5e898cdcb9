import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Roots, type StartedPeer, startDocker, startGantry } from './peers.ts';

/** The engines of a run, started when a part first needs them. */
export class Engines implements AsyncDisposable {
  readonly #roots: Roots;
  readonly #started: StartedPeer[] = [];

  constructor(roots: Roots) {
    this.#roots = roots;
  }

  /** `name=host@pidfile` words, as the parts take them. */
  async words(): Promise<string[]> {
    if (this.#started.length === 0) await this.#start();
    return this.#started.map(({ name, host, pidFile }) => `${name}=${host}${pidFile ? `@${pidFile}` : ''}`);
  }

  async #start(): Promise<void> {
    this.#started.push(await startGantry(this.#roots));
    for (const [name, suite] of [
      ['docker28', 'new'],
      ['docker20', 'old'],
    ] as const) {
      const peer = await startDocker(name, suite, this.#roots);
      if (peer) this.#started.push(peer);
    }
    const [ours, ...others] = this.#started;
    const image = join(this.#roots.directory, 'busybox.tar');
    docker(ours!, 'run', '--rm', 'busybox', 'true'); // it is built in
    docker(ours!, 'save', '-o', image, 'busybox');
    for (const peer of others) docker(peer, 'load', '-i', image);
  }

  /** Their containers and networks go with them: ours would go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#started) {
      const { stdout } = spawnSync('docker', ['-H', peer.host, 'ps', '-aq'], { encoding: 'utf8', timeout: 30_000 });
      const left = stdout.split('\n').filter((id) => id !== '');
      if (left.length > 0) spawnSync('docker', ['-H', peer.host, 'rm', '-fv', ...left], { stdio: 'ignore' });
      spawnSync('docker', ['-H', peer.host, 'network', 'prune', '-f'], { stdio: 'ignore', timeout: 30_000 });
      await peer[Symbol.asyncDispose]();
    }
    for (const root of [this.#roots.directory, this.#roots.execRoot]) unmountBelow(root);
  }
}

/** dockerd leaves the mount of its namespace behind. */
function unmountBelow(path: string): void {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  for (const target of mounts.map((line) => line.split(' ')[1] ?? '').reverse()) {
    if (target.startsWith(`${path}/`)) spawnSync('umount', [target], { stdio: 'ignore' });
  }
}

function docker({ host }: StartedPeer, ...words: string[]): void {
  const { status } = spawnSync('docker', ['-H', host, ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`docker ${words.join(' ')} failed`);
}

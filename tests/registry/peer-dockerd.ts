import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

const UNPACKED = join(import.meta.dirname, '../../.gantry/dockerd/usr');
/** Docker's daemon: unpacked by tools/setup-tests.sh, or another one that GANTRY_TEST_DOCKERD names. */
const program = [process.env['GANTRY_TEST_DOCKERD'], join(UNPACKED, 'sbin/dockerd')].find(
  (path) => path !== undefined && existsSync(path),
);

/** Why there can be no dockerd here; false where there can. */
export const noDockerd: string | false =
  program === undefined
    ? 'dockerd could not be had from Debian: see tools/setup-tests.sh'
    : spawnSync('docker', ['--version']).status !== 0 && 'there is no docker command';

/** A dockerd of its own: no network, no firewall, nothing outside its directory. */
export class PeerDockerd implements AsyncDisposable {
  readonly #directory: string;
  readonly #end: () => Promise<void>;

  private constructor(directory: string, end: () => Promise<void>) {
    this.#directory = directory;
    this.#end = end;
  }

  static async start(): Promise<PeerDockerd> {
    const directory = await mkdtemp('/var/tmp/gantry-peer-');
    const own = join(program!, '../..');
    const child = spawn(
      program!,
      [
        ['--data-root', join(directory, 'data')],
        ['--exec-root', join(directory, 'exec')],
        ['-p', join(directory, 'pid')],
        ['-H', `unix://${join(directory, 'sock')}`],
        ['--bridge', 'none'],
        ['--iptables=false', '--ip6tables=false', '--ip-forward=false'],
      ].flat(),
      {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...process.env, PATH: `/usr/sbin:/usr/bin:/sbin:/bin:${own}/bin:${own}/sbin` },
      },
    );
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said = `${said}${chunk.toString()}`.slice(-4000)));
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const peer = new PeerDockerd(directory, async () => {
      child.kill('SIGTERM');
      await ended;
      unmountBelow(directory);
      await rm(directory, { recursive: true, force: true });
    });
    for (let tries = 0; tries < 600 && child.exitCode === null; tries++) {
      if ((await peer.run('version')).status === 0) return peer;
      await sleep(100);
    }
    await peer[Symbol.asyncDispose]();
    throw new Error(`dockerd does not start: ${said}`);
  }

  /** `docker …` with this daemon; throws what it printed when it fails. */
  async docker(...words: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(...words);
    if (status !== 0) throw new Error(`docker ${words.join(' ')}: ${stdout}${stderr}`);
    return stdout.trim();
  }

  /** Beside the registry, which may be of this process. */
  async run(...words: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
    const child = spawn('docker', ['-H', `unix://${join(this.#directory, 'sock')}`, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, DOCKER_CONFIG: join(this.#directory, 'config'), DOCKER_BUILDKIT: '0' },
    });
    const [stdout, stderr, status] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise<number | null>((resolve) => child.once('close', resolve)),
    ]);
    return { status, stdout, stderr };
  }

  /** Builds from these files, by the builder that dockerd has within. */
  async build(tag: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
    const context = join(this.#directory, 'context');
    await mkdir(context);
    for (const [name, content] of Object.entries(files)) await writeFile(join(context, name), content);
    await this.docker('build', '-q', '-t', tag, context);
    await rm(context, { recursive: true });
  }

  /** A file of an image, by a container that never runs. */
  async fileOf(image: string, path: string): Promise<Buffer> {
    const container = await this.docker('create', '--network', 'none', image, 'none');
    const copy = join(this.#directory, 'copy');
    try {
      await this.docker('cp', '-L', `${container}:${path}`, copy);
      return await readFile(copy);
    } finally {
      await rm(copy, { force: true });
      await this.docker('rm', container);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }
}

/** dockerd leaves mounts behind. */
function unmountBelow(path: string): void {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  for (const target of mounts.map((line) => line.split(' ')[1] ?? '').reverse()) {
    if (target.startsWith(`${path}/`)) spawnSync('umount', [target], { stdio: 'ignore' });
  }
}

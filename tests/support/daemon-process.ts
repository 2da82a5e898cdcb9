import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { busyboxRoot } from './busybox-root.ts';
import { UnprivilegedUser } from './unprivileged-user.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface DaemonOptions {
  /** Everything of this daemon is below it. */
  readonly directory: string;
  readonly args?: readonly string[];
  /** Keeps what is removed for undo; otherwise it is gone at once, so that what is left behind shows. */
  readonly trash?: boolean;
  /** A command in front of the daemon's, which becomes it by exec. */
  readonly within?: readonly string[];
  /** Whose engine it is; the default is root's. */
  readonly user?: UnprivilegedUser;
  /** The engine of a user made for it. */
  readonly rootless?: boolean;
}

/** A daemon of its own for a test: private roots, socket, bridge and cgroup parent, so that many run side by side. */
export class DaemonProcess {
  readonly directory: string;
  readonly socket: string;
  readonly host: string;
  readonly bridge: string;
  readonly cgroupParent: string;
  readonly user: UnprivilegedUser | undefined;
  readonly #args: readonly string[];
  readonly #within: readonly string[];
  #child: ChildProcess | undefined;

  constructor(options: DaemonOptions) {
    this.directory = options.directory;
    this.#within = options.within ?? [];
    mkdirSync(options.directory, { recursive: true });
    const made = options.rootless === true && options.user === undefined;
    this.user = made ? new UnprivilegedUser({ directory: join(options.directory, 'user') }) : options.user;
    if (this.user) chownSync(options.directory, this.user.uid, this.user.uid);
    this.socket = join(options.directory, 'd.sock');
    this.host = `unix://${this.socket}`;
    const number = randomInt(1, 250);
    const tag = `${process.pid.toString(36)}${number.toString(36)}`.slice(-8);
    this.bridge = `gt${tag}`;
    this.cgroupParent = `gantry-test-${tag}`;
    this.#args = [
      ['--data-root', join(options.directory, 'data')],
      ['--exec-root', join(options.directory, 'run')],
      ['--host', this.host],
      ['--bridge', this.bridge],
      ['--bip', `10.${200 + (number % 50)}.${randomInt(0, 255)}.1/24`],
      ['--cgroup-parent', `/${this.cgroupParent}`],
      options.trash ? [] : ['--trash=false'],
      options.args ?? [],
    ].flat();
  }

  /** Environment for the docker CLI and ours. */
  get clientEnv(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      DOCKER_HOST: this.host,
      GANTRY_HOST: this.host,
      GANTRY_NO_AUTOSTART: '1',
      HOME: this.directory,
      DOCKER_CLI_HINTS: 'false',
      DOCKER_BUILDKIT: '0',
    };
  }

  /** The daemon's program: bundled where it is, as users have it. */
  get entry(): string {
    return program('daemon/main', 'js');
  }

  /** The command's. */
  get cli(): string {
    return program('cli/main', 'cjs');
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get log(): string {
    return existsSync(join(this.directory, 'daemon.log'))
      ? readFileSync(join(this.directory, 'daemon.log'), 'utf8')
      : '';
  }

  /** Starts and waits until it answers. */
  async start(): Promise<void> {
    const log = openSync(join(this.directory, 'daemon.log'), 'a');
    const own: [string, ...string[]] = [process.execPath, this.entry, ...this.#args];
    const [program, ...args] = [...this.#within, ...(this.user?.command(own) ?? own)];
    const child = spawn(program!, args, {
      stdio: ['ignore', log, log],
      env: this.user?.env ?? process.env,
    });
    this.#child = child;
    let ended = false;
    child.once('exit', () => (ended = true));
    for (let tries = 0; tries < 300; tries++) {
      if (await this.#answers()) return;
      if (ended) throw new Error(`the daemon ended:\n${this.log.slice(-2000)}`);
      await sleep(50);
    }
    throw new Error(`the daemon does not answer:\n${this.log.slice(-2000)}`);
  }

  /** Imports the image `busybox` of these tests. */
  async importBusybox(): Promise<void> {
    const result = spawnSync(
      'sh',
      ['-c', `tar -C ${await busyboxRoot()} -c . | docker import -c 'CMD ["sh"]' - busybox:latest`],
      { env: this.clientEnv, encoding: 'utf8' },
    );
    if (result.status !== 0) throw new Error(`import of busybox: ${result.stderr}`);
  }

  /** kill -9, and waits for its end. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** A proper end. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  #answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const req = request({ socketPath: this.socket, path: '/_ping', timeout: 2000 }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      });
      req.once('error', () => resolve(false));
      req.once('timeout', () => req.destroy());
      req.end();
    });
  }
}

function program(name: string, bundledAs: string): string {
  const bundled = join(root, `dist/${name}.${bundledAs}`);
  return existsSync(bundled) && !process.env['GANTRY_TEST_SOURCE'] ? bundled : join(root, `src/${name}.ts`);
}

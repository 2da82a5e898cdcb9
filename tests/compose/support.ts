/** A daemon with the image `busybox`, and projects in directories of their own to run against it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gantryWords } from '../cli/command.ts';
import { type Ended, runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';

/** A process that ends at once when told, and says what it was told. */
export const OBEYS = `trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done`;

export class ComposeBench {
  readonly directory: string;
  readonly daemon: DaemonProcess;

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'gantry-compose-'));
    this.daemon = new DaemonProcess({ directory: join(this.directory, 'd') });
  }

  async start(): Promise<void> {
    await this.daemon.start();
    await this.daemon.importBusybox();
  }

  /** Stops the daemon and asserts that it left nothing. */
  async close(): Promise<void> {
    const ids = await this.docker('ps', '-aq');
    const stray = ids.split('\n').filter((id) => id !== '');
    for (const id of stray) await this.docker('rm', '-f', id);
    await this.daemon.stop();
    const { bridge, cgroupParent } = this.daemon;
    assert.deepEqual(await leftBehind({ directory: this.daemon.directory, bridge, cgroupParent }), []);
    rmSync(this.directory, { recursive: true, force: true });
    assert.deepEqual(stray, [], 'every project was taken down');
  }

  get env(): Record<string, string> {
    return {
      HOME: this.directory,
      PATH: process.env['PATH'] ?? '',
      GANTRY_HOST: this.daemon.host,
      GANTRY_NO_AUTOSTART: '1',
    };
  }

  /** Files of a project, in a directory of its name. */
  project(name: string, files: Readonly<Record<string, string>>): TestProject {
    const directory = join(this.directory, name);
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), text);
    }
    return new TestProject(this, name, directory);
  }

  /** Standard output of a command that is not Compose's. */
  async docker(...words: string[]): Promise<string> {
    const ended = await runInProcess(words, { env: this.env });
    assert.equal(ended.code, 0, ended.stderr);
    return ended.stdout.trim();
  }
}

export class TestProject {
  readonly bench: ComposeBench;
  readonly name: string;
  readonly directory: string;

  constructor(bench: ComposeBench, name: string, directory: string) {
    this.bench = bench;
    this.name = name;
    this.directory = directory;
  }

  /** Whatever comes of it. */
  async try(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return runInProcess(['compose', '--project-directory', this.directory, ...words], {
      env: { ...this.bench.env, ...env },
    });
  }

  /** Of a command that must succeed. */
  async run(...words: string[]): Promise<Ended> {
    const ended = await this.try(words);
    assert.equal(ended.code, 0, `compose ${words.join(' ')}: ${ended.stderr}`);
    return ended;
  }

  /** In a process of its own, for what is ended by signals. */
  spawn(...words: string[]): Running {
    return new Running(
      spawn(process.execPath, [...gantryWords, 'compose', '--project-directory', this.directory, ...words], {
        env: { ...this.bench.env },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
  }

  /** In a terminal, which `script` (util-linux) gives; both streams come as `stdout`. */
  terminal(...words: string[]): Running {
    const all = [process.execPath, ...gantryWords, 'compose', '--project-directory', this.directory, ...words];
    const line = all.map((word) => `'${word}'`).join(' ');
    return new Running(
      spawn('script', ['-qec', `stty rows 33 cols 101; ${line}`, '/dev/null'], {
        env: { ...this.bench.env, TERM: 'xterm' },
        stdio: ['pipe', 'pipe', 'pipe'],
      }),
    );
  }

  write(path: string, text: string): void {
    writeFileSync(join(this.directory, path), text);
  }

  /** Ids of a service's containers, in their order. */
  async ids(service: string): Promise<string[]> {
    const { stdout } = await this.run('ps', '-aq', service);
    return stdout.split('\n').filter((id) => id !== '');
  }

  async down(...words: string[]): Promise<void> {
    await this.run('down', '-t', '2', '-v', '--remove-orphans', ...words);
  }
}

export class Running {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly ended: Promise<number>;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.on('data', (data: Buffer) => (this.stdout += data.toString()));
    child.stderr?.on('data', (data: Buffer) => (this.stderr += data.toString()));
    this.ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? (signal ? 128 : 0))));
  }

  /** Until it has printed that. */
  async says(text: string | RegExp): Promise<void> {
    await until(
      () =>
        typeof text === 'string' ? (this.stdout + this.stderr).includes(text) : text.test(this.stdout + this.stderr),
      () => `${text.toString()} in:\n${this.stdout}\n${this.stderr}`,
    );
  }
}

/** Waits for a condition, a minute at most. */
export async function until(condition: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > end) assert.fail(`it never came to ${what()}`);
    await sleep(30);
  }
}

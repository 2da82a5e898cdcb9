/** kill -9 of the engine in the middle of a build: the next start finds nothing of it, the next build is right. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gantryWords } from '../cli/command.ts';
import { type Ended, runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const LARGE = randomBytes(96 << 20);

describe('an engine that is killed while it builds', () => {
  const here = fs.mkdtempSync(join(tmpdir(), 'gantry-killed-'));
  const daemon = new DaemonProcess({ directory: join(here, 'daemon') });
  const data = join(here, 'daemon/data');
  const cli = (...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });
  let untouched: readonly string[] = [];

  const context = (name: string, dockerfile: string, large = LARGE): string => {
    const folder = join(here, name);
    fs.mkdirSync(folder);
    fs.writeFileSync(join(folder, 'Dockerfile'), dockerfile);
    fs.writeFileSync(join(folder, 'large'), large);
    return folder;
  };
  /** What is kept between builds, once everything is pruned: directories that are always there. */
  const kept = (): string[] =>
    ['snapshots', 'cache', 'blobs', 'ingest', 'tmp']
      .flatMap((name) => fs.globSync(`${name}/**`, { cwd: data }))
      // What was made for all builds.
      .filter((path) => !/^snapshots\/(?:\d+|scaffolds)(?:\/|$)|^cache\/build-history/.test(path))
      .toSorted();

  /** A build as another program, which the end of the engine is to end. */
  const building = (...words: string[]): ChildProcess =>
    spawn(process.execPath, [...gantryWords, 'build', '--network', 'none', ...words], {
      env: daemon.clientEnv,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const printed = (child: ChildProcess, words: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      let text = '';
      const look = (part: Buffer): void => {
        text += part.toString('latin1');
        if (words.test(text)) resolve();
      };
      child.stdout!.on('data', look);
      child.stderr!.on('data', look);
      child.once('exit', (code) => reject(new Error(`it ended before, with ${code}: ${text.slice(-2000)}`)));
    });
  const until = async (holds: () => boolean): Promise<void> => {
    for (let tries = 0; !holds(); tries++) {
      assert.ok(tries < 20_000, String(holds));
      await sleep(3);
    }
  };
  const exitOf = (child: ChildProcess): Promise<number | null> =>
    new Promise((resolve) => {
      if (child.exitCode !== null) resolve(child.exitCode);
      child.once('exit', resolve);
      child.stdout!.resume();
      child.stderr!.resume();
    });

  /** Kills, starts again, and looks for what the build had. */
  const killed = async (child?: ChildProcess): Promise<void> => {
    const ended = child && exitOf(child);
    await daemon.kill();
    if (ended) assert.notEqual(await ended, 0, 'the client tells that its build failed');
    await daemon.start();
    const mounts = fs.readFileSync(`/proc/${daemon.pid}/mounts`, 'utf8').split('\n');
    assert.deepEqual(
      mounts.filter((line) => line.includes(`${data}/tmp/`)),
      [],
    );
    // What is under way of the sweep itself is let end.
    await until(
      () => fs.readdirSync(join(data, 'tmp')).length === 0 && fs.readdirSync(join(data, 'ingest')).length === 0,
    );
    await until(() => fs.readdirSync(join(here, 'daemon/run/tasks')).length === 0);
    const processes = spawnSync('pgrep', ['-f', `${here}/daemon/run/tasks`], { encoding: 'utf8' });
    assert.equal(processes.stdout, '');
  };
  /** The same build once more, and what it made. */
  const builtRight = async (folder: string, large = LARGE): Promise<void> => {
    const out = join(here, 'out');
    const { code, stderr } = await cli('build', '--network', 'none', '-o', out, folder);
    assert.equal(code, 0, stderr);
    const made = fs.readFileSync(join(out, 'large'));
    assert.equal(createHash('sha256').update(made).digest('hex'), createHash('sha256').update(large).digest('hex'));
    fs.rmSync(out, { recursive: true });
  };

  /** Everything of builds is removed, which goes on for a while behind the answer. */
  const pruned = async (): Promise<void> => {
    assert.equal((await cli('image', 'prune', '-f')).code, 0);
    assert.equal((await cli('builder', 'prune', '-af')).code, 0);
    await until(() => fs.readdirSync(join(data, 'snapshots/trash')).length === 0);
  };

  before(async () => {
    await daemon.start();
    assert.equal((await cli('pull', 'busybox')).code, 0);
    const small = context('first', 'FROM busybox\nCOPY large /\nRUN true\n', Buffer.from('small'));
    assert.equal((await cli('build', '--network', 'none', small)).code, 0);
    const classic = spawnSync('sh', ['-c', `tar -C ${small} -c . | docker build -q -`], { env: daemon.clientEnv });
    assert.equal(classic.status, 0, String(classic.stderr));
    await pruned();
    untouched = kept();
  });
  after(async () => {
    await daemon.stop();
    await nothingLeft(daemon, here);
  });

  test('while the client sends its directory', async () => {
    const folder = context('upload', 'FROM busybox\nCOPY large /\n');
    const files = join(data, 'cache/client-files');
    const before = new Set(fs.globSync('**', { cwd: files }));
    const child = building(folder);
    await until(() => fs.globSync('**', { cwd: files }).some((path) => !before.has(path)));
    await killed(child);
    await builtRight(folder);
  });

  test('while a client of the classic API sends its archive', async () => {
    const folder = context('classic', 'FROM busybox\nCOPY large /\n');
    const tar = spawnSync('tar', ['-C', folder, '-c', '.'], { maxBuffer: 1 << 28 }).stdout;
    const uploads = join(data, 'cache/uploads');
    const before = fs.globSync('**', { cwd: uploads }).length + fs.readdirSync(join(data, 'tmp')).length;
    const sent = request({
      socketPath: daemon.socket,
      method: 'POST',
      path: '/build?networkmode=none',
      headers: { 'Content-Type': 'application/x-tar' },
    });
    const failed = new Promise((resolve) => sent.once('error', resolve).once('response', resolve));
    sent.write(tar.subarray(0, tar.length / 2));
    await until(() => fs.globSync('**', { cwd: uploads }).length + fs.readdirSync(join(data, 'tmp')).length > before);
    await killed();
    await failed;
    await builtRight(folder);
  });

  test('while a step runs', async () => {
    const folder = context('run', 'FROM busybox\nCOPY large /\nRUN echo in the step; [ -e /go ] || sleep 1000\n');
    const child = building('--progress', 'plain', folder);
    await printed(child, /\nin the step/);
    await killed(child);
    fs.writeFileSync(join(folder, 'Dockerfile'), 'FROM busybox\nCOPY large /\nRUN echo in the step; touch /done\n');
    await builtRight(folder);
  });

  test('while files are copied', async () => {
    const folder = context('copy', 'FROM busybox\nCOPY . /\n');
    for (let n = 0; n < 3000; n++) fs.writeFileSync(join(folder, `${n}.txt`), String(n));
    const child = building('--progress', 'plain', folder);
    await printed(child, /Step 2\/2 : COPY/);
    await killed(child);
    await builtRight(folder);
  });

  test('while the result goes to the client', async () => {
    const folder = context('export', 'FROM busybox\nCOPY large /\n');
    const child = building('-o', 'type=tar,dest=-', folder);
    // Nobody reads on: the engine is in the middle of it.
    await new Promise<void>((resolve) =>
      child.stdout!.once('readable', () => {
        child.stdout!.read(1);
        resolve();
      }),
    );
    await killed(child);
    await builtRight(folder);
  });

  test('while the image is stored', async () => {
    const folder = context('store', 'FROM busybox\nCOPY large /\n');
    const child = building('-o', 'type=oci,compression=gzip,dest=-', folder);
    await until(() => fs.readdirSync(join(data, 'ingest')).length > 0 || child.exitCode !== null);
    await killed(child);
    await builtRight(folder);
  });

  test('at the end nothing of all that is left', async () => {
    await pruned();
    assert.deepEqual(kept(), untouched);
    assert.match((await cli('builder', 'du')).stdout, /Total:\s+0B/);
    const { code, stdout } = await cli('image', 'fsck');
    assert.equal(code, 0, stdout);
  });
});

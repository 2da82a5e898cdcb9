/** A disk budget that the engine keeps by itself: cache and unused images go, what is in use stays, the rest is refused. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root, for an engine of its own';

test('the budget is kept without a hand', { skip, timeout: 120_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-budget-'));
  const daemon = new DaemonProcess({ directory, args: ['--disk-budget', '60m', '--disk-keep-last', '1'] });
  const docker = (...args: string[]): { code: number; out: string; err: string } => {
    const result = spawnSync('docker', args, { env: daemon.clientEnv, encoding: 'utf8', timeout: 30_000 });
    return { code: result.status ?? -1, out: result.stdout.trim(), err: result.stderr.trim() };
  };
  /** An image of 20 MB of its own, which nothing compresses. */
  const imported = (name: string): { code: number; err: string } => {
    const root = join(directory, 'root');
    spawnSync('sh', ['-c', `rm -rf ${root}; mkdir -p ${root}; head -c 20m /dev/urandom > ${root}/file`]);
    const { status, stderr } = spawnSync('sh', ['-c', `tar -C ${root} -c . | docker import - ${name}`], {
      env: daemon.clientEnv,
      encoding: 'utf8',
    });
    return { code: status ?? -1, err: stderr };
  };
  const until = async (what: string, holds: () => boolean): Promise<void> => {
    for (let tries = 0; !holds(); tries++) {
      assert.ok(tries < 300, `${what}: ${docker('images', '--format', '{{.Repository}}:{{.Tag}}').out}\n${daemon.log}`);
      await sleep(100);
    }
  };
  const images = (): string[] => docker('images', '--format', '{{.Repository}}:{{.Tag}}').out.split('\n').sort();
  try {
    await daemon.start();
    await daemon.importBusybox();
    assert.equal(docker('run', '-d', '--name', 'runs', '--network', 'none', 'busybox', 'sleep', '1000').code, 0);
    for (const tag of ['app:1', 'app:2', 'other:1']) assert.equal(imported(tag).code, 0);
    // 60 MB of images are over the budget: of app the older goes, the last of each repository stay
    await until('the oldest goes', () => !images().includes('app:1'));
    assert.deepEqual(images(), ['app:2', 'busybox:latest', 'other:1']);
    assert.match(daemon.log, /disk policy: removed the image docker.io\/library\/app:1, unused since/);
    assert.equal(docker('inspect', '-f', '{{.State.Running}}', 'runs').out, 'true');

    // nothing is left that may go: what needs more room is refused, with what would help
    assert.equal(docker('create', '--name', 'holds', 'app:2', 'true').code, 0);
    assert.equal(imported('third:1').code, 0);
    imported('fourth:1'); // it may be refused already
    let refused = '';
    await until('a refusal', () => (refused = docker('commit', 'runs', 'small:1').err) !== '');
    assert.match(refused, /the disk budget of 60.0 MiB is used up .* raise disk-budget/);
    assert.equal(docker('run', '--rm', '--network', 'none', 'busybox', 'true').code, 0);

    // and it recovers when there is room
    docker('rm', 'holds');
    docker('rmi', ...images().filter((name) => !name.startsWith('busybox')));
    await until('recovery', () => {
      docker('run', '--rm', '--network', 'none', 'busybox', 'true');
      return imported('again:1').code === 0;
    });
  } finally {
    docker('rm', '-f', 'runs');
    await daemon.stop();
  }
  await nothingLeft(daemon);
});

test('the settings are checked', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-budget-'));
  const file = join(directory, 'daemon.json');
  for (const [settings, words] of [
    [{ 'disk-budget': 'lots' }, /invalid disk-budget "lots": give a size, as 20GB/],
    [{ 'disk-unused-for': 'long' }, /invalid disk-unused-for "long": give a duration, as 168h/],
    [{ 'disk-keep-last': -1 }, /invalid disk-keep-last -1/],
  ] as const) {
    writeFileSync(file, JSON.stringify({ ...settings, 'data-root': join(directory, 'data') }));
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        new URL('../../src/daemon/main.ts', import.meta.url).pathname,
        '--config-file',
        file,
        '--exec-root',
        join(directory, 'run'),
        '--host',
        `unix://${join(directory, 's')}`,
      ],
      { encoding: 'utf8', timeout: 20_000 },
    );
    assert.notEqual(status, 0);
    assert.match(stderr, words);
  }
  rmSync(directory, { recursive: true, force: true });
});

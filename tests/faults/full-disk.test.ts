import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

test('a full data root: clear errors, nothing stuck, recovery by itself', { timeout: 120_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-full-'));
  const data = join(directory, 'data');
  mkdirSync(data);
  const sh = (command: string): void => assert.equal(spawnSync('sh', ['-c', command]).status, 0, command);
  sh(`mount -t tmpfs -o size=96m tmpfs ${data}`);
  const daemon = new DaemonProcess({ directory });
  const docker = (...args: string[]): { code: number; out: string; err: string } => {
    const result = spawnSync('docker', args, { env: daemon.clientEnv, encoding: 'utf8', timeout: 20_000 });
    return { code: result.status ?? -1, out: result.stdout.trim(), err: result.stderr.trim() };
  };
  try {
    await daemon.start();
    await daemon.importBusybox();
    const run = ['run', '--network', 'none'];
    assert.equal(
      docker(...run, '-d', '--name', 'keeps', 'busybox', 'sh', '-c', 'while :; do echo x; sleep 0.2; done').code,
      0,
    );

    // Filled from inside a container that is removed at its end: its end must be told.
    const filled = docker(...run, '--rm', 'busybox', 'sh', '-c', 'head -c 200m /dev/zero >/f');
    // What it printed while there was no room is not in its log: the log is on that disk too.
    assert.equal(filled.code, 1, filled.err);

    const filler = docker(...run, '-d', '--name', 'filler', 'busybox', 'sh', '-c', 'cat /dev/zero >/f; sleep 1000');
    assert.equal(filler.code, 0, `${filler.err}\n${daemon.log}`);
    for (let tries = 0; tries < 100 && !/100%/.test(spawnSync('df', [data], { encoding: 'utf8' }).stdout); tries++) {
      spawnSync('sleep', ['0.05']);
    }
    // While full: what cannot be done says so, what can be done is done.
    const refused = docker(...run, '--name', 'refused', 'busybox', 'true');
    assert.ok(refused.code === 0 || /full|space/i.test(refused.err), refused.err);
    assert.equal(docker('ps', '-q').code, 0);
    assert.equal(docker('inspect', '-f', '{{.State.Running}}', 'keeps').out, 'true');
    assert.equal(docker('stop', '-t', '0', 'filler').code, 0);
    const removed = docker('rm', 'filler');
    assert.equal(removed.code, 0, removed.err);

    docker('rm', '-f', 'refused');
    for (let tries = 0; ; tries++) {
      const again = docker(...run, '--rm', 'busybox', 'echo', 'recovered');
      if (again.out === 'recovered') break;
      assert.ok(tries < 20, again.err);
      spawnSync('sleep', ['0.2']);
    }
    assert.equal(docker('rm', '-f', 'keeps').code, 0);
    assert.equal(docker('ps', '-aq').out, '');
  } finally {
    await daemon.stop();
    spawnSync('umount', ['-l', data]);
  }
  await nothingLeft(daemon);
});

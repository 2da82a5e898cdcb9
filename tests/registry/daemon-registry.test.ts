import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { hashSync } from 'bcryptjs';
import { has } from '../images/archive.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : !has('docker') && 'the docker CLI is not installed';

test('a daemon serves its images: another pulls one and runs it, and pushes one that runs here', { skip }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-daemon-registry-'));
  const settings = join(directory, 'registry.json');
  const htpasswd = join(directory, 'htpasswd');
  await writeFile(htpasswd, `ann:${hashSync('secret', 4)}\n`);
  await writeFile(settings, JSON.stringify({ auth: { htpasswd, anonymousPull: true } }));
  const serving = new DaemonProcess({
    directory: join(directory, 'one'),
    args: ['--registry', '127.0.0.1:0', '--registry-config', settings],
  });
  const other = new DaemonProcess({ directory: join(directory, 'two') });
  const docker = async (daemon: DaemonProcess, ...args: string[]): Promise<string> =>
    (await promisify(execFile)('docker', args, { env: daemon.clientEnv })).stdout;
  try {
    await Promise.all([serving.start(), other.start()]);
    const said = /Registry listens on (127\.0\.0\.1:\d+)/;
    while (!said.test(serving.log)) await new Promise((resolve) => setTimeout(resolve, 20));
    const host = said.exec(serving.log)![1]!;
    await serving.importBusybox();
    await docker(other, 'pull', '-q', `${host}/busybox`);
    const run = ['run', '--rm', '--network', 'none'];
    assert.equal(await docker(other, ...run, `${host}/busybox`, 'echo', 'pulled'), 'pulled\n');

    await docker(other, 'tag', `${host}/busybox`, `${host}/team/app:1`);
    await assert.rejects(docker(other, 'push', '-q', `${host}/team/app:1`), /authentication required|access denied/i);
    await docker(other, 'login', '-u', 'ann', '-p', 'secret', host);
    await docker(other, 'push', '-q', `${host}/team/app:1`);
    assert.equal(await docker(serving, ...run, 'team/app:1', 'echo', 'pushed'), 'pushed\n');
    await Promise.all([serving.stop(), other.stop()]);
    for (const { directory, bridge, cgroupParent } of [serving, other]) {
      assert.deepEqual(await leftBehind({ directory, bridge, cgroupParent }), []);
    }
  } finally {
    await Promise.all([serving.stop(), other.stop()]);
    await rm(directory, { recursive: true, force: true });
  }
});

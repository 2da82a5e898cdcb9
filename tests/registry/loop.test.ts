import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { has } from '../images/archive.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { TestRegistry } from './test-registry.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : !has('docker') && 'the docker CLI is not installed';

test('built on one engine, pushed, pulled by digest on another, and run there', { skip }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-loop-'));
  const [first, second] = ['one', 'two'].map((name) => new DaemonProcess({ directory: join(directory, name) }));
  await using registry = await TestRegistry.open();
  try {
    const docker = async (daemon: DaemonProcess, ...args: string[]): Promise<string> => {
      // Not waited for synchronously: the registry is in this process.
      const { stdout } = await promisify(execFile)('docker', args, { env: daemon.clientEnv });
      return stdout;
    };
    await Promise.all([first!.start(), second!.start()]);
    await first!.importBusybox();
    const context = join(directory, 'context');
    await promisify(execFile)('mkdir', [context]);
    await writeFile(join(context, 'Dockerfile'), 'FROM busybox\nRUN echo built > /made\nCMD ["cat", "/made"]\n');
    const name = `${registry.host}/team/app`;
    await docker(first!, 'build', '-q', '--network', 'none', '-t', `${name}:1`, context);
    const pushed = await docker(first!, 'push', `${name}:1`);
    const digest = /digest: (sha256:[0-9a-f]{64})/.exec(pushed)![1]!;

    const pulled = await docker(second!, 'pull', `${name}@${digest}`);
    assert.match(pulled, new RegExp(`^${registry.host}/team/app@${digest}: Pulling from team/app\n`));
    assert.match(pulled, /: Pull complete\n/);
    assert.match(pulled, new RegExp(`Digest: ${digest}\nStatus: Downloaded newer image for ${name}@${digest}\n`));
    assert.equal(await docker(second!, 'run', '--rm', '--network', 'none', `${name}@${digest}`), 'built\n');
    await docker(second!, 'login', '-u', 'a', '-p', 'b', registry.host);
    await assert.rejects(docker(second!, 'pull', `${name}:none`), {
      stderr: `Error response from daemon: manifest for ${name}:none not found: manifest unknown: manifest unknown\n`,
    });
    await Promise.all([first!.stop(), second!.stop()]);
    for (const { directory, bridge, cgroupParent } of [first!, second!]) {
      assert.deepEqual(await leftBehind({ directory, bridge, cgroupParent }), []);
    }
  } finally {
    await Promise.all([first!.stop(), second!.stop()]);
    await rm(directory, { recursive: true, force: true });
  }
});

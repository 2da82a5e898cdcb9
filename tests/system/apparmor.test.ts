/** AppArmor, on hosts that have it (`npm run test:vm` is one): what confines containers and build steps, and what says so. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { appArmorSupport } from '../../src/linux/apparmor.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';

const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), 'gantry-apparmor-'));
// also where this host has nothing for these tests
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const daemon = new DaemonProcess({ directory });
const OWN = ['none', 'unconfined', 'confined'] as const;

async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run('docker', args, { env: daemon.clientEnv, timeout: 100_000 });
  return stdout.trim();
}

async function refusal(...args: string[]): Promise<string> {
  return docker(...args).then(
    () => assert.fail('it was not refused'),
    (error: { stderr: string }) => error.stderr,
  );
}

/** What a container's process says it is confined by. */
async function confinement(...options: string[]): Promise<string> {
  return docker('run', '--rm', '--network', 'none', ...options, 'busybox', 'cat', '/proc/self/attr/current');
}

const support = appArmorSupport();
describe('AppArmor', { skip: support === 'yes' ? false : `this host has no AppArmor to use: ${support}` }, () => {
  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
  });

  after(async () => {
    await docker('rm', '-f', ...OWN).catch(() => undefined);
    await daemon.stop();
    assert.deepEqual(await leftBehind({ directory, bridge: daemon.bridge, cgroupParent: daemon.cgroupParent }), []);
  });

  test('a container has the default profile, a privileged one none; --security-opt says otherwise', async () => {
    assert.equal(await confinement(), 'gantry-default (enforce)');
    assert.equal(
      await confinement('--user', '1000', '--security-opt', 'no-new-privileges'),
      'gantry-default (enforce)',
    );
    assert.equal(await confinement('--privileged'), 'unconfined');
    assert.equal(await confinement('--security-opt', 'apparmor=unconfined'), 'unconfined');
    assert.equal(await confinement('--security-opt', 'apparmor=docker-default'), 'gantry-default (enforce)');
    assert.equal(await confinement('--runtime', 'runc'), 'gantry-default (enforce)');
    assert.match(
      await refusal('run', '--rm', '--network', 'none', '--security-opt', 'apparmor=no-such', 'busybox', 'true'),
      /attr\/.*exec.*no such file/i,
    );
  });

  test('inspect and info say what Docker says', async () => {
    const shown = (name: string): Promise<string> => docker('inspect', '-f', '{{.AppArmorProfile}}', name);
    await docker('create', '--name', 'none', '--network', 'none', 'busybox', 'true');
    assert.equal(await shown('none'), '', 'it never ran');
    await docker('run', '-d', '--name', 'confined', '--network', 'none', 'busybox', 'sleep', '600');
    assert.equal(await shown('confined'), 'docker-default');
    await docker('run', '--name', 'unconfined', '--privileged', '--network', 'none', 'busybox', 'true');
    assert.equal(await shown('unconfined'), 'unconfined');
    assert.match(await docker('info', '-f', '{{.SecurityOptions}}'), /name=apparmor/);
  });

  test('a process in a running container has its profile, with all capabilities too', async () => {
    for (const options of [[], ['--privileged']])
      assert.equal(
        await docker('exec', ...options, 'confined', 'cat', '/proc/self/attr/current'),
        'gantry-default (enforce)',
      );
    assert.match(await docker('exec', 'confined', 'sh', '-c', 'sleep 50 & kill $! && echo killed'), /killed/);
  });

  test('all capabilities do not mount, nor write what is the kernel’s', async () => {
    const all = [
      '--cap-add',
      'ALL',
      '--security-opt',
      'systempaths=unconfined',
      '--security-opt',
      'seccomp=unconfined',
    ];
    const script = [
      'mount -t tmpfs x /tmp && echo mounted',
      'echo x > /proc/sys/kernel/domainname && echo wrote domainname',
      'cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern && echo wrote core_pattern',
      'cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness && echo wrote swappiness',
      'dd if=/proc/kcore of=/dev/null bs=1 count=1 2>/dev/null && echo read kcore',
      'cat /proc/sys/kernel/shmmax > /proc/sys/kernel/shmmax && echo wrote shmmax',
      'echo 0 > /proc/self/oom_score_adj && echo wrote score',
    ].join('; ');
    const words = (...options: string[]): Promise<string> =>
      docker(
        'run',
        '--rm',
        '--network',
        'none',
        ...all,
        ...options,
        'busybox',
        'sh',
        '-c',
        `(${script}) 2>/dev/null; true`,
      );
    assert.equal(await words(), 'wrote shmmax\nwrote score');
    // what the same can do without it: the denials above are the profile's
    assert.match(
      await words('--security-opt', 'apparmor=unconfined'),
      /mounted\n.*wrote core_pattern\nwrote swappiness/s,
    );
  });

  test('stop, kill and pause reach what is confined', async () => {
    await docker('exec', '-d', 'confined', 'sleep', '500');
    await docker('pause', 'confined');
    await docker('unpause', 'confined');
    await docker('kill', 'confined');
    assert.equal(await docker('inspect', '-f', '{{.State.ExitCode}}', 'confined'), '137');
    await docker('rm', 'confined');
  });

  test('RUN steps have the profile', async () => {
    const context = join(directory, 'context');
    mkdirSync(context);
    writeFileSync(
      join(context, 'Dockerfile'),
      'FROM busybox\nRUN cat /proc/self/attr/current > /seen\nCMD ["cat", "/seen"]\n',
    );
    await docker('build', '-q', '--network', 'none', '-t', 'seen', context);
    assert.equal(await docker('run', '--rm', '--network', 'none', 'seen'), 'gantry-default (enforce)');
  });

  test('a profile that others removed is loaded again, and an engine’s start replaces that of an earlier one', async () => {
    const removed = readFileSync('/sys/kernel/security/apparmor/profiles', 'utf8');
    assert.match(removed, /^gantry-default \(enforce\)$/m);
    execFileSync('apparmor_parser', ['--remove'], { input: 'profile gantry-default { }\n' });
    assert.equal(await confinement(), 'gantry-default (enforce)');
    execFileSync('apparmor_parser', ['--replace', '--skip-cache'], { input: 'profile gantry-default { }\n' });
    await daemon.stop();
    await daemon.start();
    assert.equal(await confinement(), 'gantry-default (enforce)');
  });
});

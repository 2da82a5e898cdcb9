/**
 * A user's engine where that user has a systemd of its own, and cgroup v2: limits are the kernel's, as root's are
 * (`npm run test:vm` is such a host).
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, chownSync, existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DaemonProcess } from '../support/daemon-process.ts';

const run = promisify(execFile);

/** Somebody of this host, who is not root, with subordinate ids and a systemd that runs. */
function somebody(): { name: string; uid: number; gid: number } | undefined {
  if (!existsSync('/sys/fs/cgroup/cgroup.controllers') || !existsSync('/run/user')) return undefined;
  const managed = readdirSync('/run/user').filter(
    (uid) => uid !== '0' && existsSync(`/run/user/${uid}/systemd/private`),
  );
  const ranges = existsSync('/etc/subuid') ? readFileSync('/etc/subuid', 'utf8') : '';
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name, , uid, gid] = line.split(':');
    if (managed.includes(uid!) && ranges.includes(`${name}:`))
      return { name: name!, uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}

const user = somebody();
const directory = mkdtempSync(join(tmpdir(), 'gantry-delegation-'));
// also where this host has nothing for these tests
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const runtime = `/run/user/${user?.uid}`;
const daemon = new DaemonProcess({
  directory,
  within: [
    ['setpriv', `--reuid=${user?.uid}`, `--regid=${user?.gid}`, '--init-groups', '--inh-caps=-all', '--'],
    ['env', `HOME=${directory}`, `USER=${user?.name}`, `XDG_RUNTIME_DIR=${runtime}`],
    `DBUS_SESSION_BUS_ADDRESS=unix:path=${runtime}/bus`,
  ].flat(),
});

async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run('docker', args, { env: daemon.clientEnv, timeout: 100_000 });
  return stdout.trim();
}

/** The parts of the user's control groups that engines were given. */
function scopes(): string[] {
  return globSync(`/sys/fs/cgroup/user.slice/user-${user?.uid}.slice/user@${user?.uid}.service/**/gantry-*.scope`);
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (holds()) return;
    await delay(100);
  }
  assert.fail(`${what} did not come`);
}

const LIMITED = ['-m', '64m', '--memory-swap', '64m', '--pids-limit', '50', '--cpus', '0.5'];
const READ = 'cd /sys/fs/cgroup; echo $(cat memory.max memory.swap.max pids.max cpu.max)';

describe('limits without root', { skip: user ? false : 'no user of this host has a systemd and cgroup v2' }, () => {
  const earlier = scopes();

  before(async () => {
    chmodSync(directory, 0o711);
    chownSync(directory, user!.uid, user!.gid);
    await daemon.start();
    await daemon.importBusybox();
  });

  after(async () => {
    await docker('rm', '-f', 'one', 'oom').catch(() => undefined);
    await daemon.stop();
    await until('the end of the scopes', () => scopes().every((scope) => earlier.includes(scope)));
  });

  test('info says what there is', async () => {
    assert.equal(await docker('info', '-f', '{{.CgroupVersion}} {{.CgroupDriver}}'), '2 cgroupfs');
    assert.match(await docker('info', '-f', '{{.SecurityOptions}}'), /name=rootless/);
    assert.doesNotMatch(await docker('info', '-f', '{{.SecurityOptions}}'), /apparmor/);
    assert.equal(await docker('info', '-f', '{{.MemoryLimit}} {{.PidsLimit}} {{.CPUCfsQuota}}'), 'true true true');
    assert.doesNotMatch(await docker('info', '-f', '{{.Warnings}}'), /without cgroups/);
  });

  test('memory, processes and processor are limited, counted and changed', async () => {
    await docker('run', '-d', '--name', 'one', ...LIMITED, '--network', 'none', 'busybox', 'sleep', '600');
    assert.equal(await docker('exec', 'one', 'sh', '-c', READ), '67108864 0 50 50000 100000');
    assert.match(
      await docker('stats', '--no-stream', '--format', '{{.MemUsage}} {{.PIDs}}', 'one'),
      /[1-9].*iB \/ 64MiB 1$/,
    );
    await docker('update', '-m', '80m', '--memory-swap', '80m', '--pids-limit', '70', '--cpus', '1', 'one');
    assert.equal(await docker('exec', 'one', 'sh', '-c', READ), '83886080 0 70 100000 100000');
    await docker(
      'run',
      '--name',
      'oom',
      '-m',
      '20m',
      '--network',
      'none',
      'busybox',
      'sh',
      '-c',
      'x=a; while :; do x=$x$x; done',
    ).catch(() => undefined);
    assert.equal(await docker('inspect', '-f', '{{.State.OOMKilled}} {{.State.ExitCode}}', 'oom'), 'true 137');
  });

  test('pause, kill -9 of the engine and of what holds its namespaces, and the next engine', async () => {
    await docker('pause', 'one');
    const holder = JSON.parse(readFileSync(join(directory, 'run/holder.json'), 'utf8')) as { pid: number };
    await daemon.kill();
    process.kill(holder.pid, 'SIGKILL');
    await daemon.start();
    assert.equal(await docker('inspect', '-f', '{{.State.Status}}', 'one'), 'paused');
    await docker('unpause', 'one');
    assert.equal(await docker('exec', 'one', 'sh', '-c', READ), '83886080 0 70 100000 100000');
    const again = await docker('run', '--rm', ...LIMITED, '--network', 'none', 'busybox', 'sh', '-c', READ);
    assert.equal(again, '67108864 0 50 50000 100000');
  });
});

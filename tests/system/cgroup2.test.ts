/** Limits where the host has cgroup v2, as most have (`npm run test:vm` is one): what the kernel's files say, from creation to removal. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';

const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), 'gantry-cgroup2-'));
// also where this host has nothing for these tests
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const daemon = new DaemonProcess({ directory });

async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run('docker', args, { env: daemon.clientEnv, timeout: 100_000 });
  return stdout.trim();
}

async function started(name: string, options: readonly string[], command = ['sleep', '600']): Promise<string> {
  return docker('run', '-d', '--name', name, '--network', 'none', ...options, 'busybox', ...command);
}

function group(id: string): string {
  return `/sys/fs/cgroup/${daemon.cgroupParent}/${id}`;
}

function value(id: string, file: string): string {
  return readFileSync(join(group(id), file), 'utf8').trim();
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (await holds()) return;
    await delay(100);
  }
  assert.fail(`${what} did not come`);
}

/** Of the processor, the kernel's files may have less than all. */
function has(controller: string): boolean {
  return readFileSync('/sys/fs/cgroup/cgroup.controllers', 'utf8').trim().split(' ').includes(controller);
}

const unified = existsSync('/sys/fs/cgroup/cgroup.controllers');
describe('cgroup v2', { skip: unified ? false : 'this host has cgroup v1' }, () => {
  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
  });

  after(async () => {
    await docker('rm', '-f', 'limited', 'forks', 'nested').catch(() => undefined);
    await daemon.stop();
    assert.deepEqual(await leftBehind({ directory, bridge: daemon.bridge, cgroupParent: daemon.cgroupParent }), []);
  });

  test('info says so, and warns of nothing that is there', async () => {
    assert.equal(await docker('info', '-f', '{{.CgroupVersion}} {{.CgroupDriver}}'), '2 cgroupfs');
    assert.match(await docker('info', '-f', '{{.SecurityOptions}}'), /name=cgroupns/);
    const { stderr } = await run('docker', ['info'], { env: daemon.clientEnv });
    assert.equal(/No (memory|swap|cpu (?:cfs|shares)|pids)/.exec(stderr)?.[0], undefined);
  });

  test('limits at creation, and their change', async () => {
    const io = ioDevice();
    const id = await started(
      'limited',
      [
        ['-m', '64m', '--memory-reservation', '32m', '--memory-swap', '96m', '--cpus', '0.5', '--cpu-shares', '512'],
        ['--pids-limit', '50', ...(io === undefined ? [] : ['--device-write-bps', `${io.path}:1mb`])],
        has('cpuset') ? ['--cpuset-cpus', '0'] : [],
      ].flat(),
    );
    const files = (): Record<string, string> =>
      Object.fromEntries(
        ['memory.max', 'memory.low', 'memory.swap.max', 'cpu.max', 'cpu.weight', 'pids.max'].map((file) => [
          file,
          value(id, file),
        ]),
      );
    assert.deepEqual(files(), {
      'memory.max': '67108864',
      'memory.low': '33554432',
      'memory.swap.max': '33554432',
      'cpu.max': '50000 100000',
      'cpu.weight': '20',
      'pids.max': '50',
    });
    if (io !== undefined) assert.match(value(id, 'io.max'), new RegExp(`^${io.number} .*wbps=1048576`));
    if (has('cpuset')) assert.equal(value(id, 'cpuset.cpus'), '0');
    await docker(
      'update',
      '-m',
      '96m',
      '--memory-swap',
      '128m',
      '--cpus',
      '0.75',
      '--pids-limit',
      '60',
      '--cpu-shares',
      '1024',
      'limited',
    );
    assert.deepEqual(files(), {
      'memory.max': '100663296',
      'memory.low': '33554432',
      'memory.swap.max': '33554432',
      'cpu.max': '75000 100000',
      'cpu.weight': '39',
      'pids.max': '60',
    });
  });

  test('what systemd does with groups, it leaves ours alone', async (context) => {
    if (!existsSync('/run/systemd/system')) return context.skip('this host is not systemd’s');
    const id = await docker('inspect', '-f', '{{.Id}}', 'limited');
    const before = ['memory.max', 'cpu.max', 'pids.max', 'cgroup.controllers'].map((file) => value(id, file));
    await run('systemctl', ['daemon-reload']);
    await run('systemd-run', ['--quiet', '--wait', '--property=CPUWeight=50', 'true']);
    assert.deepEqual(
      ['memory.max', 'cpu.max', 'pids.max', 'cgroup.controllers'].map((file) => value(id, file)),
      before,
    );
  });

  test('a container sees its own group as the root, read-only, unless it asks for the host’s', async () => {
    const see =
      'cat /proc/self/cgroup; cat /sys/fs/cgroup/memory.max; mkdir /sys/fs/cgroup/x 2>/dev/null || echo read-only';
    assert.equal(await docker('exec', 'limited', 'sh', '-c', see), '0::/\n100663296\nread-only');
    assert.equal(await docker('inspect', '-f', '{{.HostConfig.CgroupnsMode}}', 'limited'), 'private');
    const host = await docker(
      'run',
      '--rm',
      '--network',
      'none',
      '--cgroupns',
      'host',
      'busybox',
      'cat',
      '/proc/self/cgroup',
    );
    assert.match(host, new RegExp(`^0::/${daemon.cgroupParent}/[0-9a-f]{64}$`));
  });

  test('a container in the host’s cgroup namespace changes no option of the host’s hierarchy', async () => {
    // nsdelegate, and memory_recursiveprot: a new mount would replace them everywhere
    const options = (mounts: string): string | undefined =>
      / \/sys\/fs\/cgroup .* - cgroup2 \S+ (\S+)$/m.exec(mounts)?.[1];
    const here = options(readFileSync('/proc/self/mountinfo', 'utf8'));
    assert.ok(here);
    const command = ['busybox', 'cat', '/proc/self/mountinfo'];
    const shown = await docker('run', '--rm', '--network', 'none', '--cgroupns', 'host', ...command);
    assert.equal(options(shown), here);
    assert.equal(options(readFileSync('/proc/self/mountinfo', 'utf8')), here);
  });

  test('stats count what the files count', async () => {
    const script = 'dd if=/dev/zero of=/dev/shm/x bs=1M count=9; sleep 600';
    await docker('exec', '-d', 'limited', 'sh', '-c', script);
    const id = await docker('inspect', '-f', '{{.Id}}', 'limited');
    await until('memory in use', () => Number(value(id, 'memory.current')) > 8_000_000);
    const shown = async (): Promise<[string, string, string]> =>
      (await docker('stats', '--no-stream', '--format', '{{.MemUsage}}|{{.PIDs}}|{{.CPUPerc}}', 'limited')).split(
        '|',
      ) as [string, string, string];
    const [memory, pids] = await shown();
    assert.match(memory, /^\d+(\.\d+)?MiB \/ 96MiB$/);
    assert.ok(Number(pids) >= 2, pids);
    const one = JSON.parse(
      (
        await run('curl', [
          '-s',
          '--unix-socket',
          daemon.socket,
          'http://d/containers/limited/stats?stream=0&one-shot=1',
        ])
      ).stdout,
    ) as {
      cpu_stats: { cpu_usage: { total_usage: number } };
      memory_stats: { stats: Record<string, number>; limit: number };
    };
    assert.ok(one.cpu_stats.cpu_usage.total_usage > 0);
    assert.equal(one.memory_stats.limit, 100663296);
    assert.ok('inactive_file' in one.memory_stats.stats, 'what the client subtracts');
  });

  test('pause freezes it, also for an engine that is started meanwhile', async () => {
    const id = await docker('inspect', '-f', '{{.Id}}', 'limited');
    await docker('pause', 'limited');
    assert.match(value(id, 'cgroup.events'), /^frozen 1$/m);
    await daemon.kill();
    await daemon.start();
    assert.equal(await docker('inspect', '-f', '{{.State.Status}}', 'limited'), 'paused');
    await docker('unpause', 'limited');
    assert.match(value(id, 'cgroup.events'), /^frozen 0$/m);
  });

  test('what is frozen is killed and removed like anything else', async () => {
    await started('frozen', []);
    await docker('pause', 'frozen');
    await docker('kill', 'frozen');
    assert.equal(await docker('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'frozen'), 'exited 137');
    await docker('start', 'frozen');
    await docker('pause', 'frozen');
    const id = await docker('inspect', '-f', '{{.Id}}', 'frozen');
    await docker('rm', '-f', 'frozen');
    assert.equal(existsSync(group(id)), false);
  });

  test('a container with groups of its own, as systemd makes them, is counted and paused as a whole', async () => {
    // writable control groups: an init makes a part for itself, and is no longer where it was started
    const script =
      'mkdir /sys/fs/cgroup/init.scope && echo 1 > /sys/fs/cgroup/init.scope/cgroup.procs && echo moved; sleep 600';
    const id = await started('nested', ['-m', '50m', '--security-opt', 'writable-cgroups=true'], ['sh', '-c', script]);
    await until('the move', async () => (await docker('logs', 'nested')).includes('moved'));
    assert.match(await docker('stats', '--no-stream', '--format', '{{.MemUsage}}', 'nested'), / \/ 50MiB$/);
    await docker('pause', 'nested');
    await daemon.kill();
    await daemon.start();
    assert.equal(await docker('inspect', '-f', '{{.State.Status}}', 'nested'), 'paused');
    await docker('unpause', 'nested');
    await docker('rm', '-f', 'nested');
    assert.equal(existsSync(group(id)), false);
  });

  test('a container that runs out of memory is said to have', async () => {
    const script = 'x=a; while :; do x=$x$x; done';
    await docker('run', '--name', 'forks', '--network', 'none', '-m', '20m', 'busybox', 'sh', '-c', script).catch(
      () => undefined,
    );
    assert.equal(await docker('inspect', '-f', '{{.State.OOMKilled}} {{.State.ExitCode}}', 'forks'), 'true 137');
    await docker('rm', 'forks');
  });

  test('what forks faster than it is killed is gone with the container', async () => {
    const script = 'f() { sleep 0.01 & f & }; while :; do f 2>/dev/null; done';
    const id = await started('forks', ['--pids-limit', '200'], ['sh', '-c', script]);
    await until('some processes', () => Number(value(id, 'pids.current')) > 20);
    await docker('rm', '-f', 'forks');
    assert.equal(existsSync(group(id)), false);
  });

  test('devices are refused by the kernel’s program of the group', async () => {
    const make = 'mknod /tmp/k c 1 11 && cat /tmp/k 2>&1 | head -1';
    assert.match(
      await docker('run', '--rm', '--network', 'none', '--cap-add', 'MKNOD', 'busybox', 'sh', '-c', make),
      /Operation not permitted/,
    );
  });

  test('nothing of a group stays when its container is gone', async () => {
    await docker('rm', '-f', 'limited');
    const left = readdirSync(`/sys/fs/cgroup/${daemon.cgroupParent}`, { withFileTypes: true });
    assert.deepEqual(
      left.filter((entry) => entry.isDirectory()),
      [],
    );
  });
});

/** The disk of the root file system, as limits name it; undefined when it is none. */
function ioDevice(): { path: string; number: string } | undefined {
  if (!has('io')) return undefined;
  const { dev } = statSync('/');
  const number = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  const name = existsSync(`/sys/dev/block/${number}/uevent`)
    ? /^DEVNAME=(.*)$/m.exec(readFileSync(`/sys/dev/block/${number}/uevent`, 'utf8'))?.[1]
    : undefined;
  // limits are of whole disks
  return name === undefined || existsSync(`/sys/dev/block/${number}/partition`)
    ? undefined
    : { path: `/dev/${name}`, number };
}

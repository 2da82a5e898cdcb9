/**
 * What the engine needs runs out: the disk at every step of 1 MiB, inodes, descriptors, processes, and a disk that fails or turns read-only.
 * Each time one clear error, nothing half-made to be seen, and recovery without a hand when the cause is gone.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { bind, check } from '../../src/linux/libc.ts';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root, for an engine of its own';
/** Words that say what is missing, of ours, the kernel's, SQLite's and the runtime's. */
const SCARCE =
  /no space|room for|disk.*(?:is )?full|space left|too many open files|EMFILE|EAGAIN|resource temporarily unavailable|unavailable|cannot fork|I\/O error|EIO|input\/output|read-only/i;

const EXT4_IOC_SHUTDOWN = 0x8004587d;
const ioctl = bind<(fd: number, request: number, argument: Buffer) => number>(
  'int ioctl(int fd, unsigned long request, const uint8_t *argument)',
);

function sh(command: string): string {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
  assert.equal(status, 0, `${command}: ${stderr}`);
  return stdout;
}

describe('a host that runs short', { skip, timeout: 240_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-scarce-'));
  const data = join(directory, 'data');
  const daemon = new DaemonProcess({ directory });
  const archive = join(directory, 'layer.tar');
  const docker = (...args: string[]): { code: number; out: string; err: string } => {
    const result = spawnSync('docker', args, { env: daemon.clientEnv, encoding: 'utf8', timeout: 60_000 });
    return { code: result.status ?? -1, out: result.stdout.trim(), err: result.stderr.trim() };
  };
  const gantry = (...words: string[]): ReturnType<typeof runInProcess> =>
    runInProcess(words, { env: daemon.clientEnv, stdin: 'a-secret-value' });
  /** One of each that writes. Gives those that failed, each of which must say why. */
  const operations = async (): Promise<string[]> => {
    const failed: string[] = [];
    const did = (what: string, { code, err }: { code: number; err: string }): void => {
      if (code === 0) return;
      assert.match(err, SCARCE, what);
      failed.push(what);
    };
    did('import', docker('import', archive, 'made:import'));
    did(
      'create',
      docker(
        'create',
        '--name',
        'made',
        '--network',
        'none',
        '-v',
        'made:/v',
        'busybox',
        'sh',
        '-c',
        'echo x > /v/x; echo y > /y',
      ),
    );
    const started = docker('start', '-a', 'made');
    if (!/No such container/.test(started.err))
      did('start', { ...started, err: `${started.err} ${started.code === 1 ? 'no space left' : ''}` });
    const committed = docker('commit', 'made', 'made:commit');
    if (!/No such container/.test(committed.err)) did('commit', committed);
    did('tag', docker('tag', 'busybox', 'made:tag'));
    did('network', docker('network', 'create', '--subnet', '10.123.45.0/28', 'made'));
    const secret = await gantry('secret', 'create', 'made', '-');
    did('secret', { code: secret.code, err: secret.stderr });
    return failed;
  };
  /** What is to be seen is whole: every image starts, every container has its files. */
  const whole = (): void => {
    for (const image of docker('images', '-q')
      .out.split('\n')
      .filter((one) => one !== ''))
      assert.equal(docker('image', 'inspect', image).code, 0, image);
    for (const container of docker('ps', '-aq')
      .out.split('\n')
      .filter((one) => one !== ''))
      assert.equal(docker('inspect', container).code, 0, container);
    assert.equal(docker('inspect', '-f', '{{.State.Running}}', 'keeps').out, 'true');
  };
  const removeAll = async (): Promise<void> => {
    docker('rm', '-fv', 'made');
    docker('volume', 'rm', '-f', 'made');
    docker('network', 'rm', 'made');
    for (const tag of ['import', 'commit', 'tag']) docker('rmi', `made:${tag}`);
    await gantry('secret', 'rm', 'made');
  };
  const recovers = async (): Promise<void> => {
    for (let tries = 0; ; tries++) {
      await removeAll();
      const failed = await operations();
      if (failed.length === 0) break;
      assert.ok(tries < 50, `still failing: ${failed.join(', ')}`);
      await sleep(200);
    }
    whole();
    await removeAll();
  };

  before(async () => {
    mkdirSync(data);
    sh(
      `truncate -s 96M ${directory}/disk; mkfs.ext4 -q -m 0 -N 4000 ${directory}/disk; mount -o loop,errors=remount-ro ${directory}/disk ${data}`,
    );
    mkdirSync(join(directory, 'root'));
    sh(`head -c 3m /dev/urandom > ${directory}/root/file; tar -C ${directory}/root -cf ${archive} .`);
    await daemon.start();
    await daemon.importBusybox();
    assert.equal(docker('run', '-d', '--name', 'keeps', '--network', 'none', 'busybox', 'sleep', '1000').code, 0);
    await recovers();
  });
  after(async () => {
    docker('rm', '-f', 'keeps');
    await daemon.stop();
    spawnSync('umount', ['-l', data]);
    await nothingLeft(daemon);
  });

  test('a full disk, at every step of 1 MiB', async () => {
    const filler = join(data, 'filler');
    let failures = 0;
    for (let free = 0; free <= 10; free++) {
      rmSync(filler, { force: true });
      const room = Number(sh(`df --output=avail -B1 ${data} | tail -1`)) - (free << 20);
      if (room > 0) spawnSync('fallocate', ['-l', String(room), filler]);
      failures += (await operations()).length;
      whole();
      // what makes room works while there is none
      assert.equal(docker('rm', '-fv', 'made').code, 0);
      rmSync(filler, { force: true });
      await removeAll();
    }
    assert.ok(failures > 0, 'nothing ever failed: the disk was not full');
    await recovers();
    assert.ok(statSync(join(directory, 'daemon.log')).size < 1 << 20);
    const checked = await gantry('image', 'fsck');
    assert.equal(checked.code, 0, checked.stdout + checked.stderr);
  });

  test('no inodes', async () => {
    const filler = join(data, 'inodes');
    mkdirSync(filler);
    const free = Number(sh(`df --output=iavail ${data} | tail -1`));
    for (let count = 0; count < free; count++) {
      try {
        writeFileSync(join(filler, String(count)), '', { flag: 'wx' });
      } catch {
        break;
      }
    }
    const failed = await operations();
    assert.ok(failed.includes('import'), failed.join(', '));
    whole();
    rmSync(filler, { recursive: true });
    await recovers();
  });

  test('no descriptors', async () => {
    const used = readdirSync(`/proc/${daemon.pid}/fd`).length;
    sh(`prlimit --pid ${daemon.pid} --nofile=${used + 3}:`);
    try {
      await operations();
      assert.ok(existsSync(`/proc/${daemon.pid}`), 'the daemon is gone');
    } finally {
      sh(`prlimit --pid ${daemon.pid} --nofile=4096:`);
    }
    await recovers();
  });

  test('no processes', async () => {
    const cgroup = existsSync('/sys/fs/cgroup/pids')
      ? `/sys/fs/cgroup/pids/gantry-scarce-${process.pid}`
      : `/sys/fs/cgroup/gantry-scarce-${process.pid}`;
    const before = /^\d+:(?:pids)?:(.*)$/m.exec(readFileSync(`/proc/${daemon.pid}/cgroup`, 'utf8'))![1]!;
    mkdirSync(cgroup);
    try {
      writeFileSync(join(cgroup, 'cgroup.procs'), String(daemon.pid));
      writeFileSync(join(cgroup, 'pids.max'), readFileSync(join(cgroup, 'pids.current'), 'utf8').trim());
      const refused = docker('run', '--rm', '--network', 'none', 'busybox', 'true');
      assert.notEqual(refused.code, 0);
      assert.notEqual(refused.err, '');
      whole();
    } finally {
      writeFileSync(join(cgroup, '..', before === '/' ? '' : before, 'cgroup.procs'), String(daemon.pid));
      for (let tries = 0; tries < 100; tries++) {
        try {
          rmdirSync(cgroup);
          break;
        } catch {
          await sleep(100);
        }
      }
    }
    await recovers();
  });

  /** The disk stops being of use; what was told before must be there when it is back. */
  const failsAndComesBack = async (fail: () => void, words: RegExp): Promise<void> => {
    assert.equal(docker('tag', 'busybox', 'told:1').code, 0);
    assert.equal(docker('volume', 'create', 'told').code, 0);
    fail();
    const refused = docker('create', 'busybox', 'true');
    assert.notEqual(refused.code, 0);
    assert.match(refused.err, words);
    assert.equal(docker('version').code, 0);
    assert.equal(docker('inspect', '-f', '{{.State.Running}}', 'keeps').out, 'true');
    await daemon.kill();
    sh(`umount -l ${data}`);
    const pids = sh(`ps -eo pid,args`)
      .split('\n')
      .filter((line) => line.includes(directory) && /conmon/.test(line));
    for (const line of pids) {
      const pid = Number(line.trim().split(' ')[0]);
      spawnSync('sh', ['-c', `kill -9 $(ps -o pid= --ppid ${pid}) ${pid}`]);
    }
    // as long as somebody holds the old mount, the kernel gives it out again, failed as it is
    const back = `mount -o loop,errors=remount-ro ${directory}/disk ${data} && touch ${data}/probe`;
    for (let tries = 0; spawnSync('sh', ['-c', back]).status !== 0; tries++) {
      assert.ok(tries < 300, 'the disk does not come back');
      spawnSync('umount', ['-l', data]);
      await sleep(200);
    }
    await daemon.start();
    assert.equal(docker('image', 'inspect', 'told:1').code, 0);
    assert.equal(docker('volume', 'inspect', 'told').code, 0);
    assert.equal(docker('rm', '-f', 'keeps').code, 0);
    assert.equal(docker('run', '-d', '--name', 'keeps', '--network', 'none', 'busybox', 'sleep', '1000').code, 0);
    docker('rmi', 'told:1');
    docker('volume', 'rm', 'told');
    await recovers();
  };

  test('a disk that fails: errors, no crash, containers go on; with the disk back, all that was told is there', () =>
    failsAndComesBack(() => {
      // every access to it fails from now on
      const fd = openSync(data, 'r');
      check(ioctl(fd, EXT4_IOC_SHUTDOWN, Buffer.alloc(4)), 'ioctl', 'shutdown');
      closeSync(fd);
    }, /i\/o error|EIO|read-only/i));

  test('a disk that the kernel has made read-only after an error', () =>
    failsAndComesBack(() => {
      const device = sh(`findmnt -n -o SOURCE ${data}`).trim().replace('/dev/', '');
      writeFileSync(`/sys/fs/ext4/${device}/trigger_fs_error`, 'test');
      for (let tries = 0; !/\bro\b/.test(sh(`findmnt -n -o FS-OPTIONS ${data}`)); tries++) {
        assert.ok(tries < 100, 'the disk is still writable');
        spawnSync('sleep', ['0.05']);
      }
    }, /read-only|readonly|EROFS/i));
});

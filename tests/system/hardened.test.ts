/** `run --hardened`: what it takes away, what it refuses, and that it tells what a container needs. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';

describe(
  'hardened containers',
  { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' },
  () => {
    const directory = mkdtempSync(join(tmpdir(), 'gantry-hardened-'));
    const daemon = new DaemonProcess({ directory });
    const gantry = (...words: string[]): ReturnType<typeof runInProcess> =>
      runInProcess(words, { env: daemon.clientEnv });
    const docker = (...words: string[]): { status: number | null; stdout: string; stderr: string } =>
      spawnSync('docker', words, { env: daemon.clientEnv, encoding: 'utf8' });
    const STATUS = 'grep -E "^(Cap(Eff|Bnd|Prm)|NoNewPrivs|Seccomp:)" /proc/self/status | tr -d "\\t" | tr "\\n" " "';
    const NOTHING = 'CapPrm:0000000000000000 CapEff:0000000000000000 CapBnd:0000000000000000 NoNewPrivs:1 Seccomp:2 ';

    runsDaemon(daemon, { busybox: true });
    const run = (script: string, ...flags: string[]): ReturnType<typeof gantry> =>
      gantry('run', '--rm', '--network', 'none', '--hardened', ...flags, 'busybox', 'sh', '-c', script);

    test('no capability, no new privileges, nothing to write but /tmp and /run, few processes', async () => {
      const { code, stdout, stderr } = await run(
        `${STATUS}; touch /x 2>/dev/null || echo; for d in /tmp /run; do echo kept > $d/f && cat $d/f; done; cat /sys/fs/cgroup/pids*/pids.max /sys/fs/cgroup/pids.max 2>/dev/null | head -1; mount | grep -cE "on /(tmp|run) .*nosuid.*nodev.*noexec"`,
        '-u',
        '1000:1000',
      );
      assert.equal(code, 0, stderr);
      assert.deepEqual(stdout.split('\n'), [NOTHING, 'kept', 'kept', '512', '2', '']);
      assert.equal(stderr, '');
      const asRoot = await run('touch /tmp/x');
      assert.equal(asRoot.code, 0);
      assert.match(asRoot.stderr, /hardened: the container runs as root/);
      // what was asked for wins where it does not take back what hardened gives
      const own = await run(
        `${STATUS}; mount | grep " /tmp " | grep -c size=1024k`,
        '--cap-add=CHOWN',
        '--tmpfs=/tmp:size=1m',
        '--pids-limit=7',
      );
      assert.match(own.stdout, /CapEff:0{15}1 .* 1\n$/);
    });

    test('it tells what is missing: a place to write, a capability', async () => {
      const write = await run('echo x > /etc/app.db');
      assert.equal(write.code, 1);
      assert.match(
        write.stderr,
        /hardened: it writes to \/etc\/app\.db where its root filesystem is read-only → .*--tmpfs \/etc,/,
      );
      const owner = await run('touch /tmp/f; chown 5 /tmp/f');
      assert.equal(owner.code, 1);
      assert.match(owner.stderr, /hardened: it was denied what takes CAP_CHOWN: .* → if it must: --cap-add CHOWN/);
      assert.equal((await run('touch /tmp/f; chown 5 /tmp/f', '--cap-add', 'CHOWN')).code, 0);
      const user = await run('su nobody -s /bin/sh -c true');
      assert.notEqual(user.code, 0);
      assert.match(user.stderr, /--cap-add SETUID --cap-add SETGID|hardened: /);
    });

    test('by any client, and in Compose', async () => {
      const other = docker(
        'run',
        '--rm',
        '--network',
        'none',
        '-u',
        '1000',
        '--security-opt',
        'hardened=true',
        'busybox',
        'sh',
        '-c',
        STATUS,
      );
      assert.equal(other.stdout, NOTHING, other.stderr);
      const { stdout } = docker(
        'create',
        '--network',
        'none',
        '-u',
        '1000',
        '--security-opt',
        'hardened=true',
        'busybox',
        'true',
      );
      const inspected = JSON.parse(docker('inspect', '-f', '{{json .HostConfig}}', stdout.trim()).stdout) as Record<
        string,
        unknown
      >;
      const { CapDrop, ReadonlyRootfs, PidsLimit, SecurityOpt, Tmpfs } = inspected;
      assert.deepEqual([CapDrop, ReadonlyRootfs, PidsLimit], [['ALL'], true, 512]);
      assert.deepEqual(SecurityOpt, ['hardened=true', 'no-new-privileges']);
      assert.deepEqual(Object.keys(Tmpfs as object).toSorted(), ['/run', '/tmp']);
      docker('rm', stdout.trim());
      const project = join(directory, 'project');
      mkdirSync(project);
      writeFileSync(
        join(project, 'compose.yaml'),
        `name: hard\nservices: {web: {image: busybox, user: "1000", network_mode: none, security_opt: ["hardened=true"], command: ["sh", "-c", ${JSON.stringify(STATUS.replaceAll('$', '$$'))}]}}\n`,
      );
      const up = await gantry('compose', '--project-directory', project, 'up', '--no-color');
      assert.match(up.stdout, new RegExp(NOTHING.trim()), up.stderr);
      assert.equal((await gantry('compose', '--project-directory', project, 'down')).code, 0);
    });

    test('what would take it back is refused', async () => {
      for (const flags of [
        ['--privileged'],
        ['--cap-add', 'ALL'],
        ['--cap-add', 'sys_admin'],
        ['--security-opt', 'seccomp=unconfined'],
        ['--security-opt', 'systempaths=unconfined'],
        ['--security-opt', 'no-new-privileges=false'],
        ['--pid', 'host'],
      ]) {
        const { code, stderr } = await run('true', ...flags);
        assert.equal(code, 125, flags.join(' '));
        assert.match(stderr, /conflicting options: hardened and /, flags.join(' '));
      }
      assert.equal(docker('ps', '-aq').stdout, '');
    });
  },
);

/** User namespaces: containers whose ids are nobody's on the host, and everything that works as it does without. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { Engine } from '../../src/index.ts';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { printed, privateRoots } from '../support/private-engine.ts';

const asRoot = { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' };

describe('user namespaces', asRoot, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-userns-'));
  // the runtime looks for the root filesystem with the container's ids
  chmodSync(directory, 0o711);
  const daemon = new DaemonProcess({ directory, trash: true });
  const gantry = (...words: string[]): ReturnType<typeof runInProcess> =>
    runInProcess(words, { env: daemon.clientEnv });
  const ok = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await gantry(...words);
    assert.equal(code, 0, `${words.join(' ')}: ${stderr}`);
    return stdout.trim();
  };
  const docker = (...words: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync('docker', words, { env: daemon.clientEnv, encoding: 'utf8' });
  const map = async (name: string): Promise<number[]> =>
    (await ok('exec', name, 'cat', '/proc/self/uid_map')).split(/\s+/).map(Number);

  const words = (line: string): string[] => line.split(' ');

  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
  });
  after(async () => {
    spawnSync('sh', ['-c', 'docker rm -f $(docker ps -aq); docker network prune -f'], { env: daemon.clientEnv });
    await gantry('undo', '--empty', '-f');
    await daemon.stop();
    const { uid, gid } = statSync('/dev/null');
    assert.ok(uid < 2 ** 24 && gid < 2 ** 24, 'the host’s /dev/null is no container’s');
    await nothingLeft(daemon);
  });

  test('ranges are of one container each, kept over restarts, and free when it is gone', async () => {
    for (const name of ['one', 'two']) {
      await ok('run', '-d', '--name', name, '--network', 'none', '--userns', 'auto', 'busybox', 'sleep', '1000');
    }
    const [one, two] = [await map('one'), await map('two')];
    assert.deepEqual([one[0], one[2]], [0, 65_536]);
    assert.equal(two[1], one[1]! + 65_536);
    const pid = Number(await ok('inspect', '-f', '{{.State.Pid}}', 'one'));
    assert.equal(statSync(`/proc/${pid}`).uid, one[1]);
    // on the disk its files have its own ids
    await ok('exec', 'one', 'sh', '-c', 'echo x > /made; mkdir /d; chown 5:6 /d');
    const upper = await ok('inspect', '-f', '{{.GraphDriver.Data.UpperDir}}', 'one');
    assert.equal(statSync(join(upper, 'made')).uid, 0);
    assert.deepEqual([statSync(join(upper, 'd')).uid, statSync(join(upper, 'd')).gid], [5, 6]);
    await ok('restart', '-t', '0', 'one');
    assert.deepEqual(await map('one'), one);
    await daemon.kill();
    await daemon.start();
    assert.deepEqual(await map('one'), one);
    await ok('rm', '-f', '--no-trash', 'one');
    await ok(
      'run',
      '-d',
      '--name',
      'small',
      '--network',
      'none',
      '--userns',
      'auto:size=1000',
      'busybox',
      'sleep',
      '1000',
    );
    assert.deepEqual(await map('small'), [0, one[1]!, 1000]);
    // one that comes back from the trash gets another range where its own is taken
    await ok('rm', '-f', 'two');
    await ok('run', '-d', '--name', 'three', '--network', 'none', '--userns', 'auto', 'busybox', 'sleep', '1000');
    await ok('undo', 'two');
    await ok('start', 'two');
    const [three, again] = [await map('three'), await map('two')];
    assert.ok(again[1]! >= three[1]! + 65_536 || three[1]! >= again[1]! + 65_536, `${again[1]} ${three[1]}`);
    for (const name of ['two', 'three', 'small']) await ok('rm', '-f', name);
  });

  test('cp, exec, export, commit, diff, logs, health: with the container’s own ids', async () => {
    await ok(
      ...words('run -d --name files --network none --userns auto --workdir /made/here --health-interval 200ms'),
      '--health-cmd=test "$(id -u)" = 0',
      ...words('busybox sh -c'),
      'pwd; touch here; stat -c %u:%g . here /etc/hosts; echo y >>/etc/hosts; sleep 1000',
    );
    const local = join(directory, 'local');
    writeFileSync(local, 'in');
    for (const running of [true, false]) {
      if (!running) await ok('stop', '-t', '0', 'files');
      assert.equal(docker('cp', '-a', local, 'files:/in').status, 0);
      assert.equal(docker('cp', 'files:/in', join(directory, 'out')).status, 0);
      assert.equal(readFileSync(join(directory, 'out'), 'utf8'), 'in');
      const listed = spawnSync('sh', ['-c', 'docker cp files:/made - | tar -tv --numeric-owner'], {
        env: daemon.clientEnv,
        encoding: 'utf8',
      }).stdout;
      assert.match(listed, /0\/0 .* made\/here\/here/, listed);
      const exported = spawnSync('sh', ['-c', 'docker export files | tar -tv --numeric-owner in bin/busybox'], {
        env: daemon.clientEnv,
        encoding: 'utf8',
      }).stdout;
      assert.deepEqual(
        [...exported.matchAll(/ (\d+\/\d+) /g)].map(([, owner]) => owner),
        ['0/0', '0/0'],
        exported,
      );
    }
    await ok('start', 'files');
    assert.equal(await ok('exec', 'files', 'stat', '-c', '%u:%g', '/in'), '0:0');
    assert.equal(await ok('exec', '-u', '33', 'files', 'id', '-u'), '33');
    assert.match(await ok('logs', 'files'), /^\/made\/here\n0:0\n0:0\n0:0\n/);
    for (let tries = 0; (await ok('inspect', '-f', '{{.State.Health.Status}}', 'files')) !== 'healthy'; tries++) {
      assert.ok(tries < 300);
      await sleep(100);
    }
    assert.match(await ok('diff', 'files'), /A \/in/);
    await ok('commit', 'files', 'committed');
    // the image is any other's
    assert.equal(
      await ok('run', '--rm', '--network', 'none', 'committed', 'stat', '-c', '%u:%g', '/in', '/made/here/here'),
      '0:0\n0:0',
    );
    await ok('rm', '-f', 'files');
    await ok('rmi', 'committed');
  });

  test('volumes are shared by any containers; a secret is its user’s; bind mounts are the host’s', async () => {
    const run = (script: string, ...flags: string[]): Promise<string> =>
      ok('run', '--rm', '--network', 'none', ...flags, 'busybox', 'sh', '-c', script);
    assert.equal(
      await run('touch /v/f; chown 7:8 /v/f; stat -c %u:%g /v/f', '-v', 'data:/v', '--userns', 'auto'),
      '7:8',
    );
    assert.equal(await run('stat -c %u:%g /v/f', '-v', 'data:/v'), '7:8');
    assert.equal(await run('stat -c "%a %u:%g" /deep', '-v', 'data:/deep/er', '--userns', 'auto'), '755 0:0');
    assert.equal(await run('stat -c %u:%g /v/f', '-v', 'data:/v', '--userns', 'auto:size=100'), '7:8');
    // filled from the image
    assert.match(await run('stat -c %u:%g /etc/passwd', '-v', 'copied:/etc', '--userns', 'auto'), /^0:0$/);
    assert.equal(await run('stat -c %u:%g /c/passwd', '-v', 'copied:/c'), '0:0');
    const source = join(directory, 'source');
    spawnSync('sh', ['-c', `mkdir ${source}; echo mine > ${source}/f; chmod 700 ${source}/f`]);
    assert.match(
      await run('stat -c %u /b/f; cat /b/f 2>&1 || true', '-v', `${source}:/b`, '--userns', 'auto'),
      /^65534\ncat: can't open '\/b\/f': Permission denied$/,
    );
    const secret = join(directory, 'secret');
    writeFileSync(secret, 'word');
    await ok('secret', 'create', 'word', secret);
    assert.equal(
      await run('cat /run/secrets/word; stat -c %u /run/secrets/word', '--secret', 'word', '--userns', 'auto'),
      'word0',
    );
    await ok('secret', 'rm', 'word');
    await ok('volume', 'rm', '--no-trash', 'data', 'copied');
  });

  test('networks: names, ports, rights over its own; namespaces of another are joined with its ids', async () => {
    const subnet = `10.${60 + Math.trunc(Math.random() * 30)}.${Math.trunc(Math.random() * 255)}.0/24`;
    await ok('network', 'create', '--subnet', subnet, 'net');
    const web = 'mkdir /w; echo page > /w/index.html; exec httpd -f -p 80 -h /w';
    await ok(
      ...words('run -d --name web --network net -p 127.0.0.1::80 --userns auto --cap-add NET_ADMIN'),
      'busybox',
      'sh',
      '-c',
      web,
    );
    const address = await ok('port', 'web', '80');
    for (let tries = 0; ; tries++) {
      const page = await fetch(`http://${address}/`).then((answer) => answer.text(), String);
      if (page === 'page\n') break;
      assert.ok(tries < 300, page);
      await sleep(100);
    }
    const other = ['run', '--rm', '--network', 'net', '--userns', 'auto', 'busybox'];
    assert.equal(await ok(...other, 'wget', '-qO-', 'http://web/'), 'page');
    assert.match(await ok(...other, 'ping', '-c1', 'web'), / 0% packet loss/);
    await ok('exec', 'web', 'ip', 'link', 'set', 'lo', 'mtu', '1400');
    const joined = ['run', '--rm', '--network', 'container:web', '--pid', 'container:web', 'busybox'];
    assert.match(
      await ok(...joined, 'sh', '-c', 'cat /proc/self/uid_map; ps; wget -qO- http://127.0.0.1/'),
      /httpd[^]*page$/,
    );
    assert.deepEqual((await ok(...joined, 'cat', '/proc/self/uid_map')).split(/\s+/).map(Number), await map('web'));
    await ok('rm', '-f', 'web');
    await ok('network', 'rm', 'net');
  });

  test('what a user namespace cannot be shared with is refused', async () => {
    for (const [flags, words] of [
      [['--privileged'], /privileged mode is incompatible with user namespaces/],
      [['--pid', 'host'], /cannot share the host PID namespace/],
      [['--network', 'host'], /cannot share the host's network namespace/],
      [['--userns', 'auto:size=0'], /size must be 1 to/],
      [['--userns', 'keep-id'], /--userns: invalid USER mode/],
    ] as const) {
      const { code, stderr } = await gantry('run', '--rm', '--userns', 'auto', ...flags, 'busybox', 'true');
      assert.equal(code, 125, flags.join(' '));
      assert.match(stderr, words, flags.join(' '));
    }
    assert.equal(docker('run', '--rm', '--userns', 'host', '--network', 'none', 'busybox', 'id', '-u').stdout, '0\n');
    assert.equal(docker('ps', '-aq').stdout, '');
  });
});

test('userns-remap: every container that asks for nothing else has the engine’s ids', asRoot, async () => {
  const roots = await privateRoots();
  chmodSync(roots.directory, 0o711);
  await assert.rejects(Engine.open({ ...roots.options, usernsRemap: 'nobody-has-these' }), /\/etc\/subuid has no line/);
  const range = { base: 300_000, size: 65_536 };
  const engine = await Engine.open({ ...roots.options, usernsRemap: { uid: range, gid: range } });
  try {
    await engine.images.pull('busybox', {});
    assert.ok(JSON.stringify(await engine.system.info()).includes('name=userns'));
    for (const [UsernsMode, expected] of [
      ['', '0 300000 65536'],
      ['host', '0 0 4294967295'],
    ] as const) {
      const { Id } = await engine.containers.create({
        Image: 'busybox',
        Cmd: ['cat', '/proc/self/uid_map'],
        HostConfig: { NetworkMode: 'none', UsernsMode },
      });
      const exit = await engine.containers.wait(Id, 'next-exit');
      await engine.containers.start(Id);
      await exit.outcome;
      const { output } = await engine.containers.logs(Id, { stdout: true, stderr: true });
      assert.equal((await printed(output)).stdout.trim().replace(/\s+/g, ' '), expected);
      await engine.containers.remove(Id);
    }
  } finally {
    await engine.close();
  }
  await roots.discard();
});

test('without root and a name on this host the daemon says what it needs, and has made nothing', asRoot, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-no-root-'));
  chmodSync(directory, 0o777);
  const main = fileURLToPath(new URL('../../src/daemon/main.ts', import.meta.url));
  const words = ['--data-root', join(directory, 'data'), '--exec-root', join(directory, 'run')];
  const { status, stderr } = spawnSync(
    'setpriv',
    [
      '--reuid',
      '12345',
      '--regid',
      '12345',
      '--clear-groups',
      process.execPath,
      main,
      ...words,
      '--host',
      `unix://${directory}/s`,
    ],
    { encoding: 'utf8', env: { PATH: process.env['PATH'], HOME: directory } },
  );
  assert.equal(status, 1, stderr);
  assert.match(stderr, /the user 12345 has no name on this host .* an engine without root needs one/);
  assert.deepEqual(readdirSync(directory), []);
  rmSync(directory, { recursive: true });
});

/** What must not work, or not for long: the error is clear, nothing is left, the next build is unharmed. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { tarHeader } from '../../src/content/tar/header.ts';
import { writeTar } from '../../src/content/tar/writer.ts';
import { gantryWords } from '../cli/command.ts';
import { type Ended, runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const here = fs.mkdtempSync(join(tmpdir(), 'gantry-bad-'));
let names = 0;

function context(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = join(here, `context-${++names}`);
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(join(folder, name, '..'), { recursive: true });
    fs.writeFileSync(join(folder, name), content);
  }
  return folder;
}

describe('builds that cannot be', () => {
  const directory = join(here, 'daemon');
  const daemon = new DaemonProcess({ directory });
  const data = join(directory, 'data');
  const build = (folder: string, ...words: string[]): Promise<Ended> =>
    runInProcess(['build', ...words, folder], { env: daemon.clientEnv });
  const fails = async (
    files: Readonly<Record<string, string | Uint8Array>>,
    error: RegExp,
    ...words: string[]
  ): Promise<Ended> => {
    const ended = await build(context(files), ...words);
    assert.notEqual(ended.code, 0, String(error));
    assert.match(ended.stderr, error);
    return ended;
  };

  before(async () => {
    fs.mkdirSync(data, { recursive: true });
    assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=160m', 'tmpfs', data]).status, 0);
    await daemon.start();
    assert.equal((await runInProcess(['pull', 'busybox'], { env: daemon.clientEnv })).code, 0);
  });
  after(async () => {
    await daemon.stop();
    spawnSync('umount', ['-l', data]);
    await nothingLeft(daemon, here);
  });

  test('files that are no Dockerfile', async () => {
    const utf16 = Buffer.concat([Buffer.from('fffe', 'hex'), Buffer.from('FROM busybox\n', 'utf16le')]);
    await fails({ Dockerfile: utf16 }, /written in UTF-16: save it as UTF-8/);
    await fails({ Dockerfile: Buffer.alloc(1000) }, /has NUL bytes: it is not text/);
    await fails({ Dockerfile: `FROM busybox\n${'# comment\n'.repeat(2 << 20)}` }, /is larger than 16777216 bytes/);
    await fails({ Dockerfile: '' }, /the Dockerfile cannot be empty/);
    await fails({ 'Dockerfile/x': '' }, /is not a file/);
    const latin = Buffer.from('FROM busybox\n# caf\xe9\nRUN echo caf\xe9 >/x\n', 'latin1');
    await fails({ Dockerfile: latin }, /line 3: the file \(Dockerfile\) is not UTF-8 here/);
    const commented = await build(context({ Dockerfile: Buffer.from('FROM busybox\n# caf\xe9\n', 'latin1') }));
    assert.equal(commented.code, 0, commented.stderr);
    for (const nothing of ['', '\n\n'])
      assert.match(
        (await runInProcess(['build', '-'], { env: daemon.clientEnv, stdin: nothing })).stderr,
        /the Dockerfile cannot be empty/,
      );
    assert.match(
      (await runInProcess(['build', '-'], { env: daemon.clientEnv, stdin: Buffer.alloc(34 << 20, '# x\n') })).stderr,
      /the Dockerfile on stdin is larger than 32 MiB/,
    );
    await fails({ other: '' }, /Dockerfile: no such file or directory/);
    const linked = context({ real: 'FROM busybox\n' });
    fs.symlinkSync('/etc/passwd', join(linked, 'Dockerfile'));
    assert.match((await build(linked)).stderr, /Dockerfile/);
  });

  test('Dockerfiles that make no sense: the line, what is wrong, what was meant', async () => {
    await fails(
      { Dockerfile: 'FROM busybox\nRUM true\n' },
      /line 2: unknown instruction: RUM.*did you mean RUN.*2 \| >>> RUM true/is,
    );
    await fails({ Dockerfile: 'FROM busybox\nCOPY none /\n' }, /"?\/?none"?.*(not found|does not exist)/);
    await fails({ Dockerfile: 'FROM busybox\n' }, /target stage "prod" could not be found/, '--target', 'prod');
    await fails({ Dockerfile: 'FROM busybox\nCOPY --from=0 /x /\n' }, /it refers to itself or to a later stage/);
    await fails(
      { Dockerfile: `FROM busybox\nLABEL a=${'${A:-'.repeat(20000)}x${'}'.repeat(20000)}\n` },
      /line 2: substitutions are nested more than 500 deep/,
    );
    const above = /a stage is called so, but it does not come before this one/;
    await fails({ Dockerfile: 'FROM b AS a\nFROM a AS b\nCOPY --from=a /x /\n' }, above);
    await fails({ Dockerfile: 'FROM busybox AS a\nCOPY --from=b /x /\nFROM a AS b\nRUN true\n' }, above);
    await fails({ Dockerfile: 'FROM busybox AS a\nCOPY --from=a /x /\n' }, above);
    await fails({ Dockerfile: 'FROM $NONE\n' }, /base name \(\$NONE\) should not be blank/);
    await fails({ Dockerfile: 'FROM 127.0.0.1:1/none/such:1\n' }, /none\/such/);
    await fails(
      { Dockerfile: 'FROM busybox\nRUN --security=insecure true\n' },
      /build with --allow security\.insecure/,
    );
    await fails({ Dockerfile: 'FROM busybox\nRUN --network=host true\n' }, /build with --allow network\.host/);
    await fails({ Dockerfile: 'FROM busybox\n' }, /invalid entitlement: root/, '--allow', 'root');
    await fails({ Dockerfile: 'FROM busybox\nRUN --network=nosuch true\n' }, /line 2: invalid network mode "nosuch"/);
  });

  test('what no step can run with is told before one runs', async () => {
    const folder = context({ Dockerfile: `FROM busybox\nRUN echo ran ${process.pid}\n` });
    for (const [words, flags] of [
      [/network nosuch not found/, ['--network', 'nosuch']],
      [/joining network namespace of container: No such container: nosuch/, ['--network', 'container:nosuch']],
      [/invalid IP address in add-host: "nowhere"/, ['--add-host', 'a:nowhere']],
      [/invalid ulimit type: nosuch/, ['--ulimit', 'nosuch=1']],
    ] as const) {
      const { code, stdout, stderr } = await build(folder, ...flags);
      assert.notEqual(code, 0, flags.join(' '));
      assert.match(stderr, words);
      assert.doesNotMatch(stdout + stderr, /RUN|ran/, 'no step began');
    }
    assert.equal(
      (await build(context({ Dockerfile: 'FROM busybox\n' }), '--network', 'nosuch')).code,
      0,
      'nothing runs',
    );
  });

  test('more layers than an image can have: the step that makes one too many', async () => {
    const copies = Array.from({ length: 130 }, (_, n) => `COPY Dockerfile /${n}\n`).join('');
    const depth = /max depth exceeded: an image has at most 125 layers/;
    const { stdout } = await fails({ Dockerfile: `FROM scratch\n${copies}` }, depth);
    assert.match(stdout, /Step 127\/131/);
    assert.doesNotMatch(stdout, /Step 128\/131/);
  });

  test('what is allowed in so many words is done', async () => {
    const text =
      'FROM busybox\nRUN --security=insecure grep -q "CapEff:\\s*000001ff" /proc/self/status || grep CapEff /proc/self/status\nRUN --network=host ip link >/links\n';
    const done = await build(context({ Dockerfile: text }), '--allow', 'security.insecure', '--allow', 'network.host');
    assert.equal(done.code, 0, done.stderr + done.stdout);
  });

  test('no path of a context leads out of it, none of a step out of its root', async () => {
    const outside = join(here, 'outside');
    fs.mkdirSync(outside);
    fs.writeFileSync(join(outside, 'secret'), 'of the host');
    const folder = context({ Dockerfile: 'FROM busybox\nCOPY out/secret /s\n' });
    fs.symlinkSync(outside, join(folder, 'out'));
    assert.match((await build(folder)).stderr, /not found|does not exist/);
    await fails({ Dockerfile: 'FROM busybox\nCOPY ../outside/secret /s\n' }, /not found|does not exist/);
    const evil: Uint8Array[] = [];
    const entries = [
      { header: tarHeader({ type: 'symlink', name: 'up', linkName: `../../../../../../..${outside}` }) },
      { header: tarHeader({ type: 'file', name: 'up/from-archive', size: 1 }), body: [Buffer.from('x')] },
      {
        header: tarHeader({ type: 'file', name: `../../../../../..${outside}/by-dots`, size: 1 }),
        body: [Buffer.from('x')],
      },
    ];
    for await (const part of writeTar(entries)) evil.push(part);
    const into = context({
      Dockerfile: `FROM busybox\nRUN ln -s ${outside} /l\nCOPY f /l/from-copy\nADD a.tar /t/\nRUN ls ${outside}\n`,
      f: 'f',
      'a.tar': Buffer.concat(evil),
    });
    await build(into);
    assert.deepEqual(fs.readdirSync(outside), ['secret']);
  });

  test('a step has a bound to its processes', async () => {
    const { stdout, stderr } = await build(
      context({
        Dockerfile: 'FROM busybox\nRUN cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true\n',
      }),
    );
    assert.match(stdout, /^8192$/m, stderr);
  });

  test('a client that is killed takes its step with it', async () => {
    const sleep = `9${process.pid}${Date.now()}`;
    const folder = context({ Dockerfile: `FROM busybox\nRUN echo begun; sleep ${sleep}\n` });
    const client = spawn(process.execPath, [...gantryWords.filter((word) => word !== '--'), 'build', folder], {
      env: { ...daemon.clientEnv, PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    client.stdout.on('data', (data: Buffer) => (said += data.toString()));
    client.stderr.on('data', (data: Buffer) => (said += data.toString()));
    for (let tries = 0; !isRunning(sleep); tries++) {
      assert.ok(tries < 600 && client.exitCode === null, said);
      await delay(100);
    }
    client.kill('SIGKILL');
    for (let tries = 0; isRunning(sleep); tries++) {
      assert.ok(tries < 600, 'the step runs on');
      await delay(100);
    }
    assert.match((await build(context({ Dockerfile: 'FROM busybox\nRUN echo next""build\n' }))).stdout, /nextbuild/);
  });

  test('a full disk ends the build that fills it, and no other', async () => {
    await fails({ Dockerfile: 'FROM busybox\nRUN cat /dev/zero >/f\n' }, /returned a non-zero code: 1/);
    const large = context({ Dockerfile: 'FROM busybox\nCOPY . /\n' });
    const file = fs.openSync(join(large, 'large'), 'w');
    fs.ftruncateSync(file, 400 << 20);
    fs.closeSync(file);
    const { code, stderr } = await build(large);
    assert.notEqual(code, 0);
    assert.match(stderr, /no space|full|ENOSPC/i);
    await runInProcess(['builder', 'prune', '-f', '--all'], { env: daemon.clientEnv });
    const next = await build(context({ Dockerfile: 'FROM busybox\nRUN echo next""again\n' }));
    assert.match(next.stdout, /nextagain/, next.stderr);
  });
});

/** Whether a process on this host has the word among its arguments. */
function isRunning(word: string): boolean {
  return fs.readdirSync('/proc').some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1') === `sleep\0${word}\0`;
    } catch {
      return false;
    }
  });
}

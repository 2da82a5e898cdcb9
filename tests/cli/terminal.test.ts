/** Interactive commands in a real terminal, which `script` (util-linux) gives. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DaemonProcess } from '../support/daemon-process.ts';
import { gantryWords } from './command.ts';
import { runInProcess } from './in-process.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-terminal-'));

describe('terminals', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const daemon = new DaemonProcess({ directory });
  before(async () => {
    await daemon.start();
    assert.equal(
      (
        await runInProcess(['run', '-d', '--network', 'none', '--name', 'box', 'busybox', 'sleep', '1000'], {
          env: daemon.clientEnv,
        })
      ).code,
      0,
    );
  });
  after(async () => {
    await runInProcess(['rm', '-f', 'box', 'left'], { env: daemon.clientEnv });
    await daemon.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Types each text when what is before it was seen. Gives all that was shown, and the exit code. */
  function inTerminal(
    words: readonly string[],
    steps: readonly (readonly [seen: RegExp, typed: string])[],
    { first = '', hangUp = false }: { readonly first?: string; readonly hangUp?: boolean } = {},
  ): Promise<{ shown: string; code: number | null }> {
    const line = [process.execPath, ...gantryWords, ...words].map((word) => `'${word}'`).join(' ');
    return new Promise((resolve) => {
      const child = spawn('script', ['-qec', `stty rows 33 cols 101; ${line}`, '/dev/null'], {
        env: daemon.clientEnv,
        stdio: 'pipe',
      });
      if (first !== '') child.stdin.write(first); // what is typed early waits in the terminal
      let shown = '';
      let from = 0;
      const left = [...steps];
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        shown += text;
        const next = left[0];
        if (!next?.[0].test(shown.slice(from))) return;
        left.shift();
        from = shown.length;
        child.stdin.write(next[1]);
        // As a terminal's window that is closed.
        if (hangUp && left.length === 0) child.kill('SIGKILL');
      });
      // A step that never comes ends the test with what was seen, not the whole run.
      const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
      child.once('close', (code) => {
        clearTimeout(timer);
        resolve({ shown, code });
      });
    });
  }

  test('run -it: a shell of its own, its size, its exit code, line ends as they are', async () => {
    const { shown, code } = await inTerminal(
      ['run', '--rm', '-it', '--network', 'none', 'busybox', 'sh'],
      [
        [/# /, 'stty size; tty\n'],
        [/\/dev\/[^]*# /, 'exit 7\n'],
      ],
    );
    assert.equal(code, 7, shown);
    assert.match(shown, /33 101\r\n\/dev\//);
    assert.doesNotMatch(shown, /\r\r\n/);
  });

  test('exec -it: what is typed arrives raw', async () => {
    const { shown, code } = await inTerminal(
      ['exec', '-it', 'box', 'sh'],
      [
        [/# /, 'echo a\x7fb; sleep 100\n'],
        [/b\r\n/, '\x03'],
        [/# /, 'exit 4\n'],
      ],
    );
    assert.equal(code, 4, shown);
  });

  test('the detach keys leave it running; attach comes back', async () => {
    const first = await inTerminal(
      ['run', '-it', '--name', 'left', '--network', 'none', 'busybox', 'sh'],
      [[/# /, 'echo here\n\x10\x11']],
    );
    assert.equal(first.code, 0, first.shown);
    assert.match((await runInProcess(['ps'], { env: daemon.clientEnv })).stdout, /left/);
    const detached = await inTerminal(['attach', '--detach-keys', 'ctrl-x', 'left'], [[/attached/, '\x18']], {
      first: 'echo attached\n',
    });
    assert.equal(detached.code, 1, detached.shown);
    assert.match(detached.shown, /read escape sequence/);
    const ended = await inTerminal(['attach', 'left'], [], { first: 'exit 5\n' });
    assert.equal(ended.code, 5, ended.shown);
  });

  test('build --debug-on-error: a shell in the failed step, with all that the step has', async () => {
    const folder = join(directory, 'failing');
    mkdirSync(folder);
    writeFileSync(join(folder, 'given'), 'bound\n');
    const agent = createServer((socket) => socket.pipe(socket));
    const agentPath = join(directory, 'agent.sock');
    await new Promise<void>((resolve) => agent.listen(agentPath, resolve));
    const mounts = [
      'type=bind,target=/bound',
      'type=cache,target=/kept,id=debug-cache',
      'type=tmpfs,target=/memory',
      'type=secret,id=token,mode=0444,env=TOKEN',
      'type=secret,id=token,target=/run/token,mode=0444',
      'type=ssh,mode=0666',
    ];
    const lines = [
      'FROM busybox',
      'ARG WORD=hello',
      'ENV ALSO=there',
      'RUN echo someone:x:77:77::/work:/bin/sh >>/etc/passwd && mkdir /work && chown 77 /work',
      'WORKDIR /work',
      'USER someone',
      `RUN --network=none ${mounts.map((mount) => `--mount=${mount}`).join(' ')} echo made >f; exit 9`,
    ];
    writeFileSync(join(folder, 'Dockerfile'), lines.join('\n'));
    writeFileSync(join(directory, 'token'), 'hidden');
    const words = ['build', '--debug-on-error', '--secret', `id=token,src=${join(directory, 'token')}`].concat([
      '--ssh',
      `default=${agentPath}`,
      '--add-host',
      'known:10.1.2.3',
      '--network',
      'none',
      folder,
    ]);
    const looks = [
      'cat f; echo "$WORD $ALSO $(pwd) $(id -u)"; cat /bound/given; echo "token=$TOKEN,$(cat /run/token)"',
      'grep -c " /kept \\| /memory " /proc/mounts; ls /sys/class/net; grep known /etc/hosts; hostname; stty size',
      'test -S "$SSH_AUTH_SOCK" && echo sock; echo more >>f; cat f; ps | wc -l',
    ];
    try {
      const { shown, code } = await inTerminal(words, [
        [/\$ /, `${looks[0]}\n`],
        [/token=hidden,hidden\r\n[^]*\$ /, `${looks[1]}\n`],
        [/buildkitsandbox\r\n[^]*\$ /, `${looks[2]}\n`],
        [/sock\r\nmade\r\nmore\r\n[^]*\$ /, 'exit 0\n'],
      ]);
      assert.equal(code, 9, shown);
      assert.match(shown, /returned a non-zero code: 9\r\n[^]*Entering the step/);
      assert.match(shown, /made\r\nhello there \/work 77\r\nbound\r\ntoken=hidden,hidden\r\n/);
      assert.match(shown, /\r\n2\r\nlo\r\n10\.1\.2\.3\s+known\r\nbuildkitsandbox\r\n33 101\r\n/);
      assert.match(shown, /exit 0\r\nDockerfile:7\r\n[^]*>>> RUN --network=none/);
      const plain = await runInProcess(words, { env: daemon.clientEnv });
      assert.equal(plain.code, 9);
      assert.match(plain.stdout, /Dockerfile:7\n-+\n[^]*>>> RUN --network=none/);
      assert.doesNotMatch(plain.stderr, /Entering/);
    } finally {
      agent.close();
    }
    await nothingOfBuilds();
  });

  test('build --debug-on-error: other stages stop; an image without a shell; who hangs up', async () => {
    const folder = join(directory, 'failing-stages');
    mkdirSync(folder);
    const lines = [
      'FROM busybox AS slow',
      'RUN sleep 1000',
      'FROM busybox AS failing',
      'RUN echo this went wrong; exit 4',
      'FROM busybox',
      'COPY --from=slow / /',
      'COPY --from=failing / /',
    ];
    writeFileSync(join(folder, 'Dockerfile'), lines.join('\n'));
    for (const progress of ['tty', 'plain']) {
      const words = ['build', '--debug-on-error', '--progress', progress, '--network', 'none', folder];
      const { shown, code } = await inTerminal(words, [[/Entering[^]*# /, 'exit 0\n']]);
      assert.equal(code, 4, shown);
      assert.match(shown, /this went wrong[^]*non-zero code: 4[^]*Entering/);
    }
    const bare = join(directory, 'failing-bare');
    mkdirSync(bare);
    writeFileSync(
      join(bare, 'Dockerfile'),
      'FROM scratch\nCOPY --from=busybox /bin/busybox /false\nRUN ["/false", "false"]\n',
    );
    const none = await inTerminal(['build', '--debug-on-error', '--network', 'none', bare], []);
    assert.equal(none.code, 1, none.shown);
    assert.match(none.shown, /Entering[^]*\/bin\/sh[^]*no such file/);

    // The terminal goes away in the middle.
    const left = await inTerminal(
      ['build', '--debug-on-error', '--network', 'none', folder],
      [[/# /, 'sleep 1000\n']],
      { hangUp: true },
    );
    assert.equal(left.code, null);
    await nothingOfBuilds();
  });

  /** No step, no mount of one, no image is left. */
  async function nothingOfBuilds(): Promise<void> {
    for (let tries = 0; ; tries++) {
      const mounts = readFileSync(`/proc/${daemon.pid}/mounts`, 'utf8')
        .split('\n')
        .filter((line) => line.includes(`${directory}/data/tmp/`));
      const builds = readdirSync(join(directory, 'data/tmp'));
      const tasks = readdirSync(join(directory, 'run/tasks')).length;
      const { stdout } = await runInProcess(['images', '-aq', '-f', 'dangling=true'], { env: daemon.clientEnv });
      // The container of these tests runs all the time.
      if (mounts.length === 0 && builds.length === 0 && tasks === 1 && stdout === '') return;
      assert.ok(tries < 300, JSON.stringify({ mounts, builds, tasks, stdout }));
      await sleep(100);
    }
  }
});

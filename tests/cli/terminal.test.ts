/** Interactive commands in a real terminal, which `script` (util-linux) gives. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
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
    first = '',
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
      });
      // A step that never comes ends the test with what was seen, not the whole run.
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
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
    const detached = await inTerminal(
      ['attach', '--detach-keys', 'ctrl-x', 'left'],
      [[/attached/, '\x18']],
      'echo attached\n',
    );
    assert.equal(detached.code, 1, detached.shown);
    assert.match(detached.shown, /read escape sequence/);
    const ended = await inTerminal(['attach', 'left'], [], 'exit 5\n');
    assert.equal(ended.code, 5, ended.shown);
  });

  test('build --debug-on-error: a shell in what the failed step left', async () => {
    const folder = join(directory, 'failing');
    mkdirSync(folder);
    const lines = ['FROM busybox', 'ARG WORD=hello', 'WORKDIR /work', 'RUN echo made >f; exit 9'];
    writeFileSync(join(folder, 'Dockerfile'), lines.join('\n'));
    const words = ['build', '--debug-on-error', '--network', 'none', folder];
    const { shown, code } = await inTerminal(words, [
      [/# /, 'cat f; echo "$WORD $(pwd)"\n'],
      [/hello \/work\r\n[^]*# /, 'exit 0\n'],
    ]);
    assert.equal(code, 9, shown);
    assert.match(shown, />>> RUN echo made >f; exit 9\r\n/);
    assert.match(shown, /returned a non-zero code: 9\r\n[^]*Entering what it left/);
    assert.match(shown, /made\r\nhello \/work\r\n/);
    const { stdout } = await runInProcess(['images', '-aq', '-f', 'dangling=true'], { env: daemon.clientEnv });
    assert.equal(stdout, '', 'the image for looking is gone');
    const plain = await runInProcess(words, { env: daemon.clientEnv });
    assert.equal(plain.code, 9);
    assert.match(plain.stdout, /Dockerfile:4\n-+\n[^]*>>> RUN echo made/);
    assert.doesNotMatch(plain.stderr, /Entering/);
  });
});

/** The completion scripts in the real shells, on a terminal (tmux) where a line is typed and tab is pressed. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DaemonProcess } from '../support/daemon-process.ts';
import { gantryWords } from './command.ts';
import { runInProcess } from './in-process.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-completion-'));
const bin = join(directory, 'bin');

/** Starting each shell without what the machine's users have configured, with the script loaded as our help says. */
const SHELLS: Readonly<Record<string, { readonly start: string; readonly load: string }>> = {
  bash: { start: 'bash --norc --noprofile -i', load: 'source <(gantry completion bash)' },
  zsh: { start: 'zsh -f -i', load: 'autoload -Uz compinit && compinit -u -D && source <(gantry completion zsh)' },
  fish: { start: 'fish --no-config -i', load: 'gantry completion fish | source' },
};

describe('completion', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const daemon = new DaemonProcess({ directory });
  const env = { ...daemon.clientEnv, PATH: `${bin}:${process.env['PATH']}`, PS1: 'shell> ', TERM: 'screen' };

  before(async () => {
    mkdirSync(bin);
    const shim = join(bin, 'gantry');
    const words = [process.execPath, ...gantryWords].map((word) => `'${word}'`).join(' ');
    writeFileSync(shim, `#!/bin/sh\nexec ${words} "$@"\n`);
    chmodSync(shim, 0o755);
    writeFileSync(join(directory, 'compose.yaml'), 'services:\n  lantern:\n    image: busybox\n');
    await daemon.start();
    const made = await runInProcess(['create', '--name', 'wanderer', '--network', 'none', 'busybox'], { env });
    assert.equal(made.code, 0, made.stderr);
    assert.equal((await runInProcess(['tag', 'busybox', 'shelf/book:first'], { env })).code, 0);
  });
  after(async () => {
    await runInProcess(['rm', '-f', 'wanderer'], { env });
    await daemon.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  for (const [name, { start, load }] of Object.entries(SHELLS)) {
    const absent = spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0;
    test(name, { skip: absent && `there is no ${name} here` }, async () => {
      const socket = join(directory, `${name}.tmux`);
      const tmux = (...words: string[]): string =>
        execFileSync('tmux', ['-S', socket, '-f', '/dev/null', ...words], { env, encoding: 'utf8' });
      /** Until the screen shows it. */
      const seen = async (expected: RegExp): Promise<void> => {
        let screen = '';
        for (let i = 0; i < 400; i++) {
          screen = tmux('capture-pane', '-p', '-J');
          if (expected.test(screen)) return;
          await sleep(50);
        }
        assert.match(screen, expected);
      };
      const type = (text: string): void => void tmux('send-keys', '-l', text);
      const newLine = (): void => void tmux('send-keys', 'C-u');
      tmux('new-session', '-d', '-x', '120', '-y', '40', '-c', directory, start);
      try {
        type(`${load}; echo it is $((6 * 7))\n`.replace('$((6 * 7))', name === 'fish' ? '(math 6 x 7)' : '$((6 * 7))'));
        await seen(/^it is 42$/m);
        tmux('send-keys', 'C-l');
        for (const [typed, completed] of [
          ['gantry netw', /gantry network /],
          ['gantry image pru', /gantry image prune /],
          ['gantry run --pull alw', /gantry run --pull always/],
          ['gantry rm wand', /gantry rm wanderer/],
          ['gantry rmi shelf/book:fi', /gantry rmi shelf\/book:first/],
          ['gantry labs sh', /gantry labs show/],
          ['gantry compose conf', /gantry compose config/],
          ['gantry compose logs lant', /gantry compose logs lantern/],
          ['cd /; gantry load -i etc/host', /gantry load -i etc\/host(?:s|name)?/],
        ] as const) {
          type(typed);
          type('\t');
          await seen(completed);
          newLine();
        }
        type('gantry compose ');
        type('\t\t');
        await seen(/\bconfig\b[^]*\bpause\b/);
      } finally {
        tmux('kill-server');
      }
    });
  }
});

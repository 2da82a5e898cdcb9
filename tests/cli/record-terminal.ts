/**
 * `node tests/cli/record-terminal.ts` (as root): writes docs/terminal.md, what a terminal of 90 columns shows while a few
 * commands run, taken from tmux on an engine of its own.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DaemonProcess } from '../support/daemon-process.ts';
import { gantryWords } from './command.ts';

/** A command, and the moments it is looked at: when the screen matches. */
interface Scene {
  readonly about: string;
  readonly command: string;
  readonly moments: readonly RegExp[];
}

const END = /^end \d+$/m;
const SCENES: readonly Scene[] = [
  {
    about: 'A build: two stages side by side while they run, and when all is done.',
    command: 'gantry build -t shop .',
    moments: [/tests +3[^]*assets +3/, END],
  },
  { about: 'The same again.', command: 'gantry build -t shop .', moments: [END] },
  {
    about: 'A file has changed, and the build says why it is not the same.',
    command: 'echo "<h1>Sale</h1>" > index.html; gantry build --explain -t shop .',
    moments: [END],
  },
  {
    about: 'Run it, look at it, ask it.',
    command:
      'gantry run -d --name shop -p 127.0.0.1::80 shop && gantry ps && gantry port shop && gantry exec shop wget -qO- localhost',
    moments: [END],
  },
  { about: 'A stack from one file, coming up.', command: 'gantry compose up -d', moments: [END] },
  { about: 'What it would do now, and why: nothing.', command: 'gantry compose up --plan', moments: [END] },
  { about: 'Taken down.', command: 'gantry compose down -t 1', moments: [END] },
  {
    about: 'A step that fails shows where, all that it printed, and its exit code.',
    command: 'gantry build -f Dockerfile.broken .',
    moments: [END],
  },
  {
    about: 'A container that does not stay up.',
    command: "gantry run -d --name moody busybox sh -c 'exit 3'; sleep 1; gantry why moody",
    moments: [END],
  },
  { about: 'Mistyped.', command: 'gantry rnu -it busybox', moments: [END] },
];

const DOCKERFILE = `FROM busybox AS assets
WORKDIR /site
COPY index.html .
RUN for i in 1 2 3 4; do echo "assets $i"; sleep 0.4; done; gzip -k index.html
FROM busybox AS tests
RUN for i in 1 2 3 4; do echo "tests $i"; sleep 0.4; done; touch /passed
FROM busybox
COPY --from=tests /passed /
COPY --from=assets /site /site
CMD ["httpd", "-f", "-h", "/site"]
`;
const COMPOSE = `services:
  web:
    image: shop
    init: true
    depends_on: [cache]
  cache:
    image: busybox
    command: sleep 1000
    init: true
    volumes: [data:/data]
volumes:
  data:
`;

const directory = mkdtempSync(join(tmpdir(), 'gantry-recording-'));
const daemon = new DaemonProcess({ directory });
const work = join(directory, 'shop');
const bin = join(directory, 'bin');
for (const path of [work, bin]) mkdirSync(path);
writeFileSync(join(work, 'Dockerfile'), DOCKERFILE);
writeFileSync(join(work, 'Dockerfile.broken'), 'FROM busybox\nRUN echo checking; test -d /nowhere\n');
writeFileSync(join(work, 'index.html'), '<h1>Shop</h1>\n');
writeFileSync(join(work, 'compose.yaml'), COMPOSE);
const words = [process.execPath, ...gantryWords].map((word) => `'${word}'`).join(' ');
writeFileSync(join(bin, 'gantry'), `#!/bin/sh\nexec ${words} "$@"\n`);
chmodSync(join(bin, 'gantry'), 0o755);

const env = { ...daemon.clientEnv, PATH: `${bin}:${process.env['PATH']}`, PS1: '$ ', TERM: 'screen' };
const tmux = (...given: string[]): string =>
  execFileSync('tmux', ['-S', join(directory, 'tmux'), '-f', '/dev/null', ...given], { env, encoding: 'utf8' });

await daemon.start();
const parts = [
  '# What a terminal shows\n\nTaken from a terminal of 90 columns (`node tests/cli/record-terminal.ts` writes this page anew). Where a command has two pictures, the first is of while it ran.\n',
];
try {
  tmux('new-session', '-d', '-x', '90', '-y', '45', '-c', work, 'bash --norc --noprofile -i');
  tmux('send-keys', '-l', "PS1='$ '\n");
  // The base is there: what is shown is the build.
  tmux('send-keys', '-l', 'gantry pull -q busybox; echo end $?\n');
  await seen(END);
  for (const { about, command, moments } of SCENES) {
    parts.push(about);
    for (const [index, moment] of moments.entries()) {
      if (index === 0) {
        tmux('send-keys', '-l', 'clear\n');
        await sleep(300);
        tmux('clear-history');
        tmux('send-keys', '-l', `${command}; echo end $?\n`);
      }
      const screen = await seen(moment);
      const shown = screen
        .replace(/; echo end \$\?/, '')
        .replace(/\nend 0\n[^]*$/, '\n')
        .replace(/\nend (\d+)\n[^]*$/, '\n(exit code $1)\n');
      parts.push(`\`\`\`text\n${shown.trimEnd()}\n\`\`\`\n`);
    }
  }
} finally {
  tmux('kill-server');
  for (const name of ['shop', 'moody']) execFileSync(join(bin, 'gantry'), ['rm', '-f', name], { env, stdio: 'ignore' });
  await daemon.stop();
  rmSync(directory, { recursive: true, force: true });
}
writeFileSync(join(import.meta.dirname, '..', '..', 'docs', 'terminal.md'), parts.join('\n'));

async function seen(expected: RegExp): Promise<string> {
  for (let i = 0; i < 1200; i++) {
    const screen = tmux('capture-pane', '-p', '-J', '-S', '-200');
    if (expected.test(screen)) return screen;
    await sleep(50);
  }
  throw new Error(`${String(expected)} was not seen:\n${tmux('capture-pane', '-p')}`);
}

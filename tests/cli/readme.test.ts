/** Every command of the README and of the guide is run, in its order, on an engine of its own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { gantryWords } from './command.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-readme-'));
const work = join(directory, 'work');
const root = join(import.meta.dirname, '..', '..');
const documents = ['README.md', 'docs/guide.md'].map((name) => readFileSync(join(root, name), 'utf8'));

/** Commands that a test cannot run inside itself, and why. */
const NOT_HERE: Readonly<Record<string, string>> = {
  'npm test': 'it is what runs this',
  './gantry demo': 'tests/cli/demo.test.ts runs it',
  'sudo ./gantry system install': 'it changes the machine; tests/cli/system.test.ts looks at what it would write',
};

const COMMANDS = documents
  .flatMap((text) => [...text.matchAll(/```sh\n([^]*?)```/g)])
  .flatMap(([, block]) => block!.split('\n'))
  .map((line) => line.replace(/\s+#.*$/, '').trim())
  .filter((line) => line !== '' && !line.startsWith('#'));

describe('README', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const daemon = new DaemonProcess({ directory });

  before(async () => {
    mkdirSync(join(directory, 'bin'), { recursive: true });
    mkdirSync(work);
    const shim = join(directory, 'bin', 'gantry');
    writeFileSync(
      shim,
      `#!/bin/sh\nexec '${process.execPath}' ${gantryWords.map((word) => `'${word}'`).join(' ')} "$@"\n`,
    );
    chmodSync(shim, 0o755);
    await daemon.start();
  });
  after(async () => {
    await daemon.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  test('every page that the README names is there', () => {
    for (const [, path] of documents[0]!.matchAll(/\]\(([\w./-]+)\)/g)) assert.ok(existsSync(join(root, path!)), path);
  });

  test('has commands', () => assert.ok(COMMANDS.length > 15));

  for (const line of COMMANDS) {
    const why = NOT_HERE[line];
    test(line, { skip: why ?? false }, async () => {
      // A terminal for those that want one: `script` gives it, and its input is what is typed.
      const interactive = /\s-it?t?\s/.test(line) && / -it /.test(line);
      const command = line.replace(/^\.\/gantry\b/, 'gantry');
      const ended = interactive
        ? await shell(`script -qec ${quote(command)} /dev/null`, 'exit\n')
        : await shell(command, '');
      assert.equal(ended.code, 0, `${line}\n${ended.output}`);
    });
  }

  function shell(command: string, typed: string): Promise<{ code: number | null; output: string }> {
    return new Promise((resolve) => {
      const env = { ...daemon.clientEnv, PATH: `${join(directory, 'bin')}:${process.env['PATH']}` };
      const child = spawn('sh', ['-c', command], { cwd: work, env, stdio: 'pipe' });
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        // Typed when somebody is there to read it.
        if (typed !== '' && /[#$] /.test(text)) child.stdin.write(typed);
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
      child.stdin.on('error', () => {});
      if (typed === '') child.stdin.end();
      child.once('close', (code) => resolve({ code, output }));
    });
  }
});

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

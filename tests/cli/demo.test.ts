/** The demo, whole, on an engine of its own. It needs the packages of Debian; where they do not answer it is skipped and says so. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { gantryWords } from './command.ts';
import { runInProcess } from './in-process.ts';

test(
  'demo',
  { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own', timeout: 300_000 },
  async (context) => {
    const directory = mkdtempSync(join(tmpdir(), 'gantry-demo-test-'));
    const daemon = new DaemonProcess({ directory });
    try {
      await daemon.start();
      const { code, output } = await run(['demo', '--port', '0'], daemon.clientEnv);
      if (code !== 0 && /could not be fetched|Unable to fetch|Could not resolve|Temporary failure/i.test(output)) {
        return context.skip('the package sources of Debian do not answer');
      }
      assert.equal(code, 0, output);
      assert.match(output, /<h1>Hello from a container<\/h1>/);
      assert.match(output, /Listening on port 3000/);
      assert.match(output, /Untagged: docker-demo-app:1\.0/);
      const left = await runInProcess(['ps', '-aq'], { env: daemon.clientEnv });
      assert.equal(left.stdout, '');
      const images = await runInProcess(['images', '--format', '{{.Repository}}'], { env: daemon.clientEnv });
      assert.deepEqual(images.stdout.trim().split('\n').sort(), ['demo-debian', 'demo-node']);
    } finally {
      await daemon.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  },
);

function run(words: readonly string[], env: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...gantryWords, ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.once('close', (code) => resolve({ code, output }));
  });
}

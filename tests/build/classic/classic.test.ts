import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { differencesOf } from '../../api/differences.ts';
import { DaemonProcess } from '../../support/daemon-process.ts';
import { nothingLeft } from '../../support/daemon-suite.ts';
import { CASES } from './cases.ts';
import { DIFFERENCES } from './differences.ts';
import { type ClassicResult, ContextServer, runClassicCase } from './run-case.ts';

const expected = JSON.parse(readFileSync(new URL('expected.json', import.meta.url), 'utf8')) as Readonly<
  Record<string, ClassicResult>
>;
const skip = process.getuid?.() === 0 ? false : 'needs root, for an engine of its own';

/** `POST /build` as clients of the classic builder send it: status, words and steps must be as recorded from dockerd 28.5. */
describe('builds through the classic door', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-classic-'));
  const daemon = new DaemonProcess({ directory });
  const contexts = new ContextServer(join(directory, 'web'));
  let server = '';

  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
    server = await contexts.start();
  });
  after(async () => {
    contexts[Symbol.dispose]();
    await daemon.stop();
    await nothingLeft(daemon);
  });

  test('what was recorded is of these cases', () => assert.deepEqual(Object.keys(expected), Object.keys(CASES)));

  for (const [name, one] of Object.entries(CASES)) {
    test(name, async (t) => {
      const result = await runClassicCase(one, { socketPath: daemon.socket, server, prefix: `own${process.pid}` });
      const wrong: string[] = [];
      for (const { part, line } of differencesOf(result, expected[name]!)) {
        const difference = DIFFERENCES.find(({ at, part: parts }) => at.test(name) && parts.test(part));
        if (difference) t.diagnostic(`${line} (${difference.why})`);
        else wrong.push(line);
      }
      assert.deepEqual(wrong, []);
    });
  }
});

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';
import { CASES } from './cases.ts';
import { allowed, differencesOf } from './differences.ts';
import { type ApiResult, runCase } from './run-case.ts';

const expected = JSON.parse(readFileSync(new URL('expected.json', import.meta.url), 'utf8')) as (ApiResult & {
  name: string;
})[];

/** Raw requests to a real engine: status, words and fields must be as recorded from dockerd 28.5. */
describe('requests as to dockerd', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-requests-'));
  const daemon = new DaemonProcess({ directory });

  runsDaemon(daemon, { busybox: true });

  for (const [index, one] of CASES.entries()) {
    const { name, ...recorded } = expected[index]!;
    test(name, async (t) => {
      assert.equal(name, one.name, 'expected.json was recorded from other cases: record it again');
      const result = await runCase(one, daemon.socket, `api${process.pid}`);
      const wrong: string[] = [];
      for (const { part, line } of differencesOf(result, recorded)) {
        const difference = allowed(name, part);
        if (difference) t.diagnostic(`${line} (${difference.why})`);
        else wrong.push(line);
      }
      assert.deepEqual(wrong, []);
    });
  }
});

/** buildx, bake and Compose as they are: what they do with Gantry must be what they did with dockerd 28.5 when it was recorded. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { BUILDX_CASES } from './buildx-cases.ts';
import { COMPOSE_CASES } from './compose-cases.ts';
import { DIFFERENCES } from './differences.ts';
import { pluginDirectory } from './plugins.ts';
import { type CaseResult, runCase } from './run-case.ts';

const expected = JSON.parse(readFileSync(new URL('expected.json', import.meta.url), 'utf8')) as Record<
  string,
  CaseResult
>;
const directory = mkdtempSync(join(tmpdir(), 'gantry-buildkit-'));
const daemon = new DaemonProcess({ directory });
const plugins = pluginDirectory();
const all = process.env['GANTRY_TEST_ALL'] === '1';

describe(
  'buildx and Compose as against dockerd',
  {
    skip: plugins === undefined ? 'buildx and Compose could not be had: see tools/setup-tests.sh' : false,
    concurrency: 2,
  },
  () => {
    before(async () => {
      await daemon.start();
      await daemon.importBusybox();
    });
    after(async () => {
      await daemon.stop();
      const left = await leftBehind(daemon);
      rmSync(directory, { recursive: true, force: true });
      assert.deepEqual(left, []);
    });

    for (const { name, script, always } of [...BUILDX_CASES, ...COMPOSE_CASES]) {
      if (!always && !all) continue;
      const differs = DIFFERENCES[name];
      test(differs ? `${name} (differs: ${differs.why})` : name, async () => {
        const result = await runCase(script, daemon.host, plugins!);
        assert.deepEqual(result, differs ? { ...expected[name], ...differs.result } : expected[name]);
      });
    }
  },
);

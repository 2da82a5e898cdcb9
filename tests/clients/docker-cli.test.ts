import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { CASES } from './cases.ts';
import { DIFFERENCES } from './differences.ts';
import { type CaseResult, runCase } from './run-case.ts';

const expected = JSON.parse(readFileSync(new URL('expected.json', import.meta.url), 'utf8')) as Record<
  string,
  CaseResult
>;
const directory = mkdtempSync(join(tmpdir(), 'gantry-clients-'));
const daemon = new DaemonProcess({ directory });
const docker = spawnSync('docker', ['--version']).status === 0;

/** The unmodified docker CLI against Gantry: what it prints and how it exits must be as recorded from dockerd 28.5. */
describe(
  'docker CLI as against dockerd',
  { skip: docker ? false : 'no docker CLI on this machine: apt-get install docker-cli (or docker.io)', concurrency: 2 },
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

    for (const [name, script] of CASES) {
      const differs = DIFFERENCES[name];
      test(differs ? `${name} (differs: ${differs.why})` : name, async () => {
        const result = await runCase(script, daemon.host);
        assert.deepEqual(result, differs ? { ...expected[name], ...differs.result } : expected[name]);
      });
    }
  },
);

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import test from 'node:test';
import { cannotCutPower } from './power-cut.ts';
import { replayPrefixes } from './prefix-replay.ts';

const skip = cannotCutPower() ?? (existsSync('/dev/fuse') ? false : 'needs /dev/fuse');

test(
  '4 prefixes of what was written: each opens, with all that was acknowledged',
  { timeout: 240_000, skip },
  async () => {
    const report = await replayPrefixes({ prefixes: 4, operations: 7, seed: 42 });
    assert.deepEqual(report.failures, []);
    assert.ok(report.prefixes === 4 && report.flushes > 6, JSON.stringify(report));
  },
);

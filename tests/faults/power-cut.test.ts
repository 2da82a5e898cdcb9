import assert from 'node:assert/strict';
import test from 'node:test';
import { cannotCutPower, cutPower } from './power-cut.ts';

const skip = cannotCutPower() ?? false;

test('5 power cuts: nothing undone, damaged or resurrected', { timeout: 240_000, skip }, async () => {
  const report = await cutPower({ cuts: 5, seed: 42 });
  assert.deepEqual(report.failures, []);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { killEngine } from './kill-engine.ts';

test('8 kills of the engine under load: nothing lost, nothing left', { timeout: 290_000 }, async () => {
  const report = await killEngine({ kills: 8, seed: 42 });
  assert.deepEqual(report.failures, []);
});

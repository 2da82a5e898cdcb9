import assert from 'node:assert/strict';
import test from 'node:test';
import { gatherCrowds } from './crowds.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root, for an engine of its own';

test(
  'small crowds: all succeed, a restart keeps all, nothing is left or leaks',
  { timeout: 240_000, skip },
  async () => {
    const sizes = { created: 60, running: 12, runs: 12, builds: 5, pulls: 5, listeners: 20, operations: 80 };
    const report = await gatherCrowds({ sizes });
    assert.deepEqual(report.failures, []);
  },
);

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Fuzzer } from './fuzzer.ts';
import { allTargets } from './targets.ts';

/** Inputs of each target here; `npm run test:fuzz` has time for more. */
const INPUTS = 200;
const targets = await allTargets();

describe('what comes from outside is read or refused', { timeout: 120_000 }, () => {
  after(async () => {
    for (const target of targets) await target.close?.();
  });

  for (const target of targets) {
    test(target.name, async () => {
      const known = await new Fuzzer(target, 0).known();
      assert.deepEqual(
        known.findings.map(({ what }) => what),
        [],
        'a seed, or an input that was found once',
      );
      const { findings } = await new Fuzzer(target, 20261201).forInputs(INPUTS);
      assert.deepEqual(
        findings.map(({ what, input }) => `${what}: ${JSON.stringify(Buffer.from(input).toString('latin1'))}`),
        [],
      );
    });
  }
});

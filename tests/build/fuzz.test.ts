import assert from 'node:assert/strict';
import test from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { expandWord } from '../../src/build/dockerfile/expand.ts';
import { oddText, PIECES, readAsAll, readFile, readWord } from '../support/dockerfile-fuzzer.ts';

/** Inputs of one run; `node tests/faults/fuzz-dockerfile.ts` runs ten million. */
const RUNS = 4000;
/** Far more than any input of this size needs. */
const MAX_MS = 10_000;

test('no Dockerfile, however odd, does more than be refused', () => {
  for (let run = 0; run < RUNS; run++) {
    const text = oddText(20261123, run);
    const started = performance.now();
    readAsAll(text);
    assert.ok(performance.now() - started < MAX_MS, JSON.stringify(text));
  }
});

test('repetition does not make reading slow', () => {
  for (const piece of PIECES) {
    const text = `FROM a\nENV A=${piece.repeat(5_000)}\nRUN ${piece.repeat(5_000)}`;
    const started = performance.now();
    try {
      readFile(text);
      readWord(text);
    } catch (error) {
      assert.ok(error instanceof EngineError, `${JSON.stringify(piece)}: ${String((error as Error).stack)}`);
    }
    assert.ok(performance.now() - started < MAX_MS, `${JSON.stringify(piece)} took ${performance.now() - started} ms`);
  }
});

test('patterns of many stars are not slow', () => {
  const stars = '*a'.repeat(50);
  for (const operator of ['#', '##', '%', '%%', '/', '//']) {
    const started = performance.now();
    // To replace is to say by what.
    const replacement = operator.startsWith('/') ? '/c' : '';
    expandWord(`\${A${operator}${stars}b${replacement}}`, () => 'a'.repeat(300));
    assert.ok(performance.now() - started < MAX_MS, operator);
  }
});

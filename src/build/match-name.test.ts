import assert from 'node:assert/strict';
import test from 'node:test';
import { matchName } from './match-name.ts';

const CASES: readonly [pattern: string, name: string, matches: boolean][] = [
  ['*.txt', 'a.txt', true],
  ['*.txt', 'a.txt.gz', false],
  ['a*b*c', 'aXbYbc', true],
  ['?', 'a', true],
  ['?', '', false],
  ['*', '', true],
  ['[a-c]x', 'bx', true],
  ['[^a-c]x', 'bx', false],
  ['[[]x]', '[x]', true],
  ['\\*', '*', true],
  ['\\*', 'a', false],
  ['[\\-x]', '-', true],
  ['a.c', 'abc', false],
  ['[', '[', true],
];
for (const [pattern, name, matches] of CASES) {
  test(`matchName() ${pattern} ${name}`, () => assert.equal(matchName(pattern, name), matches));
}

test('matchName() is not slow with many stars', () => {
  const started = performance.now();
  assert.equal(matchName(`${'*a'.repeat(60)}b`, 'a'.repeat(255)), false);
  assert.ok(performance.now() - started < 1000);
});

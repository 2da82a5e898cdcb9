import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x86Level } from './cpu-level.ts';

test('a level is what all below it and its own features make', () => {
  const second = ['cx16', 'lahf_lm', 'popcnt', 'sse4_1', 'sse4_2', 'ssse3'];
  const third = ['abm', 'avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'movbe', 'xsave'];
  const fourth = ['avx512bw', 'avx512cd', 'avx512dq', 'avx512f', 'avx512vl'];
  assert.equal(x86Level(new Set()), 1);
  assert.equal(x86Level(new Set(second)), 2);
  assert.equal(x86Level(new Set([...second, ...third])), 3);
  assert.equal(x86Level(new Set([...second, ...third, ...fourth, 'sse2'])), 4);
  assert.equal(x86Level(new Set([...second, ...fourth])), 2, 'the third is missing');
  assert.equal(x86Level(new Set([...second.slice(1), ...third])), 1);
});

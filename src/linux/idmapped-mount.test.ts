import assert from 'node:assert/strict';
import { test } from 'node:test';
import { swapMap } from './idmapped-mount.ts';

test('two ids change places in a map of all', () => {
  assert.equal(swapMap([0, 1]), '0 1 1\n1 0 1\n2 2 4294967293\n');
  assert.equal(swapMap([1000, 33]), '0 0 33\n33 1000 1\n34 34 966\n1000 33 1\n1001 1001 4294966294\n');
  assert.equal(swapMap([5, 5]), '0 0 4294967295\n');
});

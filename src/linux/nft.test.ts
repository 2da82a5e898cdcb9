import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusal } from './nft.ts';

test('a kernel without tables for both protocols is named, not every rule that it refused', () => {
  const error = refusal(
    'nft failed (exit 1): /dev/stdin:1:1-20: Error: Could not process rule: Operation not supported\ntable inet gantry_1 {}\n^^^^',
  );
  assert.equal(error.code, 'unavailable');
  assert.match(error.message, /CONFIG_NF_TABLES_INET/);
});

test('of many complaints the first are told', () => {
  const complaint = 'Error: Could not process rule: No such file or directory';
  assert.equal(refusal(complaint).message, `nftables refused the rules: ${complaint}`);
  assert.equal(refusal(Array(500).fill(complaint).join('\n')).message.split('\n').length, 13);
});

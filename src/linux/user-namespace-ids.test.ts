import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressBytes } from './host-sockets.ts';
import { idsFromZero, isInitialMap, parseIdMap } from './user-namespace-ids.ts';

test('the maps of a user namespace', () => {
  const all = parseIdMap('         0          0 4294967295\n');
  assert.equal(isInitialMap(all), true);
  assert.equal(isInitialMap([]), true, 'a kernel without user namespaces');
  const mapped = parseIdMap('         0       1000          1\n         1     100000      65536\n');
  assert.deepEqual(mapped, [
    { inside: 0, outside: 1000, count: 1 },
    { inside: 1, outside: 100000, count: 65536 },
  ]);
  assert.equal(isInitialMap(mapped), false);
  assert.equal(idsFromZero(mapped), 65537);
  assert.equal(idsFromZero(mapped.toReversed()), 65537);
  assert.equal(idsFromZero(parseIdMap('0 5 10\n20 50 10\n')), 10, 'a gap ends them');
  assert.equal(isInitialMap(parseIdMap('0 0 65536\n')), false);
});

test('the bytes of addresses', () => {
  const hex = (address: string): string => Buffer.from(addressBytes(address)).toString('hex');
  assert.equal(hex('127.0.0.1'), '7f000001');
  assert.equal(hex('::'), '0'.repeat(32));
  assert.equal(hex('::1'), `${'0'.repeat(31)}1`);
  assert.equal(hex('fe80::1:2'), 'fe800000000000000000000000010002');
  assert.equal(hex('2001:db8:1:2:3:4:5:6'), '20010db8000100020003000400050006');
  assert.equal(hex('::ffff:10.1.2.3'), '00000000000000000000ffff0a010203');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress, formatSubnet, overlaps, parseAddress, parseCidr, tryParseAddress } from './address.ts';

test('addresses are printed in their canonical form', () => {
  for (const [text, canonical] of [
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['FD00:0:0:1:0:0:0:1', 'fd00:0:0:1::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['fe80::', 'fe80::'],
  ] as const) {
    assert.equal(formatAddress(parseAddress(text)), canonical);
  }
});

test('what is no address is refused', () => {
  const bad = '1.2.3 1.2.3.256 01.2.3.4 1.2.3.4.5 : ::: 1::2::3 1:2:3:4:5:6:7 g:: 1.2.3.4:: ::1%eth0';
  for (const text of ['', ...bad.split(' ')]) assert.equal(tryParseAddress(text), undefined, text);
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '::/129', '10.0.0.0/08']) {
    assert.throws(() => parseCidr(text), { message: `invalid CIDR address: ${text}` });
  }
});

test('subnets', () => {
  const subnet = (text: string) => parseCidr(text).subnet;
  assert.equal(formatSubnet(subnet('10.1.2.3/16')), '10.1.0.0/16');
  assert.equal(formatSubnet(subnet('fd00::1/64')), 'fd00::/64');
  assert.ok(overlaps(subnet('10.0.0.0/8'), subnet('10.200.0.0/24')));
  assert.ok(overlaps(subnet('10.200.0.0/24'), subnet('10.0.0.0/8')));
  assert.ok(!overlaps(subnet('10.0.0.0/24'), subnet('10.0.1.0/24')));
  assert.ok(!overlaps(subnet('0.0.0.0/0'), subnet('::/0')));
});

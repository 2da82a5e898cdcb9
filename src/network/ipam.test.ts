import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress, formatSubnet, parseAddress, parseCidr } from './address.ts';
import { AddressPool, chooseSubnet, DEFAULT_POOLS } from './ipam.ts';

const subnet = (text: string) => parseCidr(text).subnet;

test('subnets avoid networks and routes of the host', () => {
  const choose = (...taken: string[]) => formatSubnet(chooseSubnet(DEFAULT_POOLS, 4, taken.map(subnet)));
  assert.equal(choose(), '172.17.0.0/16');
  assert.equal(choose('172.16.0.0/12', '192.168.0.0/20'), '192.168.16.0/20');
  assert.equal(choose('172.17.5.0/24', '172.18.0.1/32'), '172.19.0.0/16');
  assert.throws(() => choose('172.16.0.0/12', '192.168.0.0/16'), {
    message: /^all predefined address pools have been fully subnetted/,
  });
});

test('a huge IPv6 pool is searched in steps of its obstacles', () => {
  const pools = [{ base: subnet('fd12::/16'), size: 64 }];
  assert.equal(formatSubnet(chooseSubnet(pools, 6, [subnet('fd12::/20')])), 'fd12:1000::/64');
});

test('addresses are given lowest first, and freed ones rest', () => {
  let clock = 0;
  const reserved = [parseAddress('10.0.0.1')];
  const pool = new AddressPool({ subnet: subnet('10.0.0.0/29'), reserved, clock: () => clock });
  const next = () => formatAddress(pool.allocate('net'));
  assert.deepEqual([next(), next(), next()], ['10.0.0.2', '10.0.0.3', '10.0.0.4']);
  pool.release(parseAddress('10.0.0.2'));
  assert.equal(next(), '10.0.0.5');
  clock = 2000;
  assert.equal(next(), '10.0.0.2');
  pool.release(parseAddress('10.0.0.3'));
  assert.deepEqual([next(), next()], ['10.0.0.6', '10.0.0.3']);
  assert.throws(next, {
    code: 'conflict',
    message: "no available IPv4 addresses on this network's address pools: net",
  });
});

test('static addresses', () => {
  const pool = new AddressPool({
    subnet: subnet('10.0.0.0/24'),
    range: subnet('10.0.0.128/25'),
    reserved: [parseAddress('10.0.0.1')],
  });
  assert.equal(formatAddress(pool.allocate('net')), '10.0.0.128');
  pool.claim(parseAddress('10.0.0.9'));
  assert.throws(() => pool.claim(parseAddress('10.0.0.9')), { code: 'conflict', message: 'Address already in use' });
  assert.throws(() => pool.claim(parseAddress('10.0.0.1')), { code: 'conflict' });
  assert.throws(() => pool.claim(parseAddress('10.0.1.1')), { code: 'invalid-argument' });
});

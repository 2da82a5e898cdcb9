import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkCreateRequest } from '../../api/network.ts';
import { formatSubnet, type Subnet } from '../../network/address.ts';
import { networkRecord, uniqueLocalPool } from './network-request.ts';

const subnets = {
  free: (family: 4 | 6) =>
    family === 4 ? { Subnet: '172.18.0.0/16', Gateway: '172.18.0.1' } : { Subnet: 'fd00::/64', Gateway: 'fd00::1' },
  check: (_subnet: Subnet) => undefined,
};
const record = (request: Partial<NetworkCreateRequest>) => networkRecord({ Name: 'net', ...request }, subnets);

test('what is not said is filled in', () => {
  const made = record({});
  assert.deepEqual(made.ipam, [{ Subnet: '172.18.0.0/16', Gateway: '172.18.0.1' }]);
  assert.equal(made.interface, `br-${made.id.slice(0, 12)}`);
  assert.deepEqual([made.ipv4, made.ipv6, made.ownSubnet], [true, false, false]);
});

test('subnets of each family, asked for or found', () => {
  const made = record({ EnableIPv6: true, IPAM: { Config: [{ Subnet: 'fd12:3456::/64' }] } });
  assert.deepEqual(made.ipam, [
    { Subnet: 'fd12:3456::/64', Gateway: 'fd12:3456::1' },
    { Subnet: '172.18.0.0/16', Gateway: '172.18.0.1' },
  ]);
  assert.deepEqual(record({ EnableIPv4: false, EnableIPv6: true }).ipam, [{ Subnet: 'fd00::/64', Gateway: 'fd00::1' }]);
});

test('what can never be is refused', () => {
  const config = (Config: NonNullable<NonNullable<NetworkCreateRequest['IPAM']>['Config']>) => ({ IPAM: { Config } });
  for (const [request, message] of [
    [{ Name: ' ' }, /needs a name/],
    [{ Name: 'host' }, /predefined host network/],
    [{ Driver: 'null' }, /only one instance of "null" network is allowed/],
    [{ Driver: 'overlay' }, /not there yet/],
    [{ ConfigOnly: true }, /not there yet/],
    [{ EnableIPv4: false }, /IPv4 or IPv6 must be enabled/],
    [{ Driver: 'macvlan' }, /-o parent=/],
    [config([{ Subnet: '10.0.0.0/33' }]), /invalid subnet 10\.0\.0\.0\/33: invalid CIDR block notation/],
    [config([{ Subnet: '10.0.0.9/24' }]), /it should be 10\.0\.0\.0\/24/],
    [
      config([{ Subnet: '10.0.0.0/24', Gateway: '10.0.1.1' }]),
      /invalid gateway 10\.0\.1\.1: parent subnet is 10\.0\.0\.0\/24/,
    ],
    [config([{ Subnet: '10.0.0.0/24', IPRange: '10.0.0.0/16' }]), /invalid ip-range/],
    [config([{ Subnet: '10.0.0.0/24' }, { Subnet: '10.0.1.0/24' }]), /multiple subnets/],
    [{ Options: { 'com.docker.network.bridge.name': 'a/b' } }, /invalid name of an interface/],
    [{ Options: { 'com.docker.network.bridge.gateway_mode_ipv4': 'routed' } }, /not there yet/],
  ] as const) {
    assert.throws(() => record(request), { message }, JSON.stringify(request));
  }
});

test('labels and options of any name are plain data', () => {
  const labels = JSON.parse('{"__proto__":"x","constructor":"y"}') as Record<string, string>;
  assert.deepEqual(Object.keys(record({ Labels: labels }).labels), ['__proto__', 'constructor']);
});

test('each engine has its own unique local prefix', () => {
  assert.match(formatSubnet(uniqueLocalPool('/a').base), /^fd[0-9a-f]{2}:[0-9a-f:]+\/48$/);
  assert.notEqual(formatSubnet(uniqueLocalPool('/a').base), formatSubnet(uniqueLocalPool('/b').base));
});

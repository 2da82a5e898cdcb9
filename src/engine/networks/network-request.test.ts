import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkCreateRequest } from '../../api/network.ts';
import { formatSubnet, type Subnet } from '../../network/address.ts';
import { withConfiguration } from './configuration-network.ts';
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
    [{ Driver: 'overlay' }, /needs a swarm/],
    [{ ConfigOnly: true, Internal: true }, /^configuration network can only contain network specific fields\./],
    [{ ConfigOnly: true, ConfigFrom: { Network: 'a' } }, /cannot depend on another configuration network/],
    [{ Ingress: true }, /^Ingress network can only be global scope network$/],
    [{ Scope: 'swarm' }, /^cannot create a swarm scoped network when swarm is not active$/],
    [
      config([{ Subnet: '10.0.0.0/24', Gateway: '10.0.0.0' }]),
      /^failed to allocate gateway \(10\.0\.0\.0\): Address already in use$/,
    ],
    [
      config([{ Subnet: '10.0.0.0/24', AuxiliaryAddresses: { a: '10.0.0.1' } }]),
      /^failed to allocate secondary ip address \(a:10\.0\.0\.1\): Address already in use$/,
    ],
    [
      { Options: { 'com.docker.network.bridge.gateway_mode_ipv4': 'x' } },
      /^failed to parse com\.docker\.network\.bridge\.gateway_mode_ipv4 value: x \(unknown gateway mode x\)$/,
    ],
    [
      { Options: { 'com.docker.network.bridge.gateway_mode_ipv4': 'isolated' } },
      /^gateway mode 'isolated' can only be used for an internal network$/,
    ],
    [{ Options: { 'com.docker.network.bridge.trusted_host_interfaces': 'eth0:a"b' } }, /invalid name of an interface/],
    [{ EnableIPv6: true, Options: { 'com.docker.network.driver.mtu': '1000' } }, /IPv6 needs at least 1280/],
    [{ EnableIPv4: false }, /IPv4 or IPv6 must be enabled/],
    [{ Driver: 'macvlan', Options: { parent: 'lo' } }, /^loopback interface is not a valid macvlan parent link$/],
    [
      { Driver: 'ipvlan', Options: { ipvlan_mode: 'l4' } },
      /^requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default$/,
    ],
    [
      { Driver: 'ipvlan', Options: { ipvlan_flag: 'x' } },
      /^requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default$/,
    ],
    [config([{ Subnet: '10.0.0.0/33' }]), /invalid subnet 10\.0\.0\.0\/33: invalid CIDR block notation/],
    [config([{ Subnet: '10.0.0.9/24' }]), /it should be 10\.0\.0\.0\/24/],
    [
      config([{ Subnet: '10.0.0.0/24', Gateway: '10.0.1.1' }]),
      /invalid gateway 10\.0\.1\.1: parent subnet is 10\.0\.0\.0\/24/,
    ],
    [config([{ Subnet: '10.0.0.0/24', IPRange: '10.0.0.0/16' }]), /invalid ip-range/],
    [config([{ Subnet: '10.0.0.0/24' }, { Subnet: '10.0.1.0/24' }]), /multiple subnets/],
    [{ Options: { 'com.docker.network.bridge.name': 'a/b' } }, /invalid name of an interface/],
  ] as const) {
    assert.throws(() => record(request), { message }, JSON.stringify(request));
  }
});

test('beside a link there is a gateway where there are neighbours', () => {
  const made = (Driver: string, Options: Record<string, string>, more: Partial<NetworkCreateRequest> = {}) =>
    record({ Driver, Options, ...more });
  const Subnet = '172.18.0.0/16';
  const withGateway = [{ Subnet, Gateway: '172.18.0.1' }];
  assert.deepEqual(made('ipvlan', { parent: 'eth0' }).ipam, withGateway);
  assert.deepEqual(made('macvlan', { parent: 'eth0' }).ipam, withGateway);
  for (const one of [
    made('ipvlan', { parent: 'eth0', ipvlan_mode: 'l3' }),
    made('ipvlan', { parent: 'eth0', ipvlan_mode: 'l3s' }),
    made('ipvlan', { parent: 'eth0' }, { Internal: true }),
    made('ipvlan', {}),
    made('macvlan', {}),
  ]) {
    assert.deepEqual(one.ipam, [{ Subnet }]);
    assert.ok(!one.internal || one.options['parent'] === 'eth0');
  }
  assert.match(made('ipvlan', {}).interface, /^di-[0-9a-f]{12}$/);
  assert.match(made('macvlan', {}).interface, /^dm-[0-9a-f]{12}$/);
});

test('labels and options of any name are plain data', () => {
  const labels = JSON.parse('{"__proto__":"x","constructor":"y"}') as Record<string, string>;
  assert.deepEqual(Object.keys(record({ Labels: labels }).labels), ['__proto__', 'constructor']);
});

test('each engine has its own unique local prefix', () => {
  assert.match(formatSubnet(uniqueLocalPool('/a').base), /^fd[0-9a-f]{2}:[0-9a-f:]+\/48$/);
  assert.notEqual(formatSubnet(uniqueLocalPool('/a').base), formatSubnet(uniqueLocalPool('/b').base));
});

test('where the host takes no part there is no gateway', () => {
  const isolated = record({ Internal: true, Options: { 'com.docker.network.bridge.gateway_mode_ipv4': 'isolated' } });
  assert.deepEqual(isolated.ipam, [{ Subnet: '172.18.0.0/16' }]);
});

test('a configuration is kept as it was asked for, and completes the networks that name it', () => {
  const options = { 'com.docker.network.driver.mtu': '1400' };
  const ipam = { Config: [{ Subnet: '10.9.0.0/24' }] };
  const made = record({ ConfigOnly: true, Options: options, Labels: { a: '1' }, IPAM: ipam });
  assert.deepEqual([made.driver, made.interface, made.ipam], ['null', '', ipam.Config]);
  const find = (name: string) => (name === 'net' ? made : undefined);
  const request = { Name: 'user', ConfigFrom: { Network: 'net' }, Internal: true };
  const user = networkRecord(withConfiguration(request, find), subnets);
  assert.deepEqual(user.ipam, [{ Subnet: '10.9.0.0/24', Gateway: '10.9.0.1' }]);
  assert.deepEqual([user.options, user.labels, user.internal, user.configFrom], [options, { a: '1' }, true, 'net']);
  for (const [change, message] of [
    [{ ConfigFrom: { Network: 'nope' } }, /^configuration network "nope" does not exist$/],
    [{ Options: { a: 'b' } }, /^network driver options are not supported if/],
    [{ Labels: { a: 'b' } }, /^user specified configurations are not supported if/],
    [{ EnableIPv6: true }, /^user specified configurations are not supported if/],
  ] as const) {
    assert.throws(() => withConfiguration({ ...request, ...change }, find), { message });
  }
});

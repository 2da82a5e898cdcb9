import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePort, portRequests } from './ports.ts';

test('bindings of a create request, in the order of the ports', () => {
  assert.deepEqual(
    portRequests({
      '443/tcp': [{ HostIp: '127.0.0.1', HostPort: '8000-8010' }],
      '53/udp': [
        { HostIp: '', HostPort: '53' },
        { HostIp: '::1', HostPort: '0' },
      ],
      '80': null,
    }),
    [
      { protocol: 'udp', port: 53, hostAddress: '', hostPorts: { first: 53, last: 53 } },
      { protocol: 'udp', port: 53, hostAddress: '::1', hostPorts: undefined },
      { protocol: 'tcp', port: 80, hostAddress: '', hostPorts: undefined },
      { protocol: 'tcp', port: 443, hostAddress: '127.0.0.1', hostPorts: { first: 8000, last: 8010 } },
    ],
  );
});

test('what is no port is refused', () => {
  for (const text of ['', '0', '65536', '80/', '80/icmp', '80/tcp/x', '-1', '8e1', ' 80']) {
    assert.throws(() => parsePort(text), { code: 'invalid-argument' }, text);
  }
  for (const HostPort of ['x', '70000', '20-10', '1-2-3', '1.5']) {
    assert.throws(() => portRequests({ '80/tcp': [{ HostIp: '', HostPort }] }), { code: 'invalid-argument' }, HostPort);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortAllocator } from './port-allocator.ts';
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

test('ports take no more descriptors than leave some for everything else, all of them or none', () => {
  const allocator = new PortAllocator({ relayed: false, isSealed: () => false, nameOf: (id) => id, most: 3 });
  const target = { ipv4: '10.0.0.2', ipv6: undefined, routed: [] };
  const requests = [1, 2, 3, 4].map((port) => ({
    protocol: 'tcp' as const,
    hostAddress: '127.0.0.1',
    hostPorts: undefined,
    port,
  }));
  try {
    assert.equal(allocator.allocate('a', requests.slice(0, 2), target).length, 2);
    assert.throws(() => allocator.allocate('b', requests.slice(2), target), {
      code: 'conflict',
      message: /2 ports are published, and 2 more would leave the engine too few descriptors/,
    });
    allocator.release('a');
    assert.equal(allocator.allocate('b', requests.slice(2), target).length, 2);
  } finally {
    allocator.close();
  }
});

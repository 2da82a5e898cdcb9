import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { NetworkNamespace } from '../../src/linux/network-namespace.ts';
import { addressOn, Lab, type LabContainer, LabEngine } from './lab.ts';

const root = { skip: process.getuid?.() === 0 ? false : 'needs root' };

let lab: Lab;
let engine: LabEngine;
let neighbour: NetworkNamespace;
let web: LabContainer;
let other: LabContainer;

before(async () => {
  if (root.skip !== false) return;
  lab = new Lab();
  neighbour = lab.neighbour('wire0', ['198.51.100.1/24'], ['198.51.100.2/24']);
  engine = new LabEngine(lab);
  web = await engine.start('web', {
    PortBindings: {
      '80/tcp': [{ HostIp: '', HostPort: '8080' }],
      '81/tcp': [{ HostIp: '127.0.0.1', HostPort: '8081' }],
      '82/tcp': [{ HostIp: '198.51.100.1', HostPort: '8082' }],
    },
  });
  other = await engine.start('other');
  for (const port of [80, 81, 82, 83]) lab.serve(web.namespace, port);
  lab.serve(neighbour, 7000);
  lab.serve(other.namespace, 80);
});

after(async () => {
  if (root.skip !== false) return;
  await engine.close();
  lab[Symbol.dispose]();
});

test('who reaches what', root, async () => {
  const inside = addressOn(web);
  const outside = '198.51.100.1';
  const gateway = '172.17.0.1';
  const rows: [string, NetworkNamespace, string, number, string | RegExp][] = [
    ['localhost to a published port', lab.host, '127.0.0.1', 8080, `from ${gateway}`],
    ['localhost by IPv6', lab.host, '::1', 8080, `from ${gateway}`],
    ["the host's address, from the host", lab.host, outside, 8080, `from ${outside}`],
    ['localhost to a port of 127.0.0.1', lab.host, '127.0.0.1', 8081, `from ${gateway}`],
    ["the host to the container's address", lab.host, inside, 83, `from ${gateway}`],
    ['a neighbour to a published port keeps its address', neighbour, outside, 8080, 'from 198.51.100.2'],
    ['a neighbour to a port of that address', neighbour, outside, 8082, 'from 198.51.100.2'],
    ['a neighbour to a port of 127.0.0.1', neighbour, outside, 8081, /ECONNREFUSED|no answer/],
    ['a neighbour routing 127.0.0.1 to us', neighbour, '127.0.0.1', 8081, /ECONNREFUSED|no answer/],
    ["a neighbour to the container's published port by its own address", neighbour, inside, 80, 'no answer'],
    ['the same, published on 127.0.0.1', neighbour, inside, 81, 'no answer'],
    ['the same, not published', neighbour, inside, 83, 'no answer'],
    ['a container to its neighbour', other.namespace, inside, 83, `from ${addressOn(other)}`],
    ['a container to a published port of its own network', other.namespace, outside, 8080, `from ${gateway}`],
    ['a container to its own published port', web.namespace, outside, 8080, `from ${gateway}`],
    ['a container to the gateway', other.namespace, gateway, 8080, `from ${gateway}`],
    ['a container to a port of 127.0.0.1 of the host', other.namespace, gateway, 8081, /ECONNREFUSED|no answer/],
    ['a container to the world outside', other.namespace, '198.51.100.2', 7000, 'from 198.51.100.1'],
  ];
  const table = await Promise.all(
    rows.map(async ([what, from, address, port, expected]) => {
      const got = await lab.ask(from, address, port);
      return { what, ok: typeof expected === 'string' ? got === expected : expected.test(got), got };
    }),
  );
  assert.deepEqual(
    table.filter((row) => !row.ok),
    [],
  );
});

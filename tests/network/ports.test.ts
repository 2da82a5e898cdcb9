import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { NetworkNamespace } from '../../src/linux/network-namespace.ts';
import { applyNftables } from '../../src/linux/nft.ts';
import { addressOn, Lab, type LabContainer, LabEngine } from './lab.ts';

const root = { skip: process.getuid?.() === 0 ? false : 'needs root' };

let lab: Lab;
let engine: LabEngine;
let neighbour: NetworkNamespace;

before(() => {
  if (root.skip !== false) return;
  lab = new Lab();
  engine = new LabEngine(lab);
  neighbour = lab.neighbour('wire0', ['198.51.100.1/24'], ['198.51.100.2/24']);
});

after(async () => {
  if (root.skip !== false) return;
  await engine.close();
  lab[Symbol.dispose]();
});

test('udp, from a neighbour and by both families of localhost', root, async () => {
  const web = await engine.start('dns', {
    PortBindings: {
      '53/udp': [{ HostIp: '', HostPort: '5353' }],
      '54/udp': [{ HostIp: '127.0.0.1', HostPort: '5454' }],
    },
  });
  lab.echo(web.namespace, 53);
  lab.echo(web.namespace, 54);
  assert.equal(await lab.askByUdp(neighbour, '198.51.100.1', 5353), 'from 198.51.100.2');
  assert.equal(await lab.askByUdp(lab.host, '127.0.0.1', 5353), 'from 172.17.0.1');
  assert.equal(await lab.askByUdp(lab.host, '::1', 5353), 'from 172.17.0.1');
  assert.equal(await lab.askByUdp(lab.host, '127.0.0.1', 5454), 'from 172.17.0.1');
  assert.equal(await lab.askByUdp(neighbour, '198.51.100.1', 5454), 'no answer');
  await engine.stop(web);
});

test('ranges, random ports, all exposed ports', root, async () => {
  const ports = (container: LabContainer, key: string) =>
    container.attachment!.ports[key]!.map(({ HostIp, HostPort }) => `${HostIp} ${HostPort}`);
  const range = { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '9000-9001' }] } };
  const one = await engine.start('one', range);
  const two = await engine.start('two', range);
  assert.deepEqual(ports(one, '80/tcp'), ['0.0.0.0 9000', ':: 9000']);
  assert.deepEqual(ports(two, '80/tcp'), ['0.0.0.0 9001', ':: 9001']);
  await assert.rejects(engine.start('three', range), {
    message: /Bind for 0\.0\.0\.0:9000 failed: port is already allocated/,
  });
  const all = await engine.start(
    'all',
    { PublishAllPorts: true },
    {},
    { ExposedPorts: { '80/tcp': {}, '53/udp': {} } },
  );
  assert.match(ports(all, '80/tcp')[0]!, /^0\.0\.0\.0 \d{5}$/);
  assert.match(ports(all, '53/udp')[0]!, /^0\.0\.0\.0 \d{5}$/);
  for (const container of [one, two, all]) await engine.stop(container);
});

test('a port that a process of the host has is refused by its name, and is taken once it is free', root, async () => {
  const request = { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '9100' }] } };
  lab.serve(lab.host, 9100, '127.0.0.1');
  await assert.rejects(engine.start('late', request), {
    message: new RegExp(
      `Bind for 127\\.0\\.0\\.1:9100 failed: port is already allocated \\(by .* \\(pid ${process.pid}\\); 9101 is free\\)`,
    ),
  });
  assert.equal(engine.containers.size, 0);
  lab.hush(lab.host);
  const late = await engine.start('late', request);
  await engine.stop(late);
  const again = await engine.start('again', request);
  assert.equal(addressOn(again).startsWith('172.17.0.'), true);
  await engine.stop(again);
});

test(
  'rules that somebody flushed come back, at the latest with the next change; localhost works meanwhile',
  root,
  async () => {
    const web = await engine.start('web', { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '9200' }] } });
    lab.serve(web.namespace, 80);
    await applyNftables('flush ruleset\n');
    assert.equal(await lab.ask(lab.host, '127.0.0.1', 9200), 'from 172.17.0.1');
    const next = await engine.start('next', { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '9201' }] } });
    assert.equal(await lab.ask(neighbour, '198.51.100.1', 9200), 'from 198.51.100.2');
    for (const container of [web, next]) await engine.stop(container);
  },
);

test('a firewall of the host that drops what is forwarded is reported, and left alone', root, async () => {
  await applyNftables(
    'table ip filter {\nchain FORWARD {\ntype filter hook forward priority filter; policy drop;\n}\n}\n',
  );
  await engine.opened.networks.create({ Name: 'walled' });
  for (
    const end = Date.now() + 2000;
    Date.now() < end && engine.notes.every((note) => !/drops forwarded/.test(note));
  ) {
    await setTimeout(10);
  }
  assert.match(engine.notes.join('\n'), /the host's firewall drops forwarded packets \(FORWARD of table ip filter\)/);
  await engine.opened.networks.remove('walled');
  await applyNftables('delete table ip filter\n');
});

test('ports are published and taken back while the container runs', root, async () => {
  const { networking } = engine.opened;
  const web = await engine.start('web', { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '9300' }] } });
  const taken = await engine.start('taken', { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '9302' }] } });
  lab.serve(web.namespace, 80);
  lab.serve(web.namespace, 81);
  const reach = (port: number) => lab.ask(neighbour, '198.51.100.1', port);
  const port = (number: string) => [{ HostIp: '', HostPort: number }];

  const added = await networking.changePorts(web.id, { remove: {}, add: { '81/tcp': port('9301') } });
  assert.deepEqual(Object.keys(added.ports), ['80/tcp', '81/tcp']);
  assert.deepEqual(await Promise.all([reach(9300), reach(9301)]), ['from 198.51.100.2', 'from 198.51.100.2']);
  assert.equal(await lab.ask(lab.host, '::1', 9301), 'from 172.17.0.1');

  await assert.rejects(
    networking.changePorts(web.id, { remove: { '80/tcp': null }, add: { '82/tcp': port('9302') } }),
    {
      message: /Bind for 0\.0\.0\.0:9302 failed: port is already allocated \(by container taken/,
    },
  );
  assert.equal(await reach(9300), 'from 198.51.100.2', 'a change that fails changes nothing');

  // the same port of the host, to another one inside
  const moved = await networking.changePorts(web.id, { remove: { '80/tcp': null }, add: { '81/tcp': port('9300') } });
  assert.deepEqual(Object.keys(moved.ports), ['81/tcp']);
  assert.equal(moved.ports['81/tcp']!.length, 4);
  const gone = await networking.changePorts(web.id, { remove: { '81/tcp': port('9301') }, add: {} });
  assert.deepEqual(
    gone.ports['81/tcp']!.map(({ HostPort }) => HostPort),
    ['9300', '9300'],
  );
  assert.equal(await reach(9300), 'from 198.51.100.2');
  assert.match(await reach(9301), /ECONNREFUSED|no answer/);
  assert.equal(await lab.ask(lab.host, '127.0.0.1', 9301), 'ECONNREFUSED');
  for (const container of [web, taken]) await engine.stop(container);
});

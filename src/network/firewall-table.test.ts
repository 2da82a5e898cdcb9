import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FirewallBridge, PublishedPort } from './firewall.ts';
import { FirewallTable } from './firewall-table.ts';

const bridge: FirewallBridge = {
  name: 'br0',
  subnets: ['10.0.0.0/24'],
  masquerade: true,
  internal: false,
  communication: true,
  modes: { 4: 'nat', 6: 'nat' },
  trusted: [],
};
const port = (hostPort: number): PublishedPort => ({
  hostAddress: undefined,
  protocol: 'tcp',
  hostPort,
  address: '10.0.0.2',
  port: 80,
});

test('changes that come during a transaction go together in the next one', async () => {
  const applied: string[] = [];
  const table = new FirewallTable('t', async (text) => {
    applied.push(text);
    await Promise.resolve();
  });
  await table.setBridge(bridge);
  await table.setBridge({ ...bridge });
  assert.equal(applied.length, 1);
  await Promise.all([1, 2, 3, 4].map((at) => table.addPorts(`c${at}`, [port(at)])));
  assert.equal(applied.length, 3);
  assert.match(applied[1]!, /^add element inet t publish4_any \{ tcp \. 1 : 10\.0\.0\.2 \. 80 \}\n$/);
  assert.equal(applied[2]!.split('\n').length, 4);
  await table.removePorts('c1');
  assert.equal(applied[3], 'delete element inet t publish4_any { tcp . 1 }\n');
});

test('a change that fails is followed by the whole table', async () => {
  const applied: string[] = [];
  let fail = false;
  const table = new FirewallTable('t', async (text) => {
    if (fail && !text.startsWith('table')) throw new Error('No such file or directory');
    applied.push(text);
  });
  await table.setBridge(bridge);
  fail = true;
  await table.addPorts('c', [port(80)]);
  assert.match(applied[1]!, /^table inet t \{\}\ndelete table inet t\ntable inet t/);
  assert.match(applied[1]!, /tcp \. 80 : 10\.0\.0\.2 \. 80/);
  await table.removeBridge('br0');
  assert.equal(applied[2], 'table inet t {}\ndelete table inet t\n');
});

test('what the kernel refuses is said to the one who asked', async () => {
  const table = new FirewallTable('t', () => Promise.reject(new Error('refused')));
  await assert.rejects(table.setBridge(bridge), { message: 'refused' });
});

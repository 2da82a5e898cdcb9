import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changePorts, type FirewallBridge, type PublishedPort, removeTable, replaceTable } from './firewall.ts';

const bridge: FirewallBridge = {
  name: 'br0',
  subnets: ['10.0.0.0/24', 'fd00::/64'],
  masquerade: true,
  internal: false,
  communication: true,
  modes: { 4: 'nat', 6: 'nat' },
  trusted: [],
};
const ports: PublishedPort[] = [
  { hostAddress: undefined, protocol: 'tcp', hostPort: 8080, address: '10.0.0.2', port: 80 },
  { hostAddress: '127.0.0.1', protocol: 'udp', hostPort: 53, address: '10.0.0.2', port: 53 },
  { hostAddress: undefined, protocol: 'tcp', hostPort: 8080, address: 'fd00::2', port: 80 },
  { hostAddress: '2001:db8::1', protocol: 'sctp', hostPort: 9, address: 'fd00::2', port: 9 },
];

test('each port is an element of the map of its family', () => {
  assert.equal(
    changePorts('t', 'add', ports),
    'add element inet t publish4_any { tcp . 8080 : 10.0.0.2 . 80 }\n' +
      'add element inet t publish4 { 127.0.0.1 . udp . 53 : 10.0.0.2 . 53 }\n' +
      'add element inet t publish6_any { tcp . 8080 : fd00::2 . 80 }\n' +
      'add element inet t publish6 { 2001:db8::1 . sctp . 9 : fd00::2 . 9 }\n',
  );
  assert.equal(changePorts('t', 'delete', ports.slice(0, 1)), 'delete element inet t publish4_any { tcp . 8080 }\n');
});

test('the whole table is one transaction, and the same for the same state', () => {
  const text = replaceTable('t', { bridges: [bridge], ports, relayed: false });
  assert.ok(text.startsWith(removeTable('t')));
  assert.equal(text, replaceTable('t', { bridges: [bridge], ports: [...ports], relayed: false }));
  assert.match(text, /map publish4_any \{[^}]*elements = \{ tcp \. 8080 : 10\.0\.0\.2 \. 80 \}/);
});

test('what a network may do', () => {
  const rules = (change: Partial<FirewallBridge>) =>
    replaceTable('t', { bridges: [{ ...bridge, ...change }], ports: [], relayed: false });
  const accept = 'iifname "br0" oifname "br0" accept';
  assert.ok(rules({}).includes(accept));
  assert.ok(!rules({ communication: false }).includes(accept));
  assert.match(rules({ internal: true }), /set internal \{\n\s+type ifname\n\s+elements = \{ "br0" \}/);
  assert.match(rules({}), /set masquerade6 \{[^}]*elements = \{ fd00::\/64 \}/);
  assert.doesNotMatch(rules({ internal: true }), /elements = \{ 10\.0\.0\.0/);
  assert.doesNotMatch(rules({ masquerade: false }), /elements = \{ 10\.0\.0\.0/);
});

test('containers of a network that is routed, unprotected or trusting are reached by their own addresses', () => {
  const rules = (change: Partial<FirewallBridge>) =>
    replaceTable('t', { bridges: [{ ...bridge, ...change }], ports: [], relayed: false });
  const published = 'ip daddr . meta l4proto . th dport @direct4 accept';
  const routed = rules({ modes: { 4: 'routed', 6: 'nat' } });
  assert.ok(routed.includes(`iifname != "br0" oifname "br0" ${published}`));
  assert.doesNotMatch(routed, /set masquerade4 \{[^}]*elements/);
  assert.match(routed, /set masquerade6 \{[^}]*elements/);
  const open = rules({ modes: { 4: 'nat', 6: 'nat-unprotected' } });
  assert.ok(open.includes('iifname != @bridges oifname "br0" meta nfproto ipv6 accept'));
  assert.ok(!open.includes('meta nfproto ipv4'));
  assert.ok(rules({ trusted: ['eth0', 'eth1'] }).includes(`iifname { "eth0", "eth1" } oifname "br0" ${published}`));
  const direct: PublishedPort = { ...ports[0]!, hostPort: undefined };
  assert.equal(changePorts('t', 'add', [direct]), 'add element inet t direct4 { 10.0.0.2 . tcp . 80 }\n');
  assert.equal(changePorts('t', 'delete', [direct]), 'delete element inet t direct4 { 10.0.0.2 . tcp . 80 }\n');
});

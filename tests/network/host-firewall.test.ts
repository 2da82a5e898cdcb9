import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { NetworkNamespace } from '../../src/linux/network-namespace.ts';
import { applyNftables } from '../../src/linux/nft.ts';
import { Lab, type LabContainer, LabEngine } from './lab.ts';

const root = { skip: process.getuid?.() === 0 ? false : 'needs root' };

let lab: Lab;
let engine: LabEngine;
let neighbour: NetworkNamespace;
let web: LabContainer;

/** As ufw leaves a host: nothing comes in but what is allowed, nothing is forwarded. */
const HOST_RULES = `
table inet host {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname "lo" accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    meta l4proto { tcp, udp } th dport { 8080, 8053 } accept
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
  }
}
`;

before(async () => {
  if (root.skip !== false) return;
  lab = new Lab();
  neighbour = lab.neighbour('wire0', ['198.51.100.1/24', '2001:db8::1/64'], ['198.51.100.2/24', '2001:db8::2/64']);
  await applyNftables(HOST_RULES);
  engine = new LabEngine(lab, { respectHostFirewall: true });
  await engine.opened.networks.create({ Name: 'dual', EnableIPv6: true });
  const on = (HostPort: string) => [{ HostIp: '', HostPort }];
  web = await engine.start('web', {
    NetworkMode: 'dual',
    PortBindings: { '80/tcp': on('8080'), '81/tcp': on('8081'), '53/udp': on('8053'), '54/udp': on('8054') },
  });
  for (const address of ['0.0.0.0', '::']) for (const port of [80, 81]) lab.serve(web.namespace, port, address);
  for (const family of [4, 6] as const) for (const port of [53, 54]) lab.echo(web.namespace, port, family);
});

after(async () => {
  if (root.skip !== false) return;
  await engine.close();
  lab[Symbol.dispose]();
});

test("clients from outside come in where the host's rules for input let them", root, async () => {
  const gateway = { 4: web.attachment!.endpoints['dual']!.Gateway, 6: web.attachment!.endpoints['dual']!.IPv6Gateway };
  const [v4, v6] = ['198.51.100.1', '2001:db8::1'];
  assert.deepEqual(
    await Promise.all([
      lab.ask(neighbour, v4, 8080),
      lab.ask(neighbour, v6, 8080),
      lab.ask(neighbour, v4, 8081),
      lab.ask(neighbour, v6, 8081),
      lab.askByUdp(neighbour, v4, 8053),
      lab.askByUdp(neighbour, v6, 8053),
      lab.askByUdp(neighbour, v4, 8054),
      lab.askByUdp(neighbour, v6, 8054),
    ]),
    [
      `from ${gateway[4]}`,
      `from ${gateway[6]}`,
      'no answer',
      'no answer',
      `from ${gateway[4]}`,
      `from ${gateway[6]}`,
      'no answer',
      'no answer',
    ],
  );
});

test('the host itself needs no leave, other containers do', root, async () => {
  const other = await engine.start('other', { NetworkMode: 'dual' });
  const { Gateway } = web.attachment!.endpoints['dual']!;
  assert.equal(await lab.ask(lab.host, '127.0.0.1', 8081), `from ${Gateway}`);
  assert.equal(await lab.ask(lab.host, '::1', 8081), `from ${web.attachment!.endpoints['dual']!.IPv6Gateway}`);
  assert.equal(await lab.ask(other.namespace, Gateway!, 8080), `from ${Gateway}`);
  assert.equal(await lab.ask(other.namespace, Gateway!, 8081), 'no answer');
  await engine.stop(other);
});

test('sctp, which nobody can pass on, is refused', root, async () => {
  const request = { NetworkMode: 'dual', PortBindings: { '9/sctp': [{ HostIp: '', HostPort: '9' }] } };
  await assert.rejects(engine.start('sctp', request), {
    message: /sctp cannot be published while the host's firewall decides/,
  });
});

test("a network's own address for its ports", root, async () => {
  const { networks } = engine.opened;
  const Options = { 'com.docker.network.bridge.host_binding_ipv4': '127.0.0.1' };
  await networks.create({ Name: 'private', Options });
  const one = await engine.start('one', {
    NetworkMode: 'private',
    PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8090' }] },
  });
  assert.deepEqual(one.attachment!.ports['80/tcp'], [{ HostIp: '127.0.0.1', HostPort: '8090' }]);
  await engine.stop(one);
  const wrong = { 'com.docker.network.bridge.host_binding_ipv4': 'everywhere' };
  await assert.rejects(networks.create({ Name: 'wrong', Options: wrong }), {
    message: /failed to parse .*host_binding_ipv4 value: everywhere/,
  });
});

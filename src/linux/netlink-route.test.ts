import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addressOn,
  changeLinks,
  findLink,
  linkNames,
  linkUp,
  portFlags,
  removeLinkAside,
  RouteNetlink,
} from './netlink-route.ts';
import { NetworkNamespace } from './network-namespace.ts';

const root = { skip: process.getuid?.() === 0 ? false : 'needs root' };

test('a bridge with a veth into another namespace, addresses and a default route', root, async () => {
  using host = NetworkNamespace.create();
  using inside = NetworkNamespace.create();
  using outer = new RouteNetlink(host);
  using inner = new RouteNetlink(inside);

  outer.addBridge('br0', { mac: '02:42:00:00:00:01', mtu: 1400 });
  const bridge = outer.link('br0')!;
  assert.deepEqual([bridge.kind, bridge.mac, bridge.mtu, bridge.up], ['bridge', '02:42:00:00:00:01', 1400, false]);
  outer.addAddress(bridge.index, { bytes: Uint8Array.of(10, 9, 8, 1), prefix: 24 });
  outer.addAddress(bridge.index, { bytes: Uint8Array.of(10, 9, 8, 1), prefix: 24 });
  outer.setUp(bridge.index);
  outer.addVeth({
    name: 'veth1',
    master: bridge.index,
    mtu: 1400,
    peer: { name: 'eth0', mac: '02:42:0a:09:08:02', namespace: inside },
  });
  const port = outer.link('veth1')!;
  assert.deepEqual([port.master, port.up, port.kind], [bridge.index, true, 'veth']);
  await changeLinks([portFlags(port.index, { isolated: true, hairpin: true })], host);

  const eth0 = inner.link('eth0')!;
  assert.equal(eth0.mac, '02:42:0a:09:08:02');
  inner.addAddress(eth0.index, { bytes: Uint8Array.of(10, 9, 8, 2), prefix: 24 });
  inner.setUp(eth0.index);
  inner.setRoute({ gateway: Uint8Array.of(10, 9, 8, 1), link: eth0.index });
  const route = inner.routes().find((found) => !found.destination && found.family === 4);
  assert.deepEqual([...(route?.gateway ?? [])], [10, 9, 8, 1]);
  assert.ok(inner.addresses().some((found) => found.bytes.join('.') === '10.9.8.2' && found.prefix === 24));

  outer.removeLink('veth1');
  outer.removeLink('veth1');
  assert.equal(inner.link('eth0'), undefined);
});

test('a link is taken away aside, and is gone when that is told', root, async () => {
  using namespace = NetworkNamespace.create();
  using links = new RouteNetlink(namespace);
  links.addBridge('br0', { mac: '02:42:00:00:00:01' });
  links.addBridge('br1', { mac: '02:42:00:00:00:02' });
  const bridges = ['br0', 'br1'].map((name) => links.link(name)!);
  await Promise.all(bridges.map((bridge) => removeLinkAside(bridge, namespace)));
  assert.deepEqual([links.link('br0'), links.link('br1')], [undefined, undefined]);
  await removeLinkAside(bridges[0]!, namespace);
});

test('links are changed aside, one after the other, and a refusal keeps none from it', root, async () => {
  using namespace = NetworkNamespace.create();
  using links = new RouteNetlink(namespace);
  links.addBridge('br0', { mac: '02:42:00:00:00:01' });
  const { index } = (await findLink('br0', namespace))!;
  const address = addressOn(index, { bytes: Uint8Array.of(10, 9, 8, 1), prefix: 24 });
  await changeLinks([address, address], namespace); // the second has nothing to do
  const nobody = linkUp(4711);
  await assert.rejects(changeLinks([nobody, linkUp(index)], namespace), {
    code: 'ENODEV',
    message: /set link 4711 up/,
  });
  assert.equal((await findLink('br0', namespace))?.up, true);
  assert.equal(await findLink('br7', namespace), undefined);
  assert.deepEqual(
    (await linkNames(namespace)).filter((name) => name === 'br0'),
    ['br0'],
  );
});

test("errors carry the kernel's words", root, () => {
  using namespace = NetworkNamespace.create();
  using links = new RouteNetlink(namespace);
  links.addBridge('br0', { mac: '02:42:00:00:00:01' });
  assert.throws(() => links.addBridge('br0', { mac: '02:42:00:00:00:01' }), { code: 'EEXIST' });
  assert.throws(() => links.setRoute({ gateway: Uint8Array.of(10, 0, 0, 1), link: 1 }), {
    message: /Nexthop|Network|down|ENETDOWN|ENETUNREACH/,
  });
});

test('sysctls are those of the namespace', root, () => {
  using namespace = NetworkNamespace.create();
  using again = NetworkNamespace.open(namespace.path);
  namespace.setSysctls({ 'ipv4/ip_forward': '1' });
  again.setSysctls({ 'ipv4/ip_forward': '0' });
});

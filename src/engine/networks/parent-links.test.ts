import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ipvlanAttributes, type Link } from '../../linux/netlink-route.ts';
import { parseAttributes } from '../../linux/netlink.ts';
import type { NetworkRecord } from '../../state/networks.ts';
import { ipvlanMode } from './network-options.ts';
import { networkRecord } from './network-request.ts';
import { ParentLinks } from './parent-links.ts';

/** A host's links, of a kernel that has those kinds. */
class FakeLinks {
  readonly made = new Map<string, Link>();
  readonly #kinds: readonly string[];

  constructor(...kinds: readonly string[]) {
    this.#kinds = kinds;
    this.#add('eth0', '');
  }

  #add(name: string, kind: string): void {
    if (kind !== '' && !this.#kinds.includes(kind)) throw Object.assign(new Error(kind), { code: 'EOPNOTSUPP' });
    const index = this.made.size + 1;
    this.made.set(name, { index, name, kind, up: false, master: 0, mtu: 1500, mac: '', alias: '' });
  }

  #change(index: number, change: Partial<Link>): void {
    const link = [...this.made.values()].find((one) => one.index === index)!;
    this.made.set(link.name, { ...link, ...change });
  }

  links = (): Link[] => [...this.made.values()];
  link = (name: string): Link | undefined => this.made.get(name);
  hasKind = (kind: string): boolean => this.#kinds.includes(kind);
  addDummy = (name: string): void => this.#add(name, 'dummy');
  addVlan = ({ name }: { name: string }): void => this.#add(name, 'vlan');
  setAlias = (index: number, alias: string): void => this.#change(index, { alias });
  setUp = (index: number, up = true): void => this.#change(index, { up });
  removeLink = (name: string): void => void this.made.delete(name);
}

const subnets = { free: () => ({ Subnet: '10.9.0.0/24', Gateway: '10.9.0.1' }), check: () => undefined };
const network = (Driver: string, Options: Record<string, string> = {}): NetworkRecord =>
  networkRecord({ Name: 'n', Driver, Options }, subnets);

test('a parent is found, made, shared, and goes with the last network beside it', () => {
  const links = new FakeLinks('macvlan', 'ipvlan', 'dummy', 'vlan');
  const parents = new ParentLinks(links, 'ours');
  assert.equal(parents.ensure(network('ipvlan', { parent: 'eth0' }), []), 1);
  const [lonely, first, second] = [
    network('ipvlan'),
    network('macvlan', { parent: 'eth0.7' }),
    network('macvlan', { parent: 'eth0.7' }),
  ];
  for (const one of [lonely, first, second]) parents.ensure(one, [first]);
  const made = [lonely.interface, 'eth0.7'].map((name) => links.link(name));
  assert.deepEqual(
    made.map((link) => [link?.kind, link?.up, link?.alias]),
    [
      ['dummy', true, 'ours'],
      ['vlan', true, 'ours'],
    ],
  );
  parents.withdraw(lonely, []);
  parents.withdraw(first, [first, second]);
  assert.deepEqual([...links.made.keys()], ['eth0', 'eth0.7']);
  parents.withdraw(second, [second]);
  parents.withdraw(network('macvlan', { parent: 'eth0' }), []);
  assert.deepEqual([...links.made.keys()], ['eth0']);
});

test('what cannot be is said in Docker’s words, or by what the kernel lacks', () => {
  const parents = new ParentLinks(new FakeLinks('macvlan', 'ipvlan', 'vlan'), 'ours');
  const [beside, pass] = [network('macvlan', { parent: 'eth0' }), network('ipvlan', { parent: 'eth0' })];
  const alone = network('macvlan', { parent: 'eth0', macvlan_mode: 'passthru' });
  for (const [one, all, message] of [
    [network('macvlan', { parent: 'no' }), [], /^invalid subinterface vlan name no, example formatting is eth0\.10$/],
    [network('macvlan', { parent: 'no.5' }), [], /^-o parent interface was not found on the host: no$/],
    [network('ipvlan', { parent: 'eth0.0' }), [], /^vlan id must be between 1-4094, received: 0$/],
    [network('ipvlan', { parent: 'eth0' }), [pass], /^network di-[0-9a-f]{12} is already using parent interface eth0$/],
    [
      alone,
      [beside],
      /^cannot use mode passthru, macvlan network [0-9a-f]{64} is already using parent interface eth0$/,
    ],
    [beside, [alone], /^macvlan network [0-9a-f]{64} is already using parent interface eth0 in mode passthru$/],
    [network('macvlan'), [], /CONFIG_DUMMY/],
  ] as const) {
    assert.throws(() => parents.ensure(one, all), { message });
  }
  const none = new ParentLinks(new FakeLinks(), 'ours');
  assert.throws(() => none.ensure(pass, []), { code: 'unimplemented', message: /^operation not supported: .*IPVLAN/ });
});

test('the message that makes an ipvlan link (linux/if_link.h)', () => {
  const body = Buffer.concat(
    ipvlanAttributes({
      name: 'eth0',
      parent: 7,
      namespace: { fd: 9 },
      ...ipvlanMode({ options: { ipvlan_mode: 'l3s', ipvlan_flag: 'vepa' } }),
    }),
  );
  const attributes = parseAttributes(body);
  const [IFNAME, LINK, LINKINFO, NET_NS_FD] = [3, 5, 18, 28];
  assert.deepEqual(
    [...attributes.keys()].sort((a, b) => a - b),
    [IFNAME, LINK, LINKINFO, NET_NS_FD],
  );
  assert.deepEqual([attributes.get(LINK)?.readUInt32LE(), attributes.get(NET_NS_FD)?.readUInt32LE()], [7, 9]);
  const info = parseAttributes(attributes.get(LINKINFO)!);
  const data = parseAttributes(info.get(2)!);
  assert.deepEqual([info.get(1)?.toString(), data.get(1), data.get(2)], ['ipvlan\0', Buffer.of(2, 0), Buffer.of(2, 0)]);
});

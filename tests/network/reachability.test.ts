/**
 * Who reaches what: every place asks every destination, by both families, and each cell of the table says what is to come of
 * it. Other hosts are network namespaces on wires of their own; they route everything to this one, containers' addresses too.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { EndpointSettings } from '../../src/api/network.ts';
import type { NetworkNamespace } from '../../src/linux/network-namespace.ts';
import { Lab, type LabContainer, LabEngine } from './lab.ts';

const root = { skip: process.getuid?.() === 0 ? false : 'needs root' };

const FAMILIES = {
  4: { any: '0.0.0.0', loopback: '127.0.0.1', host: '198.51.100.1', other: '198.51.100.2', far: '203.0.113.2' },
  6: { any: '::', loopback: '::1', host: '2001:db8::1', other: '2001:db8::2', far: '2001:db8:1::2' },
} as const;
type Family = keyof typeof FAMILIES;

/** Rows are destinations, columns who asks; a cell of two parts is for IPv4 and IPv6. */
const TABLE = readFileSync(new URL('reachability.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));
const COLUMNS = TABLE[0]!
  .split('|')
  .map((name) => name.trim())
  .slice(1);
const ROWS = TABLE.slice(1).map((line) => {
  const [destination = '', ...cells] = line.split('|').map((cell) => cell.trim());
  return { destination, cells };
});

const BRIDGE = 'com.docker.network.bridge';
const NETWORKS: Readonly<Record<string, { ipv4Only?: boolean; internal?: boolean; options?: Record<string, string> }>> =
  {
    front: {},
    back: {},
    plain: { ipv4Only: true },
    apart: { options: { [`${BRIDGE}.enable_icc`]: 'false' } },
    sealed: { internal: true },
    routed: { options: both('routed') },
    open: { options: both('nat-unprotected') },
    trusting: { options: { [`${BRIDGE}.trusted_host_interfaces`]: 'wire0' } },
    isolated: { internal: true, options: both('isolated') },
  };
/** What each container publishes, of 80 and 81 inside; nobody publishes 83. */
const CONTAINERS: Readonly<Record<string, { network: string; port?: number }>> = {
  web: { network: 'front', port: 8080 },
  'same network': { network: 'front' },
  'other network': { network: 'back' },
  plain: { network: 'plain', port: 8090 },
  apart: { network: 'apart', port: 8100 },
  'apart too': { network: 'apart' },
  sealed: { network: 'sealed', port: 8110 },
  'sealed too': { network: 'sealed' },
  routed: { network: 'routed', port: 8120 },
  open: { network: 'open', port: 8130 },
  trusting: { network: 'trusting', port: 8140 },
  isolated: { network: 'isolated', port: 8150 },
  'isolated too': { network: 'isolated' },
};

let lab: Lab;
let engine: LabEngine;
const places = new Map<string, NetworkNamespace>();
const containers = new Map<string, LabContainer>();

before(async () => {
  if (root.skip !== false) return;
  lab = new Lab();
  engine = new LabEngine(lab);
  places.set('host', lab.host);
  const hosts = ['198.51.100.1/24', '2001:db8::1/64'];
  places.set('other host', lab.neighbour('wire0', hosts, ['198.51.100.2/24', '2001:db8::2/64']));
  const far = ['203.0.113.1/24', '2001:db8:1::1/64'];
  places.set('far host', lab.neighbour('wire1', far, ['203.0.113.2/24', '2001:db8:1::2/64']));
  for (const [Name, { ipv4Only = false, internal: Internal = false, options: Options = {} }] of Object.entries(
    NETWORKS,
  )) {
    await engine.opened.networks.create({ Name, EnableIPv6: !ipv4Only, Internal, Options });
  }
  for (const [name, { network, port }] of Object.entries(CONTAINERS)) {
    const PortBindings = port === undefined ? {} : bindings(port);
    const container = await engine.start(name, { NetworkMode: network, PortBindings });
    containers.set(name, container);
    places.set(name, container.namespace);
  }
  for (const [name, namespace] of places) {
    if (name === 'host') continue;
    for (const port of [80, 81, 82, 83]) for (const { any } of Object.values(FAMILIES)) lab.serve(namespace, port, any);
  }
});

after(async () => {
  if (root.skip !== false) return;
  await engine.close();
  lab[Symbol.dispose]();
});

/** 80 everywhere, 81 on the loopback, 82 on one address of the host. */
function bindings(port: number): Record<string, { HostIp: string; HostPort: string }[]> {
  const on = (HostIp: string, number: number) => ({ HostIp, HostPort: String(number) });
  return {
    '80/tcp': [on('', port)],
    '81/tcp': [on('127.0.0.1', port + 1), on('::1', port + 1)],
    '82/tcp': [on(FAMILIES[4].host, port + 2), on(FAMILIES[6].host, port + 2)],
  };
}

for (const family of [4, 6] as const) {
  test(`who reaches what, by IPv${family}`, root, async () => {
    assert.deepEqual(COLUMNS, [...places.keys()], 'a column for each place');
    const cells = ROWS.flatMap(({ destination, cells: said }): Cell[] => {
      assert.equal(said.length, COLUMNS.length, `${destination}: a cell for each place`);
      return said.map((text, at) => ({ from: COLUMNS[at]!, destination, expected: partOf(text, family) }));
    });
    const asked = cells.filter(({ expected }) => expected !== '-');
    const open = asked.filter(({ expected }) => expected !== 'no');
    const closed = asked.filter(({ expected }) => expected === 'no');
    // where nothing is to come there is nothing to do but wait: not while others keep this process busy
    const wrong = await ask(open, family, 30_000);
    for (let at = 0; at < closed.length; at += 200)
      wrong.push(...(await ask(closed.slice(at, at + 200), family, 1000)));
    assert.deepEqual(wrong, []);
    // no cell is left out but those of the network without IPv6
    const without = family === 6 ? ROWS.filter(({ destination }) => /^plain \d/.test(destination)).length : 0;
    assert.equal(asked.length, (ROWS.length - without) * places.size);
    assert.ok(asked.length > 800, `${asked.length} cells`);
  });
}

interface Cell {
  readonly from: string;
  readonly destination: string;
  readonly expected: string;
}

/** What is not as expected. */
async function ask(cells: readonly Cell[], family: Family, patience: number): Promise<string[]> {
  const wrong = await Promise.all(
    cells.map(async ({ from, destination, expected }) => {
      const { address, port } = endOf(destination, family);
      const said = await lab.ask(places.get(from)!, address, port, patience);
      const got = said.startsWith('from ') ? nameOf(said.slice(5), from, destination, family) : 'no';
      return got === expected ? [] : [`${from} to ${destination}: ${got} (${said}), not ${expected}`];
    }),
  );
  return wrong.flat();
}

function partOf(cell: string, family: Family): string {
  const [ipv4 = '', ipv6 = ipv4] = cell.split('/');
  return family === 4 ? ipv4 : ipv6;
}

/** `web 80` is the container's own address; `host`, `gate` (of the network front), `loopback`, `other host`, `far host` are what they say. */
function endOf(destination: string, family: Family): { address: string; port: number } {
  const cut = destination.lastIndexOf(' ');
  const name = destination.slice(0, cut);
  const port = Number(destination.slice(cut + 1));
  const { host, loopback, other, far } = FAMILIES[family];
  const known: Readonly<Record<string, string>> = {
    host,
    loopback,
    'other host': other,
    'far host': far,
    gate: gateOf('front', family),
  };
  return { address: known[name] ?? addressOf(name, family), port };
}

/** Whom the other saw: the one who asked (`own`), the host by the gateway of the other's network (`gate`), the host on the wire (`wire`). */
function nameOf(seen: string, from: string, destination: string, family: Family): string {
  const name = destination.slice(0, destination.lastIndexOf(' '));
  const port = Number(destination.slice(destination.lastIndexOf(' ') + 1));
  if (seen === FAMILIES[family].loopback) return 'self';
  if (containers.has(from) && seen === addressOf(from, family)) return 'own';
  const target = containers.get(name) ?? containers.get(publisherOf(port));
  if (target && [4, 6].some((of) => seen === gateOf(CONTAINERS[target.name]!.network, of as Family))) return 'gate';
  const { host, other, far } = FAMILIES[family];
  const wires = [host, family === 4 ? '203.0.113.1' : '2001:db8:1::1'];
  if (from === 'host' && wires.includes(seen)) return 'own';
  if (wires.includes(seen)) return 'wire';
  if (seen === other && from === 'other host') return 'own';
  if (seen === far && from === 'far host') return 'own';
  return seen;
}

function publisherOf(port: number): string {
  const found = Object.entries(CONTAINERS).find(([, { port: first = 0 }]) => port >= first && port <= first + 2);
  return found?.[0] ?? '';
}

function addressOf(name: string, family: Family): string {
  const endpoint: EndpointSettings = Object.values(containers.get(name)!.attachment!.endpoints)[0]!;
  return (family === 4 ? endpoint.IPAddress : endpoint.GlobalIPv6Address)!;
}

/** The host's address on a network, which an internal one does not route by. */
function gateOf(network: string, family: Family): string {
  const name = Object.entries(CONTAINERS).find(([, container]) => container.network === network)![0];
  return addressOf(name, family).replace(/[^.:]+$/, '1');
}

function both(mode: string): Record<string, string> {
  return { [`${BRIDGE}.gateway_mode_ipv4`]: mode, [`${BRIDGE}.gateway_mode_ipv6`]: mode };
}

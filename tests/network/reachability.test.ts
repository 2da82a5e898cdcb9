import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { EndpointSettings } from '../../src/api/network.ts';
import type { NetworkNamespace } from '../../src/linux/network-namespace.ts';
import { Lab, type LabContainer, LabEngine } from './lab.ts';

const root = { skip: process.getuid?.() === 0 ? false : 'needs root' };

const FAMILIES = {
  4: { any: '0.0.0.0', loopback: '127.0.0.1', host: '198.51.100.1', neighbour: '198.51.100.2' },
  6: { any: '::', loopback: '::1', host: '2001:db8::1', neighbour: '2001:db8::2' },
} as const;

type Family = keyof typeof FAMILIES;
/** Who asks, whom at which port, and the address that the other sees; `no` is any way of not getting an answer. */
type Cell = readonly [from: string, address: string, port: number, expected: string];

let lab: Lab;
let engine: LabEngine;
const places = new Map<string, NetworkNamespace>();
const containers = new Map<string, LabContainer>();

before(async () => {
  if (root.skip !== false) return;
  lab = new Lab();
  engine = new LabEngine(lab);
  const cidrs = (key: 'host' | 'neighbour') => [`${FAMILIES[4][key]}/24`, `${FAMILIES[6][key]}/64`];
  places.set('host', lab.host);
  places.set('other host', lab.neighbour('wire0', cidrs('host'), cidrs('neighbour')));
  const { networks } = engine.opened;
  await networks.create({ Name: 'front', EnableIPv6: true });
  await networks.create({ Name: 'back', EnableIPv6: true });
  await networks.create({
    Name: 'apart',
    EnableIPv6: true,
    Options: { 'com.docker.network.bridge.enable_icc': 'false' },
  });
  await networks.create({ Name: 'sealed', EnableIPv6: true, Internal: true });
  const on = (HostIp: string, HostPort: string) => ({ HostIp, HostPort });
  await place('web', 'front', {
    '80/tcp': [on('', '8080')],
    '81/tcp': [on('127.0.0.1', '8081'), on('::1', '8081')],
    '82/tcp': [on(FAMILIES[4].host, '8082'), on(FAMILIES[6].host, '8082')],
  });
  await place('same network', 'front');
  await place('other network', 'back');
  await networks.create({ Name: 'plain' });
  await place('plain', 'plain', { '80/tcp': [on('', '8095')] });
  await place('apart', 'apart', { '80/tcp': [on('', '8090')] });
  await place('apart too', 'apart');
  await place('sealed', 'sealed', { '80/tcp': [on('', '8091')] });
  await place('sealed too', 'sealed');
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

async function place(name: string, network: string, PortBindings = {}): Promise<void> {
  const container = await engine.start(name, { NetworkMode: network, PortBindings });
  containers.set(name, container);
  places.set(name, container.namespace);
}

function endpoint(name: string): EndpointSettings {
  return Object.values(containers.get(name)!.attachment!.endpoints)[0]!;
}

function addressOf(name: string, family: Family): string {
  return (family === 4 ? endpoint(name).IPAddress : endpoint(name).GlobalIPv6Address)!;
}

/** The host's address on the container's network. */
function gatewayOf(name: string, family: Family): string {
  const { ipam } = { ipam: family === 4 ? endpoint(name).Gateway : endpoint(name).IPv6Gateway };
  if (ipam) return ipam;
  // an internal network has none to route by, but the host is there all the same
  return addressOf(name, family).replace(/[^.:]+$/, '1');
}

for (const family of [4, 6] as const) {
  test(`who reaches what, by IPv${family}`, root, async () => {
    const cells = [...toContainers(family), ...toTheHost(family), ...toLoopback(family), ...outwards(family)];
    const wrong = await Promise.all(
      cells.map(async ([from, address, port, expected]) => {
        const said = await lab.ask(places.get(from)!, address, port, 1500);
        const got = said.startsWith('from ') ? said.slice('from '.length) : 'no';
        return got === expected ? [] : [`${from} to ${address} port ${port}: ${said}, not ${expected}`];
      }),
    );
    assert.deepEqual(wrong.flat(), []);
    assert.ok(cells.length >= 60, `${cells.length} cells`);
  });
}

/** By the container's own address, whatever is published: 80 everywhere, 81 on the loopback, 82 on one address, 83 not at all. */
function toContainers(family: Family): Cell[] {
  const web = addressOf('web', family);
  const every = (from: string, to: string, expected: string): Cell[] =>
    [80, 81, 82, 83].map((port) => [from, to, port, expected]);
  const [apart, sealed] = [addressOf('apart', family), addressOf('sealed', family)];
  return [
    ...every('host', web, gatewayOf('web', family)),
    ...every('web', web, web),
    ...every('same network', web, addressOf('same network', family)),
    ...every('other network', web, 'no'),
    ...every('other host', web, 'no'),
    ...every('sealed', web, 'no'),
    ...every('apart', web, 'no'),
    ['apart too', apart, 80, 'no'],
    ['apart too', apart, 83, 'no'],
    ['other host', apart, 80, 'no'],
    ['sealed too', sealed, 80, addressOf('sealed too', family)],
    ['host', sealed, 80, gatewayOf('sealed', family)],
    ['other network', sealed, 80, 'no'],
    ['other host', sealed, 80, 'no'],
  ];
}

/** By the host's address: what is published there, and nothing else. */
function toTheHost(family: Family): Cell[] {
  const { host, neighbour } = FAMILIES[family];
  const gateway = gatewayOf('web', family);
  const callers: [from: string, seenAs: string][] = [
    ['host', host],
    ['other host', neighbour],
    ['other network', addressOf('other network', family)],
    // passed on by the engine, as isolated ports of a bridge do not talk
    ['apart', gateway],
    // the answer has to come back the same way: the host stands in for its own networks
    ['same network', gateway],
    ['web', gateway],
    ['sealed', 'no'],
  ];
  return [
    ...callers.flatMap(([from, seenAs]): Cell[] => [
      [from, host, 8080, seenAs],
      [from, host, 8081, 'no'],
      [from, host, 8082, seenAs],
      [from, host, 8083, 'no'],
      [from, host, 8091, 'no'],
    ]),
    ['other host', host, 8090, neighbour],
    ['apart too', host, 8090, gatewayOf('apart', family)],
    // by the address of its own gateway
    ['same network', gateway, 8080, gateway],
    ['same network', gateway, 8081, 'no'],
    ['sealed', gatewayOf('sealed', family), 8080, 'no'],
    // what the kernel cannot translate, from IPv6 to a container with IPv4 alone, is passed on by the engine
    ['other host', host, 8095, family === 4 ? neighbour : gatewayOf('plain', 4)],
    ['other network', host, 8095, family === 4 ? addressOf('other network', 4) : gatewayOf('plain', 4)],
    ['sealed', gatewayOf('sealed', family), 8095, 'no'],
  ];
}

/** By the loopback: the host's, which a neighbour may try to route to, and each container's own. */
function toLoopback(family: Family): Cell[] {
  const { loopback } = FAMILIES[family];
  const gateway = gatewayOf('web', family);
  return [
    ['host', loopback, 8080, gateway],
    ['host', loopback, 8081, gateway],
    ['host', loopback, 8082, 'no'],
    ['host', loopback, 8083, 'no'],
    ['host', loopback, 8090, gatewayOf('apart', family)],
    ['other host', loopback, 8080, 'no'],
    ['other host', loopback, 8081, 'no'],
    ['same network', loopback, 8080, 'no'],
    ['web', loopback, 80, loopback],
    ['web', loopback, 8080, 'no'],
  ];
}

/** Containers reach other hosts with the host's address, those of internal networks do not. */
function outwards(family: Family): Cell[] {
  const { host, neighbour } = FAMILIES[family];
  return [
    ['web', neighbour, 80, host],
    ['other network', neighbour, 80, host],
    ['apart', neighbour, 80, host],
    ['sealed', neighbour, 80, 'no'],
  ];
}

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { RouteNetlink } from '../../src/linux/netlink-route.ts';
import type { NetworkNamespace } from '../../src/linux/network-namespace.ts';
import type { NetworkAttachment } from '../../src/state/containers.ts';
import { addressOn, Lab, type LabContainer, LabEngine } from './lab.ts';

const root = { skip: process.getuid?.() === 0 ? false : 'needs root' };

let lab: Lab;
let engine: LabEngine;
let neighbour: NetworkNamespace;

before(() => {
  if (root.skip !== false) return;
  lab = new Lab();
  neighbour = lab.neighbour('wire0', ['198.51.100.1/24', '2001:db8::1/64'], ['198.51.100.2/24', '2001:db8::2/64']);
  engine = new LabEngine(lab, { database: join(lab.directory, 'state.db') });
  lab.serve(neighbour, 7000);
});

after(async () => {
  if (root.skip !== false) return;
  await engine.close();
  // the kernel takes a namespace apart in its own time
  for (const end = Date.now() + 5000; linksOfEngine().length > 0 && Date.now() < end;) await setTimeout(20);
  assert.deepEqual(linksOfEngine(), [], 'links are left');
  assert.equal(execFileSync('nft', ['list', 'tables']).toString(), '', 'tables are left');
  lab[Symbol.dispose]();
});

test('networks are islands', root, async () => {
  await engine.opened.networks.create({ Name: 'red' });
  await engine.opened.networks.create({ Name: 'blue', Options: { 'com.docker.network.bridge.enable_icc': 'false' } });
  await engine.opened.networks.create({ Name: 'sealed', Internal: true });
  const on = async (name: string, network: string): Promise<LabContainer> => {
    const container = await engine.start(name, { NetworkMode: network });
    lab.serve(container.namespace, 80);
    return container;
  };
  const [red, red2] = [await on('r1', 'red'), await on('r2', 'red')];
  const [blue, blue2] = [await on('b1', 'blue'), await on('b2', 'blue')];
  const [sealed, sealed2] = [await on('s1', 'sealed'), await on('s2', 'sealed')];
  const ask = (from: LabContainer, to: LabContainer, network: string) =>
    lab.ask(from.namespace, addressOn(to, network), 80, 500);
  const outside = (from: LabContainer) => lab.ask(from.namespace, '198.51.100.2', 7000, 500);
  const answers = await Promise.all([
    ask(red, red2, 'red'),
    ask(red, blue, 'blue'),
    ask(blue, red, 'red'),
    ask(blue, blue2, 'blue'),
    ask(sealed, sealed2, 'sealed'),
    ask(sealed, red, 'red'),
    ask(red, sealed, 'sealed'),
    outside(red),
    outside(blue),
    outside(sealed),
    lab.ask(neighbour, addressOn(red, 'red'), 80, 500),
  ]);
  assert.deepEqual(
    answers,
    [
      `from ${addressOn(red, 'red')}`,
      'no answer',
      'no answer',
      'EHOSTUNREACH',
      `from ${addressOn(sealed, 'sealed')}`,
      'ENETUNREACH',
      'no answer',
      'from 198.51.100.1',
      'from 198.51.100.1',
      'ENETUNREACH',
      'no answer',
    ].map((expected, at) => (at === 3 && answers[3] === 'no answer' ? 'no answer' : expected)),
  );
  for (const container of [red, red2, blue, blue2, sealed, sealed2]) await engine.stop(container);
  for (const name of ['red', 'blue', 'sealed']) await engine.opened.networks.remove(name);
});

test('a running container comes to a network and leaves it', root, async () => {
  await engine.opened.networks.create({ Name: 'side', IPAM: { Config: [{ Subnet: '10.77.0.0/24' }] } });
  const one = await engine.start('one');
  const two = await engine.start(
    'two',
    { NetworkMode: 'side' },
    { side: { IPAMConfig: { IPv4Address: '10.77.0.50' } } },
  );
  lab.serve(two.namespace, 80);
  await engine.opened.networks.connect('side', { Container: 'one', EndpointConfig: { Aliases: ['uno'] } });
  const connected = engine.get(one);
  assert.equal(addressOn(connected, 'side'), '10.77.0.2');
  assert.deepEqual(connected.attachment?.endpoints['side']?.DNSNames, ['one', 'uno', one.id.slice(0, 12)]);
  assert.deepEqual(connected.attachment?.interfaces['side']?.guest, 'eth1');
  assert.equal(await lab.ask(one.namespace, '10.77.0.50', 80), 'from 10.77.0.2');
  const inspect = await engine.opened.networks.inspect('side');
  assert.deepEqual(
    Object.values(inspect.Containers).map((entry) => `${entry.Name} ${entry.IPv4Address}`),
    ['two 10.77.0.50/24', 'one 10.77.0.2/24'].toReversed(),
  );
  await assert.rejects(engine.opened.networks.connect('side', { Container: 'one' }), { code: 'forbidden' });
  await assert.rejects(engine.opened.networks.remove('side'), { message: /has active endpoints \(name:"one" id:"/ });
  await engine.opened.networks.disconnect('side', { Container: 'one' });
  assert.equal(await lab.ask(one.namespace, '198.51.100.2', 7000), 'from 198.51.100.1');
  assert.equal(engine.get(one).attachment?.endpoints['side'], undefined);
  await engine.stop(engine.get(one));
  await engine.stop(two);
  await engine.opened.networks.remove('side');
});

test('IPv6: unique local addresses, ports, no way in otherwise', root, async () => {
  await engine.opened.networks.create({ Name: 'six', EnableIPv6: true });
  const web = await engine.start('web6', {
    NetworkMode: 'six',
    PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8086' }] },
  });
  lab.serve(web.namespace, 80, '::');
  lab.serve(web.namespace, 81, '::');
  lab.serve(neighbour, 7000, '::');
  const inside = web.attachment!.endpoints['six']!.GlobalIPv6Address!;
  assert.match(inside, /^fd/);
  assert.equal(await lab.ask(neighbour, '2001:db8::1', 8086), 'from 2001:db8::2');
  assert.match(await lab.ask(lab.host, '::1', 8086), /^from fd/);
  assert.equal(await lab.ask(neighbour, inside, 81, 400), 'no answer');
  assert.equal(await lab.ask(web.namespace, '2001:db8::2', 7000), 'from 2001:db8::1');
  await engine.stop(web);
  await engine.opened.networks.remove('six');
});

test('a new engine finds everything as it was', root, async () => {
  await engine.opened.networks.create({ Name: 'keep' });
  const web = await engine.start('web', {
    NetworkMode: 'keep',
    PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8090' }] },
  });
  lab.serve(web.namespace, 80);
  const rules = execFileSync('nft', ['list', 'ruleset']).toString();
  const running = [...engine.containers.values()];
  engine.abandon();
  assert.match(await lab.ask(neighbour, '198.51.100.1', 8090), /^from/);

  engine = new LabEngine(lab, { database: join(lab.directory, 'state.db') });
  for (const container of running) {
    engine.containers.set(container.id, container);
    await engine.opened.networking.adopt(container, container.pid, container.attachment!);
  }
  await engine.opened.networking.recovered();
  assert.equal(execFileSync('nft', ['list', 'ruleset']).toString(), rules);
  const next = await engine.start('next', { NetworkMode: 'keep' });
  assert.notEqual(addressOn(next, 'keep'), addressOn(web, 'keep'));
  await assert.rejects(engine.start('third', { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8090' }] } }), {
    message: /Bind for 0\.0\.0\.0:8090 failed: port is already allocated \(by container web; 8091 is free\)/,
  });
  await engine.stop(next);
  await engine.stop(web);
  await engine.opened.networks.remove('keep');
});

test('a connect and a disconnect that were cut off leave no link behind', root, async () => {
  const database = join(lab.directory, 'state.db');
  for (const name of ['first', 'second']) await engine.opened.networks.create({ Name: name });
  const web = await engine.start('web', { NetworkMode: 'first' });
  const before = web.attachment!;
  const links = (): string[] => {
    using inside = new RouteNetlink(web.namespace);
    return inside.links().flatMap(({ name, kind }) => (kind === 'veth' ? [name] : []));
  };
  const next = async (attachment: NetworkAttachment): Promise<void> => {
    engine.abandon();
    engine = new LabEngine(lab, { database });
    engine.containers.set(web.id, { ...web, networks: {}, attachment });
    await engine.opened.networking.adopt(web, web.pid, attachment);
    await engine.opened.networking.recovered();
  };
  // the link is there, but nobody wrote it down
  await engine.opened.networks.connect('second', { Container: 'web' });
  assert.deepEqual(links(), ['eth0', 'eth1']);
  await next(before);
  assert.deepEqual(links(), ['eth0']);
  await engine.opened.networks.connect('second', { Container: 'web' });
  assert.deepEqual(links(), ['eth0', 'eth1']);
  assert.equal(Object.keys(engine.get(web).attachment!.interfaces).length, 2);
  // the way out was through the one that is written down no more
  const { first: _, ...interfaces } = engine.get(web).attachment!.interfaces;
  const { first: __, ...endpoints } = engine.get(web).attachment!.endpoints;
  await next({ ...engine.get(web).attachment!, interfaces, endpoints });
  assert.deepEqual(links(), ['eth1']);
  lab.serve(neighbour, 7001);
  assert.match(await lab.ask(web.namespace, '198.51.100.2', 7001), /^from/);
  await engine.stop(web);
  for (const name of ['first', 'second']) await engine.opened.networks.remove(name);
});

test('no packet of a running container is lost while an engine dies and another takes over', root, async () => {
  await engine.opened.networks.create({ Name: 'steady' });
  const PortBindings = { '53/udp': [{ HostIp: '', HostPort: '8153' }] };
  const one = await engine.start('one', { NetworkMode: 'steady', PortBindings });
  const two = await engine.start('two', { NetworkMode: 'steady' });
  lab.echo(one.namespace, 53);
  const running = [...engine.containers.values()];
  const steady = [
    lab.stream(neighbour, '198.51.100.1', 8153),
    lab.stream(two.namespace, addressOn(one, 'steady'), 53),
    lab.stream(lab.host, '127.0.0.1', 8153),
  ];
  for (const stream of steady) await stream.answered(20);
  engine.abandon();
  for (const stream of steady) await stream.answered(20);
  engine = new LabEngine(lab, { database: join(lab.directory, 'state.db') });
  for (const container of running) {
    engine.containers.set(container.id, container);
    await engine.opened.networking.adopt(container, container.pid, container.attachment!);
  }
  await engine.opened.networking.recovered();
  for (const stream of steady) {
    await stream.answered(20);
    assert.equal(await stream.end(), 0, 'datagrams without an answer');
  }
  for (const container of [one, two]) await engine.stop(engine.get(container));
  await engine.opened.networks.remove('steady');
});

test('IPv6 alone', root, async () => {
  await engine.opened.networks.create({ Name: 'only6', EnableIPv4: false, EnableIPv6: true });
  const one = await engine.start('one6', { NetworkMode: 'only6' });
  const two = await engine.start('two6', { NetworkMode: 'only6' });
  lab.serve(two.namespace, 80, '::');
  const { IPAddress, GlobalIPv6Address, Gateway, IPv6Gateway } = two.attachment!.endpoints['only6']!;
  assert.deepEqual([IPAddress, Gateway], ['', '']);
  assert.match(IPv6Gateway!, /^fd.*::1$/);
  assert.match(await lab.ask(one.namespace, GlobalIPv6Address!, 80), /^from fd/);
  for (const container of [one, two]) await engine.stop(container);
  await engine.opened.networks.remove('only6');
});

test('several networks: the way out by priority, names of interfaces, their settings', root, async () => {
  await engine.opened.networks.create({ Name: 'a', IPAM: { Config: [{ Subnet: '10.71.0.0/24' }] } });
  await engine.opened.networks.create({ Name: 'b', IPAM: { Config: [{ Subnet: '10.72.0.0/24' }] } });
  const sysctls = 'net.ipv4.conf.IFNAME.log_martians=1';
  const one = await engine.start(
    'multi',
    { NetworkMode: 'a' },
    {
      a: { MacAddress: '02:00:00:00:aa:01' },
      b: {
        GwPriority: 1,
        DriverOpts: { 'com.docker.network.endpoint.ifname': 'lan0', 'com.docker.network.endpoint.sysctls': sysctls },
      },
    },
  );
  assert.deepEqual(
    Object.values(one.attachment!.interfaces).map((link) => link.guest),
    ['eth0', 'lan0'],
  );
  {
    using links = new RouteNetlink(one.namespace);
    assert.equal(links.link('eth0')?.mac, '02:00:00:00:aa:01');
    const way = links.routes().find((route) => !route.destination && route.family === 4);
    assert.equal(way?.gateway?.join('.'), '10.72.0.1');
  }
  const martians = one.namespace.run<string>(() => readFileSync('/proc/sys/net/ipv4/conf/lan0/log_martians', 'latin1'));
  assert.equal(martians, '1\n');
  await engine.opened.networks.disconnect('b', { Container: 'multi' });
  {
    using links = new RouteNetlink(one.namespace);
    const way = links.routes().find((route) => !route.destination && route.family === 4);
    assert.equal(way?.gateway?.join('.'), '10.71.0.1');
  }
  await engine.stop(engine.get(one));
  for (const name of ['a', 'b']) await engine.opened.networks.remove(name);
});

test('a start that fails leaves no address, link or port', root, async () => {
  await engine.opened.networks.create({ Name: 'tiny', IPAM: { Config: [{ Subnet: '10.73.0.0/30' }] } });
  const web = await engine.start('first', { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8095' }] } });
  const clash = {
    NetworkMode: 'tiny',
    PortBindings: { '81/tcp': [{ HostIp: '', HostPort: '8096' }], '80/tcp': [{ HostIp: '', HostPort: '8095' }] },
  };
  for (let time = 0; time < 3; time++) {
    await assert.rejects(engine.start('second', clash), {
      message: /^failed to set up container networking: driver failed/,
    });
  }
  const only = await engine.start('third', {
    NetworkMode: 'tiny',
    PortBindings: { '81/tcp': [{ HostIp: '', HostPort: '8096' }] },
  });
  assert.equal(addressOn(only, 'tiny'), '10.73.0.2');
  await assert.rejects(engine.start('fourth', { NetworkMode: 'tiny' }), { message: /no available IPv4 addresses/ });
  await engine.stop(web);
  await engine.stop(only);
  await engine.opened.networks.remove('tiny');
});

test('macvlan: beside the host, on its wire', root, async () => {
  const { networks } = engine.opened;
  await assert.rejects(networks.create({ Name: 'x', Driver: 'macvlan', Options: { parent: 'none0' } }), {
    message: /^invalid subinterface vlan name none0, example formatting is eth0\.10$/,
  });
  // which kinds of links there are is the kernel's to say
  for (const [request, ok] of [
    [{ Name: 'alone', Driver: 'macvlan' }, /^alone$|CONFIG_DUMMY/],
    [{ Name: 'beside', Driver: 'ipvlan', Options: { parent: 'wire0' } }, /^beside$|CONFIG_IPVLAN/],
    [{ Name: 'tagged', Driver: 'macvlan', Options: { parent: 'wire0.7' } }, /^tagged$|CONFIG_VLAN/],
  ] as const) {
    const made = await networks.create(request).then(
      () => request.Name,
      (error: Error) => error.message,
    );
    assert.match(made, ok);
    if (made === request.Name) await networks.remove(made);
  }
  await networks.create({
    Name: 'wire',
    Driver: 'macvlan',
    IPAM: { Config: [{ Subnet: '198.51.100.0/24', Gateway: '198.51.100.2' }] },
    Options: { parent: 'wire0' },
  });
  const wanted = { wire: { IPAMConfig: { IPv4Address: '198.51.100.77' } } };
  const one = await engine.start('beside', { NetworkMode: 'wire' }, wanted);
  assert.equal(await lab.ask(one.namespace, '198.51.100.2', 7000), 'from 198.51.100.77');
  await engine.stop(one);
  await networks.remove('wire');
});

test('what cannot be is refused and leaves nothing', root, async () => {
  const { networks } = engine.opened;
  const before = (await networks.list()).length;
  const refused = async (request: Parameters<typeof networks.create>[0], message: RegExp): Promise<void> => {
    await assert.rejects(networks.create(request), { message });
  };
  await refused({ Name: 'bridge' }, /^operation is not permitted on predefined bridge network$/);
  await refused({ Name: 'x', Driver: 'nope' }, /^plugin "nope" not found$/);
  await refused(
    { Name: 'x', IPAM: { Config: [{ Subnet: '10.9.0.1/24' }] } },
    /invalid subnet 10\.9\.0\.1\/24: it should be 10\.9\.0\.0\/24/,
  );
  await refused({ Name: 'x', IPAM: { Config: [{ Subnet: '172.17.0.0/24' }] } }, /^invalid pool request: Pool overlaps/);
  await refused({ Name: 'x', Options: { 'com.docker.network.bridge.name': 'wire0' } }, /wire0/);
  await refused({ Name: 'x', Options: { 'com.docker.network.bridge.enable_icc': 'nope' } }, /enable_icc/);
  await assert.rejects(networks.remove('host'), { message: 'host is a pre-defined network and cannot be removed' });
  assert.equal((await networks.list()).length, before);
});

function linksOfEngine(): string[] {
  using links = new RouteNetlink();
  return links
    .links()
    .map((link) => link.name)
    .filter((name) => /^(gantry|br-|veth)/.test(name));
}

test('a container that was taken off its only network stays off it', root, async () => {
  const { networks, networking } = engine.opened;
  await networks.create({ Name: 'lone' });
  const one = await engine.start('one', { NetworkMode: 'lone' });
  await networks.disconnect('lone', { Container: 'one' });
  const off = engine.get(one);
  assert.deepEqual(off.attachment?.endpoints, {});
  networking.renamed(one.id, 'uno');
  await engine.stop(off);
  const again = await networking.prepare(off);
  assert.deepEqual(again.attachment.endpoints, {});
  await networking.release(one.id);
  await networks.remove('lone');
});

test(
  'what an engine left whose data root is gone goes with the next engine; what may come back stays',
  root,
  async () => {
    using links = new RouteNetlink();
    const bridge = (name: string, dataRoot: string) =>
      links.addBridge(name, { mac: '02:00:00:00:00:09', alias: `gantry network of ${dataRoot}` });
    const dead = new LabEngine(lab, { dataRoot: '/nonexistent/gantry', bridge: 'dead0' });
    const container = await dead.start('last');
    await engine.opened.networking.recovered();
    assert.ok(links.link('dead0'), 'a container runs on it');
    lab.leave(container.namespace);
    container.process.kill('SIGKILL');
    for (
      const end = Date.now() + 5000;
      links.links().some(({ name }) => name.startsWith('veth')) && Date.now() < end;
    ) {
      await setTimeout(20);
    }
    dead.abandon();
    mkdirSync(join(lab.directory, 'there'));
    bridge('alive0', join(lab.directory, 'there'));
    bridge('unknown0', lab.directory);
    mkdirSync(join(lab.directory, 'locked'));
    const lock = openSync(join(lab.directory, 'locked', 'lock'), 'w');
    rmSync(join(lab.directory, 'locked'), { recursive: true });
    bridge('locked0', join(lab.directory, 'locked'));

    await engine.opened.networking.recovered();
    assert.equal(links.link('dead0'), undefined);
    assert.equal(links.link('unknown0'), undefined, 'no network of this engine has it');
    assert.ok(links.link('alive0'), 'its data root is there');
    assert.ok(links.link('locked0'), 'its engine is alive');
    assert.match(
      engine.notes.join('\n'),
      /removed what an engine left whose data root \/nonexistent\/gantry is gone: dead0/,
    );
    closeSync(lock);
    for (const name of ['alive0', 'locked0']) links.removeLink(name);
  },
);

test('published ports of a routed network: no port of the host is taken, also after a restart', root, async () => {
  const { networks } = engine.opened;
  const Options = { 'com.docker.network.bridge.gateway_mode_ipv4': 'routed' };
  await networks.create({ Name: 'routed', Options, IPAM: { Config: [{ Subnet: '10.78.0.0/24' }] } });
  const PortBindings = { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8099' }] };
  const one = await engine.start('one', { NetworkMode: 'routed', PortBindings });
  const two = await engine.start('two', { NetworkMode: 'routed', PortBindings });
  lab.serve(one.namespace, 80);
  lab.serve(one.namespace, 81);
  assert.deepEqual(two.attachment!.ports, { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '' }] });
  const reach = async () =>
    await Promise.all([
      lab.ask(neighbour, addressOn(one, 'routed'), 80, 20_000),
      lab.ask(neighbour, addressOn(one, 'routed'), 81, 500),
      lab.ask(lab.host, '127.0.0.1', 8099, 500),
    ]);
  assert.deepEqual(await reach(), ['from 198.51.100.2', 'no answer', 'ECONNREFUSED']);
  const running = [...engine.containers.values()];
  engine.abandon();
  engine = new LabEngine(lab, { database: join(lab.directory, 'state.db') });
  for (const container of running) {
    engine.containers.set(container.id, container);
    await engine.opened.networking.adopt(container, container.pid, container.attachment!);
  }
  await engine.opened.networking.recovered();
  assert.deepEqual(await reach(), ['from 198.51.100.2', 'no answer', 'ECONNREFUSED']);
  for (const container of [one, two]) await engine.stop(engine.get(container));
  await engine.opened.networks.remove('routed');
});

test('configuration networks are made of nothing, used by others, and not removed meanwhile', root, async () => {
  const { networks } = engine.opened;
  await networks.create({ Name: 'config', ConfigOnly: true, IPAM: { Config: [{ Subnet: '10.79.0.0/24' }] } });
  await networks.create({ Name: 'user', ConfigFrom: { Network: 'config' } });
  const { ConfigOnly, ConfigFrom, Driver } = await networks.inspect('user');
  assert.deepEqual([ConfigOnly, ConfigFrom.Network, Driver], [false, 'config', 'bridge']);
  await assert.rejects(networks.remove('config'), {
    message: 'error while removing network: configuration network "config" is in use',
  });
  await assert.rejects(engine.start('one', { NetworkMode: 'config' }), {
    message: 'failed to set up container networking: cannot create endpoint on configuration-only network',
  });
  const one = await engine.start('one', { NetworkMode: 'user' });
  assert.equal(addressOn(one, 'user'), '10.79.0.2');
  await engine.stop(one);
  await networks.remove('user');
  assert.deepEqual((await networks.prune(new Map())).NetworksDeleted, null);
  await networks.remove('config');
});

test('the default network and new ones as the engine is configured', root, async () => {
  const configured = new LabEngine(lab, {
    dataRoot: join(lab.directory, 'configured'),
    bridge: 'gantry9',
    config: {
      bridge: { cidr: '10.74.0.1/24', range: '10.74.0.128/25', ipv6: true, subnet6: 'fd00:74::/64' },
      allowDirectRouting: true,
      networkOptions: { bridge: { 'com.docker.network.driver.mtu': '1400' } },
    },
  });
  const PortBindings = { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8097' }] };
  const one = await configured.start('one', { PortBindings });
  const { IPAddress, GlobalIPv6Address } = one.attachment!.endpoints['bridge']!;
  assert.deepEqual([IPAddress, GlobalIPv6Address], ['10.74.0.128', 'fd00:74::2']);
  lab.serve(one.namespace, 80);
  lab.serve(one.namespace, 81);
  assert.equal(await lab.ask(neighbour, IPAddress!, 80, 20_000), 'from 198.51.100.2');
  assert.equal(await lab.ask(neighbour, IPAddress!, 81, 500), 'no answer');
  await configured.opened.networks.create({
    Name: 'new',
    Options: { 'com.docker.network.bridge.enable_icc': 'false' },
  });
  assert.deepEqual((await configured.opened.networks.inspect('new')).Options, {
    'com.docker.network.driver.mtu': '1400',
    'com.docker.network.bridge.enable_icc': 'false',
  });
  await configured.opened.networks.remove('new');
  await configured.close();
});

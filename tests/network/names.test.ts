import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { boundSocket } from '../../src/linux/bound-socket.ts';
import { newSocket, type NetworkNamespace } from '../../src/linux/network-namespace.ts';
import { identify, takeDescriptor } from '../../src/linux/process.ts';
import { answerCode, makeAnswer, makeQuery, parseQuery, TYPE } from '../../src/network/dns/message.ts';
import { framed } from '../../src/network/dns/upstream.ts';
import { addressOn, Lab, type LabContainer, LabEngine } from './lab.ts';

const root = { skip: process.getuid?.() === 0 ? false : 'needs root' };

let lab: Lab;
let engine: LabEngine;

before(async () => {
  if (root.skip !== false) return;
  lab = new Lab();
  engine = new LabEngine(lab, { database: join(lab.directory, 'state.db') });
  await engine.opened.networks.create({ Name: 'front' });
  await engine.opened.networks.create({ Name: 'back', Internal: true });
});

after(async () => {
  if (root.skip !== false) return;
  await engine.close();
  lab[Symbol.dispose]();
});

/** Addresses that 127.0.0.11 gives inside, or the code it answers with. */
async function lookup(from: NetworkNamespace, name: string, type: number = TYPE.A): Promise<string[] | number> {
  const socket = createSocket('udp4');
  socket.bind({ fd: boundSocket({ protocol: 'udp', address: new Uint8Array(4), port: 0 }, from) });
  socket.send(makeQuery(77, name, type), 53, '127.0.0.11');
  try {
    const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(20_000) })) as [Buffer];
    return parse(answer);
  } finally {
    socket.close();
  }
}

function parse(answer: Buffer): string[] | number {
  const count = answer.readUInt16BE(6);
  if (count === 0) return answerCode(answer);
  return Array.from({ length: count }, (_, at) =>
    answer
      .subarray(answer.length - 16 * (count - at) + 12)
      .subarray(0, 4)
      .join('.'),
  );
}

test('containers find each other by name, alias and id, on their networks only', root, async () => {
  const web = await engine.start('web', { NetworkMode: 'front' }, { front: { Aliases: ['www'] } });
  const db = await engine.start('db', { NetworkMode: 'back' }, { back: { Aliases: ['store'] } });
  const app = await engine.start('app', { NetworkMode: 'front' }, { front: {}, back: {} });
  const conf = readFileSync(join(app.directory, 'resolv.conf'), 'utf8');
  assert.match(conf, /^nameserver 127\.0\.0\.11$/m);
  assert.match(conf, /ndots:0/);
  assert.deepEqual(await lookup(app.namespace, 'web'), [addressOn(web, 'front')]);
  assert.deepEqual(await lookup(app.namespace, 'WWW.front'), [addressOn(web, 'front')]);
  assert.deepEqual(await lookup(app.namespace, 'store'), [addressOn(db, 'back')]);
  assert.deepEqual(await lookup(app.namespace, db.id.slice(0, 12)), [addressOn(db, 'back')]);
  assert.equal(await lookup(app.namespace, 'web', TYPE.AAAA), 0);
  assert.deepEqual(await lookup(db.namespace, 'app'), [addressOn(app, 'back')]);
  assert.equal(await lookup(db.namespace, 'web'), 2, 'another network, and no way out to ask elsewhere');

  assert.equal(await lookup(app.namespace, 'nowhere.invalid'), 2, 'the host itself can reach no name server');

  engine.opened.networking.renamed(web.id, 'renamed');
  assert.deepEqual(await lookup(app.namespace, 'renamed'), [addressOn(web, 'front')]);
  await engine.opened.networks.connect('back', { Container: web.id, EndpointConfig: {} });
  assert.deepEqual(await lookup(db.namespace, 'renamed'), [addressOn(engine.get(web), 'back')]);
  for (const container of [web, db, app]) await engine.stop(engine.get(container));
});

test('by tcp, and beside a name server of the container itself', root, async () => {
  const one = await engine.start('one', { NetworkMode: 'front' });
  const mine = boundSocket({ protocol: 'udp', address: new Uint8Array(4), port: 53 }, one.namespace);
  const socket = new Socket({ fd: one.namespace.run<number>(() => newSocket(2, 1, 0)) });
  socket.connect(53, '127.0.0.11');
  await once(socket, 'connect');
  socket.write(framed(makeQuery(5, 'one', TYPE.A)));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.deepEqual(parse(answer.subarray(2)), [addressOn(one, 'front')]);
  socket.destroy();
  const own = createSocket('udp4');
  own.bind({ fd: mine });
  own.close();
  await engine.stop(one);
});

test('a new engine answers the containers of the old one', root, async () => {
  const one = await engine.start('one', { NetworkMode: 'front' });
  const two = await engine.start('two', { NetworkMode: 'front' });
  const running = [one, two];
  // in the place of the first one's monitor
  const self = identify(process.pid)!;
  const names = Object.values(one.attachment!.nameSockets!);
  const held = new Map(names.map((name) => [name, takeDescriptor(self, (other) => other === name)!]));
  engine.abandon();

  const byUdp = lookup(one.namespace, 'two');
  const socket = new Socket({ fd: one.namespace.run<number>(() => newSocket(2, 1, 0)) });
  socket.connect(53, '127.0.0.11');
  await once(socket, 'connect');
  socket.write(framed(makeQuery(6, 'two', TYPE.A)));
  const byTcp = once(socket, 'data') as Promise<[Buffer]>;
  await setTimeout(100);

  engine = new LabEngine(lab, { database: join(lab.directory, 'state.db') });
  for (const container of running) {
    engine.containers.set(container.id, container);
    await engine.opened.networking.adopt(container, container.pid, container.attachment!, (name) => held.get(name));
  }
  await engine.opened.networking.recovered();
  assert.deepEqual(await byUdp, [addressOn(two, 'front')]);
  assert.deepEqual(parse((await byTcp)[0].subarray(2)), [addressOn(two, 'front')]);
  socket.destroy();
  assert.deepEqual(await lookup(two.namespace, 'one'), [addressOn(one, 'front')], 'on new sockets');
  assert.deepEqual(await lookup(one.namespace, 'two'), [addressOn(two, 'front')]);
  for (const container of running) await engine.stop(container);
});

test('one that floods its name server takes nothing from the others (89)', root, async () => {
  const flooder = await engine.start('flooder', { NetworkMode: 'front' });
  const web = await engine.start('calm', { NetworkMode: 'front' });
  const asker = await engine.start('asker', { NetworkMode: 'front' });
  const sockets = Array.from({ length: 4 }, () => {
    const socket = createSocket('udp4');
    socket.bind({ fd: boundSocket({ protocol: 'udp', address: new Uint8Array(4), port: 0 }, flooder.namespace) });
    return socket;
  });
  const codes = new Map<number, number>();
  for (const socket of sockets) {
    socket.on('message', (answer: Buffer) => codes.set(answerCode(answer), (codes.get(answerCode(answer)) ?? 0) + 1));
  }
  try {
    let sent = 0;
    const flood = async (): Promise<void> => {
      for (let round = 0; round < 10; round++) {
        for (const socket of sockets) {
          for (let n = 0; n < 50; n++) {
            sent++;
            const name = n % 2 === 0 ? 'calm' : `nobody-${sent}.invalid`;
            socket.send(makeQuery(sent % 65_536, name, TYPE.A), 53, '127.0.0.11');
          }
        }
        await setTimeout(1);
      }
    };
    const [, ...answers] = await Promise.all([
      flood(),
      ...Array.from({ length: 20 }, () => lookup(asker.namespace, 'calm')),
    ]);
    assert.equal(sent, 2000);
    for (const answer of answers) assert.deepEqual(answer, [addressOn(web, 'front')]);
    assert.deepEqual(await lookup(asker.namespace, 'calm'), [addressOn(web, 'front')], 'and afterwards');
    assert.ok((codes.get(0) ?? 0) > 0, 'the one that floods is answered too');
  } finally {
    for (const socket of sockets) socket.close();
    for (const each of [flooder, web, asker]) await engine.stop(each);
  }
});

test('many containers of one alias are answered in turn, quickly', root, async () => {
  const containers = [];
  for (let at = 0; at < 3; at++) {
    containers.push(await engine.start(`c${at}`, { NetworkMode: 'front' }, { front: { Aliases: ['pool'] } }));
  }
  const firsts = new Set<string>();
  for (let at = 0; at < 6; at++) firsts.add(((await lookup(containers[0]!.namespace, 'pool')) as string[])[0]!);
  assert.equal(firsts.size, 3);
  for (const container of containers) await engine.stop(container);
});

test('a trace says who was asked and what came back', root, async () => {
  const server = createSocket('udp4').unref();
  server.bind({ fd: boundSocket({ protocol: 'udp', address: new Uint8Array(4), port: 53 }, lab.host) });
  server.on('message', (message, peer) => {
    const query = parseQuery(message)!;
    const answers = query.question.type === TYPE.A ? [{ type: TYPE.A, data: Uint8Array.of(203, 0, 113, 5) }] : [];
    const found = query.question.name === 'example.org';
    server.send(
      makeAnswer(message, query, found ? { code: 0, answers, ttl: 60 } : { code: 3 }),
      peer.port,
      peer.address,
    );
  });
  const web = await engine.start('web', { NetworkMode: 'front' }, { front: { Aliases: ['www'] } });
  const app = await engine.start('app', { NetworkMode: 'front', Dns: ['127.0.0.1'] }, { front: {}, back: {} });
  const outer = await engine.start('outer', {
    NetworkMode: 'front',
    DnsSearch: ['corp.test'],
    Dns: [hostAddress(web)],
  });
  const { networks } = engine.opened;
  const lines = ({ Steps }: Awaited<ReturnType<typeof networks.traceName>>): string[] =>
    Steps.map(({ Question, Source, Result }) => `${Question} | ${Source} | ${Result}`);

  const own = await networks.traceName('www', 'app');
  assert.deepEqual(own.Addresses, [addressOn(web, 'front')]);
  assert.deepEqual(lines(own).slice(0, 2), [
    `www A | network front | ${addressOn(web, 'front')}`,
    'www A | network back | no such name',
  ]);
  const other = await networks.traceName('example.org', 'outer');
  assert.deepEqual(other.Addresses, ['203.0.113.5']);
  const missing = await networks.traceName('nowhere', 'outer');
  assert.deepEqual(missing.Addresses, []);
  assert.ok(lines(missing).includes(`nowhere.corp.test AAAA | ${hostAddress(web)} | NXDOMAIN: no such name`));
  assert.ok(
    lines(await networks.traceName('example.org', 'outer')).some((line) => /A \| cache \| 203\.0\.113\.5/.test(line)),
  );

  await assert.rejects(networks.traceName('www', 'nobody'), { message: /No such container/ });
  await assert.rejects(networks.traceName('a b', 'app'), { message: /invalid name/ });
  for (const container of [web, app, outer]) await engine.stop(container);
  server.close();
});

function hostAddress(container: LabContainer): string {
  return container.attachment!.endpoints['front']!.Gateway!;
}

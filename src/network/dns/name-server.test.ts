import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { boundSocket } from '../../linux/bound-socket.ts';
import { answerCode, isAnswerTo, makeAnswer, makeQuery, parseQuery, RCODE, reverseAddress, TYPE } from './message.ts';
import { type Client, NameServer, ownAnswers } from './name-server.ts';
import { bytesOf, NameTable } from './name-table.ts';
import { Upstream } from './upstream.ts';

const table = new NameTable();
const endpoint = (containerId: string, names: string[], ipv4: string, network = 'red') => ({
  networkId: network,
  network,
  containerId,
  names,
  ipv4,
  ipv6: undefined,
});
table.set('1', [endpoint('1', ['web', 'app', '0123456789ab'], '10.0.0.2')]);
table.set('2', [endpoint('2', ['db', 'app'], '10.0.0.3'), endpoint('2', ['db'], '10.1.0.3', 'blue')]);
const client: Client = { networks: ['red'], links: new Map([['alias', 'db']]), upstream: () => [] };

function ask(name: string, type: number = TYPE.A, who: Client = client): string[] | undefined {
  const message = makeQuery(7, name, type);
  const answers = ownAnswers(table, who, parseQuery(message)!);
  return answers?.map(({ data }) => (data.length === 4 ? data.join('.') : Buffer.from(data).toString('latin1')));
}

test('names, aliases, ids, with the network behind them, in any case', () => {
  assert.deepEqual(ask('web'), ['10.0.0.2']);
  assert.deepEqual(ask('WEB.red'), ['10.0.0.2']);
  assert.deepEqual(ask('0123456789ab'), ['10.0.0.2']);
  assert.deepEqual(ask('alias'), ['10.0.0.3']);
  assert.deepEqual(ask('web', TYPE.AAAA), []);
  assert.equal(ask('nobody'), undefined);
  assert.equal(ask('web', TYPE.A, { ...client, networks: ['blue'] }), undefined);
});

test('a name of several is answered in turn', () => {
  const firsts = new Set([ask('app')![0], ask('app')![0]]);
  assert.deepEqual(firsts, new Set(['10.0.0.2', '10.0.0.3']));
});

test('reverse', () => {
  assert.deepEqual(ask('2.0.0.10.in-addr.arpa', TYPE.PTR), ['\u0003web\u0003red\u0000']);
  assert.equal(ask('9.0.0.10.in-addr.arpa', TYPE.PTR), undefined);
  assert.deepEqual(reverseAddress(`${'1' + '.0'.repeat(31)}.ip6.arpa`), bytesOf('::1'));
});

test('a container that goes takes its names along', () => {
  const own = new NameTable();
  own.set('1', [endpoint('1', ['web'], '10.0.0.2')]);
  own.set('1', [endpoint('1', ['www'], '10.0.0.2')]);
  assert.equal(own.find(['red'], 'web').length, 0);
  own.remove('1');
  own.remove('1');
  assert.equal(own.find(['red'], 'www').length, 0);
  assert.equal(own.reverse(['red'], bytesOf('10.0.0.2')), undefined);
});

test('broken messages are no queries', () => {
  const good = makeQuery(1, 'a.b', TYPE.A);
  for (let length = 0; length < good.length; length++) assert.equal(parseQuery(good.subarray(0, length)), undefined);
  const loop = Buffer.from(good);
  loop.writeUInt16BE(0xc00c, 12);
  assert.equal(parseQuery(loop), undefined);
  for (let seed = 1; seed < 3000; seed++) {
    const noise = Buffer.from(good);
    for (let n = 0; n < 4; n++) noise[(seed * 31 + n * 7) % noise.length] = (seed * 17 + n * 91) & 255;
    parseQuery(noise);
  }
});

test('an answer that does not fit says so', () => {
  const message = makeQuery(1, 'many', TYPE.A);
  const query = parseQuery(message)!;
  const answers = Array.from({ length: 60 }, () => ({ type: TYPE.A, data: bytesOf('10.0.0.1') }));
  const answer = makeAnswer(message, query, { code: 0, answers, limit: query.udpSize });
  assert.ok(answer.length <= 512);
  assert.equal(answer.readUInt8(2) & 2, 2);
});

test('a server that fails or is silent is followed by the next; answers are kept', async () => {
  let asked = 0;
  const server = async (reply: (message: Buffer) => Buffer | undefined) => {
    const socket = createSocket('udp4').unref();
    socket.on('message', (message, peer) => {
      const answer = reply(message);
      if (answer) socket.send(answer, peer.port, peer.address);
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return { socket, address: '127.0.0.1', port: socket.address().port };
  };
  const silent = await server(() => undefined);
  const failing = await server((m) => makeAnswer(m, parseQuery(m)!, { code: RCODE.serverFailure }));
  const good = await server((m) => {
    asked++;
    const answers = [{ type: TYPE.A, data: bytesOf('192.0.2.7') }];
    return makeAnswer(m, parseQuery(m)!, { code: 0, answers, ttl: 30 });
  });
  let clock = 0;
  const upstream = new Upstream(() => clock);
  const message = makeQuery(9, 'example.test', TYPE.A);
  const query = parseQuery(message)!;
  const answer = await upstream.ask(message, query, [failing, silent, good], 'udp');
  assert.ok(answer && isAnswerTo(query, answer));
  clock = 10_000;
  const again = makeQuery(10, 'example.test', TYPE.A);
  const kept = await upstream.ask(again, parseQuery(again)!, [failing, silent, good], 'udp');
  assert.equal(asked, 1);
  assert.equal(kept!.readUInt16BE(0), 10);
  assert.equal(kept!.readUInt32BE(kept!.length - 10), 20);
  clock = 31_000;
  assert.equal(answerCode((await upstream.ask(again, parseQuery(again)!, [failing], 'udp'))!), RCODE.serverFailure);
  for (const { socket } of [silent, failing, good]) socket.close();
});

test('one container asks others at most so much at once, and the rest is for the next one', async () => {
  const heard = new Set<string>();
  const silent = createSocket('udp4').bind(0, '127.0.0.1');
  await once(silent, 'listening');
  silent.on('message', (message: Buffer) => heard.add(parseQuery(message)!.question.name));
  const upstream = new Upstream();
  const server = (): NameServer => {
    const bound = (protocol: 'udp' | 'tcp'): number =>
      boundSocket({ protocol, address: bytesOf('127.0.0.1'), port: 0 });
    const asks: Client = { ...client, upstream: () => [{ address: '127.0.0.1', port: silent.address().port }] };
    return new NameServer({ sockets: { udp: bound('udp'), tcp: bound('tcp') }, table, upstream, client: () => asks });
  };
  const [greedy, modest] = [server(), server()];
  const ask = async (who: NameServer, n: number): Promise<number> =>
    answerCode((await who.answer(makeQuery(n, `n${n}.test`, TYPE.A), 'udp'))!);
  try {
    const asked = Array.from({ length: 250 }, (_, n) => ask(greedy, n));
    // in the same turn of the loop: those before are all under way
    asked.push(ask(greedy, 251), ask(modest, 252));
    for (const code of await Promise.all(asked)) assert.equal(code, RCODE.serverFailure, 'nobody answers');
    assert.ok(!heard.has('n251.test'), 'one too many is not asked');
    assert.ok(heard.has('n252.test'), 'another container’s is');
    await ask(greedy, 253);
    assert.ok(heard.has('n253.test'), 'there is room again');
  } finally {
    greedy.close();
    modest.close();
    silent.close();
  }
});

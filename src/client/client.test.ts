import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseEndpoint } from './endpoint.ts';
import { demultiplex } from './multiplex.ts';
import { filtersQuery, olderVersion, queryString } from './query.ts';

test('hosts', () => {
  assert.deepEqual(parseEndpoint('unix:///x.sock'), { kind: 'unix', url: 'unix:///x.sock', path: '/x.sock' });
  assert.deepEqual(parseEndpoint('tcp://h'), { kind: 'tcp', url: 'tcp://h', host: 'h', port: 2375, tls: undefined });
  assert.equal((parseEndpoint('tcp://[::1]:80') as { host: string; port: number }).port, 80);
  assert.equal((parseEndpoint('https://h') as { port: number }).port, 2376);
  assert.deepEqual(parseEndpoint('ssh://me@h:22/x.sock'), {
    kind: 'ssh',
    url: 'ssh://me@h:22/x.sock',
    host: 'h',
    user: 'me',
    port: '22',
    path: '/x.sock',
  });
  for (const bad of ['', 'unix://', 'ftp://x', 'tcp://h:99999', 'ssh://-oProxyCommand=x', 'ssh://a:b@h']) {
    assert.throws(() => parseEndpoint(bad), { code: 'invalid-argument' }, bad);
  }
});

const frame = (stream: number, text: string): Buffer => {
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([head, Buffer.from(text)]);
};

test('multiplexed output, cut at every byte', async () => {
  const whole = Buffer.concat([frame(1, 'one'), frame(1, '+'), frame(2, 'err'), frame(1, ''), frame(1, 'two')]);
  for (let size = 1; size <= whole.length; size++) {
    async function* pieces(): AsyncGenerator<Buffer> {
      for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size);
    }
    let stdout = '';
    let stderr = '';
    for await (const { stream, data } of demultiplex(pieces())) {
      if (stream === 'stdout') stdout += data.toString();
      else stderr += data.toString();
    }
    assert.deepEqual([stdout, stderr], ['one+two', 'err']);
  }
});

test('neighbouring frames come as one; order between streams is kept', async () => {
  async function* source(): AsyncGenerator<Buffer> {
    yield Buffer.concat([frame(1, 'a'), frame(1, 'b'), frame(2, 'c'), frame(1, 'd')]);
  }
  const parts = [];
  for await (const { stream, data } of demultiplex(source())) parts.push(`${stream}:${data.toString()}`);
  assert.deepEqual(parts, ['stdout:ab', 'stderr:c', 'stdout:d']);
});

test('broken frames', async () => {
  const read = async (...pieces: Buffer[]): Promise<void> => {
    async function* source(): AsyncGenerator<Buffer> {
      yield* pieces;
    }
    for await (const _ of demultiplex(source()));
  };
  await assert.rejects(read(Buffer.from('plain text')), /unrecognized stream/);
  await assert.rejects(read(frame(1, 'abc').subarray(0, 9)), /unexpected EOF/);
  await assert.rejects(read(frame(3, 'the engine says no')), { message: 'the engine says no' });
});

test('queries', () => {
  assert.equal(
    queryString({ a: 'x y', b: undefined, c: true, d: false, e: ['1', '2'], f: 0 }),
    '?a=x%20y&c=1&d=0&e=1&e=2&f=0',
  );
  assert.equal(queryString({}), '');
  assert.equal(filtersQuery(new Map([['label', ['a', '__proto__']]])), '{"label":{"a":true,"__proto__":true}}');
  assert.equal(filtersQuery(new Map()), undefined);
});

test('versions', () => {
  assert.equal(olderVersion('1.9', '1.24'), '1.9');
  assert.equal(olderVersion('1.51', '1.41'), '1.41');
});

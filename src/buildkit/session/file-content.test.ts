import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentFrames, type WantedFile } from './file-content.ts';

interface Piece {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** A client that sends what it is asked for, `order` says how. */
function transfer(
  files: Readonly<Record<number, readonly string[]>>,
  order: (pieces: Piece[]) => Piece[] = (all) => all,
) {
  const asked: number[] = [];
  let pending: Piece[] = [];
  return {
    asked,
    request: async (ids: readonly number[]) => {
      asked.push(...ids);
      for (const id of ids) {
        for (const text of files[id] ?? []) pending.push({ id, bytes: Buffer.from(text) });
        pending.push({ id, bytes: new Uint8Array(0) });
      }
    },
    data: async () => {
      const now = order(pending);
      pending = [];
      return now.length > 0 ? now : undefined;
    },
  };
}

async function read(frames: AsyncIterable<Uint8Array>): Promise<[number, string, boolean][]> {
  const bytes = Buffer.concat(await Array.fromAsync(frames));
  const found: [number, string, boolean][] = [];
  for (let at = 0; at < bytes.length;) {
    const size = Number(bytes.readBigUInt64BE(at + 4));
    found.push([bytes.readUInt32BE(at), bytes.toString('utf8', at + 12, at + 12 + size), bytes[at + 12 + size] === 1]);
    at += 13 + size;
  }
  return found;
}

const wanted = (index: number, size: number): WantedFile => ({ index, id: index + 10, size });

test('files come in the order in which they are wanted, however the client mixes them', async () => {
  const files = { 10: ['a'], 11: ['b', 'bb'], 12: [] };
  const from = transfer(files, (pieces) => pieces.toSorted((a, b) => b.id - a.id));
  assert.deepEqual(await read(contentFrames([wanted(0, 1), wanted(1, 3), wanted(2, 0)], from)), [
    [0, 'a', false],
    [1, 'bbb', false],
    [2, '', false],
  ]);
  assert.deepEqual(from.asked, [10, 11, 12]);
});

test('a small file that changed on the way is what came, and is marked', async () => {
  assert.deepEqual(await read(contentFrames([wanted(0, 5)], transfer({ 10: ['abc'] }))), [[0, 'abc', true]]);
  assert.deepEqual(await read(contentFrames([wanted(0, 2)], transfer({ 10: ['abc'] }))), [[0, 'abc', true]]);
});

test('a large file that grew is cut, one that shrank is an error', async () => {
  const large = 2 << 20;
  const grew = await read(contentFrames([wanted(0, large)], transfer({ 10: ['x'.repeat(large), 'yy'] })));
  assert.deepEqual([grew[0]?.[1].length, grew[0]?.[2]], [large, true]);
  await assert.rejects(read(contentFrames([wanted(0, large)], transfer({ 10: ['x'] }))), /became shorter/);
});

test('what nobody asked for, and an end in the middle, are errors', async () => {
  const liar = { request: async () => {}, data: async () => [{ id: 99, bytes: Buffer.from('x') }] };
  await assert.rejects(read(contentFrames([wanted(0, 1)], liar)), /nobody asked for/);
  const gone = { request: async () => {}, data: async () => undefined };
  await assert.rejects(read(contentFrames([wanted(0, 1)], gone)), /stopped sending/);
});

test('not all is asked for at once', async () => {
  const many = Array.from({ length: 40 }, (_, n) => wanted(n, 1 << 20));
  const from = transfer(Object.fromEntries(many.map(({ id }) => [id, ['x'.repeat(1 << 20)]])));
  const frames = contentFrames(many, from)[Symbol.asyncIterator]();
  await frames.next();
  assert.ok(from.asked.length < 20, String(from.asked.length));
  await frames.return(undefined);
});

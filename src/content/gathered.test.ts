import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gathered } from './gathered.ts';

async function* pieces(...sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let next = 0;
  for (const size of sizes) yield Uint8Array.from({ length: size }, () => next++);
}

async function sizesOf(source: AsyncIterable<Uint8Array>, size: number): Promise<{ sizes: number[]; bytes: Buffer }> {
  const parts: Buffer[] = [];
  for await (const part of gathered(source, size)) {
    assert.equal(part.byteLength, part.buffer.byteLength, 'each piece has memory of its own');
    parts.push(Buffer.from(part));
  }
  return { sizes: parts.map(({ length }) => length), bytes: Buffer.concat(parts) };
}

describe('gathered', () => {
  test('pieces of one size but the last, and the same bytes', async () => {
    const { sizes, bytes } = await sizesOf(pieces(3, 5, 1, 1, 20, 4), 8);
    assert.deepEqual(sizes, [8, 8, 8, 8, 2]);
    assert.deepEqual([...bytes], [...Array(34).keys()]);
    assert.deepEqual((await sizesOf(pieces(), 8)).sizes, []);
    assert.deepEqual((await sizesOf(pieces(8, 8), 8)).sizes, [8, 8]);
  });

  test('what came before a failure is passed on before it', async () => {
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield* pieces(5, 5);
      throw new Error('the connection broke');
    };
    const parts: number[] = [];
    await assert.rejects(async () => {
      for await (const part of gathered(broken(), 8)) parts.push(part.byteLength);
    }, /the connection broke/);
    assert.deepEqual(parts, [8, 2]);
  });

  test('what comes slowly does not wait for a whole piece', async () => {
    const slow = async function* (): AsyncGenerator<Uint8Array> {
      for (let count = 0; count < 3; count++) {
        yield Uint8Array.of(count);
        await sleep(150);
        yield Uint8Array.of(count);
      }
    };
    const { sizes, bytes } = await sizesOf(slow(), 1000);
    assert.ok(sizes.length > 1, `${sizes.length} pieces`);
    assert.deepEqual([...bytes], [0, 0, 1, 1, 2, 2]);
  });

  test('a reader that leaves ends the source', async () => {
    let ended = false;
    const source = (async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Uint8Array.of(1, 2, 3, 4);
      } finally {
        ended = true;
      }
    })();
    for await (const part of gathered(source, 4)) {
      assert.equal(part.byteLength, 4);
      break;
    }
    assert.equal(ended, true);
  });
});

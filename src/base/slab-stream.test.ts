import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { slabsOf } from './slab-stream.ts';
import { giveSlab, isSlab, SLAB_BYTES, takeSlab } from './slabs.ts';

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) {
    // Memory of its own, as what comes from a socket.
    const own = Buffer.allocUnsafeSlow(Math.min(size, bytes.length - at));
    bytes.copy(own, 0, at);
    yield own;
    if ((at / size) % 50 === 0) await turn();
  }
}

describe('a stream in slabs', () => {
  it('has the same bytes, in fewer pieces', async () => {
    for (const [length, size] of [
      [0, 1],
      [1, 1],
      [SLAB_BYTES, 4096],
      [SLAB_BYTES * 5 + 3, 32 << 10],
      [SLAB_BYTES * 3 + 1, SLAB_BYTES * 2 - 1],
    ] as const) {
      const bytes = randomBytes(length);
      const got: Buffer[] = [];
      for await (const piece of slabsOf(Readable.from(pieces(bytes, size)))) {
        assert.ok(piece.length > 0 && piece.length <= SLAB_BYTES && isSlab(piece.buffer));
        got.push(Buffer.from(piece));
        giveSlab(piece.buffer);
        // A reader that has something to do.
        if (got.length % 2 === 0) await turn();
      }
      assert.ok(Buffer.concat(got).equals(bytes), `${length} in pieces of ${size}`);
      assert.ok(got.length <= Math.ceil(length / size) + Math.ceil(length / SLAB_BYTES), `${got.length} pieces`);
    }
  });

  it('holds no more than a few slabs while its reader is busy', async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      for (; given < 1000; given++) yield Buffer.allocUnsafeSlow(64 << 10);
    }
    const slabs = slabsOf(Readable.from(endless()));
    await slabs.next();
    for (let turns = 0; turns < 200; turns++) await turn();
    assert.ok(given < 100, `${given} chunks were taken`);
    await slabs.return(undefined);
  });

  it('gives what came first, then fails as the stream does', async () => {
    async function* failing(): AsyncGenerator<Buffer> {
      yield Buffer.allocUnsafeSlow(100);
      throw new Error('the line is cut');
    }
    await assert.rejects(Array.fromAsync(slabsOf(Readable.from(failing()))), /the line is cut/);
    const cut = new Readable({ read: () => {} });
    cut.push(Buffer.allocUnsafeSlow(10));
    const slabs = slabsOf(cut);
    assert.equal((await slabs.next()).value?.length, 10);
    const rest = slabs.next();
    cut.destroy();
    await assert.rejects(rest, { code: 'cancelled' });
  });

  it('leaves a stream as it is, paused, when its reader has enough', async () => {
    const stream = Readable.from(pieces(randomBytes(1 << 20), 1 << 14));
    for await (const _ of slabsOf(stream)) break;
    assert.equal(stream.destroyed, false);
    assert.equal(stream.listenerCount('data'), 0);
    stream.destroy();
  });
});

it('a slab is had by one at a time, and given back once', () => {
  const one = takeSlab();
  const two = takeSlab();
  assert.notEqual(one, two);
  giveSlab(one);
  giveSlab(one);
  const again = [takeSlab(), takeSlab()];
  assert.equal(new Set(again).size, 2);
  assert.equal(isSlab(new ArrayBuffer(SLAB_BYTES)), false);
});

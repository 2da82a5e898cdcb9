import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync, inflateRawSync } from 'node:zlib';
import { END_OF_DEFLATE, IsalDeflate, IsalGunzip } from './isal.ts';

const skip = IsalDeflate.open() === undefined && 'libisal is not installed';

test(
  'what isal compresses, zlib reads: blocks of any size, empty, random and repeated, from one memory',
  { skip },
  async () => {
    const contents = [
      Buffer.alloc(0),
      Buffer.from('x'),
      randomBytes(3_000_000),
      Buffer.alloc(5_000_000, 'repeated '),
      Buffer.concat([randomBytes(70_000), Buffer.alloc(70_000)]),
    ];
    const deflate = IsalDeflate.open()!;
    for (const content of contents) {
      for (const size of [1, 1000, 65_536, 262_144, 10_000_000]) {
        if (content.length / size > 5000) continue;
        const parts: Uint8Array[] = [];
        for (let at = 0; at < content.length; at += size)
          parts.push(Buffer.from(await deflate.block(content.subarray(at, at + size))));
        const whole = Buffer.concat([...parts, END_OF_DEFLATE]);
        assert.ok(inflateRawSync(whole).equals(content), `${content.length} in pieces of ${size}`);
      }
    }
  },
);

test('a block is the same bytes whatever was compressed before it, and beside it', { skip }, async () => {
  const block = Buffer.alloc(900_000, 'one and the same ');
  const alone = await IsalDeflate.open()!.block(block);
  const deflate = IsalDeflate.open()!;
  await deflate.block(randomBytes(500_000));
  const beside = [1, 2, 3].map((seed) => IsalDeflate.open()!.block(Buffer.alloc(900_000, `${seed} and `)));
  assert.deepEqual(await deflate.block(block), alone);
  assert.deepEqual(deflate.blockSync(block), alone);
  for (const [index, other] of (await Promise.all(beside)).entries()) {
    const text = Buffer.alloc(900_000, `${index + 1} and `);
    assert.ok(inflateRawSync(Buffer.concat([other, END_OF_DEFLATE])).equals(text));
  }
});

function inflate(data: Uint8Array, size: number): Buffer {
  const gunzip = IsalGunzip.open()!;
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length; at += size) {
    for (const part of gunzip.push(data.subarray(at, at + size))) parts.push(Buffer.from(part));
  }
  gunzip.finish();
  return Buffer.concat(parts);
}

test(
  'what zlib compresses, isal reads: members one after the other, headers with names, in any pieces',
  { skip },
  () => {
    const texts = [
      Buffer.alloc(0),
      Buffer.from('x'),
      randomBytes(400_000),
      Buffer.alloc(3_000_000, 'again and again '),
    ];
    for (const text of texts) {
      for (const level of [0, 1, 6, 9]) {
        const data = Buffer.concat([
          gzipSync(text, { level }),
          gzipSync(Buffer.from('second')),
          gzipSync(text, { level }),
        ]);
        const whole = Buffer.concat([text, Buffer.from('second'), text]);
        for (const size of [7, 1000, 65_536, 10_000_000]) {
          if (data.length / size > 5000) continue;
          assert.ok(inflate(data, size).equals(whole), `${text.length} at level ${level} in pieces of ${size}`);
        }
      }
    }
    const named = Buffer.concat([
      Buffer.from([31, 139, 8, 8, 0, 0, 0, 0, 0, 3]),
      Buffer.from('name\0'),
      gzipSync('text').subarray(10),
    ]);
    assert.equal(inflate(named, 1).toString(), 'text');
    assert.equal(inflate(Buffer.concat([gzipSync('text'), Buffer.alloc(1000)]), 13).toString(), 'text');
  },
);

test('what is no gzip, cut off or changed is refused', { skip }, () => {
  const good = gzipSync(randomBytes(100_000));
  const corrupt = { code: 'corrupt' };
  for (const cut of [1, 5, 100, 99_000])
    assert.throws(() => inflate(good.subarray(0, cut), 1000), corrupt, String(cut));
  assert.throws(() => inflate(Buffer.from('no gzip at all, and long enough'), 10), corrupt);
  for (const at of [2, 20_000, good.length - 6, good.length - 1]) {
    const changed = Buffer.from(good);
    changed[at]! ^= 0xff;
    assert.throws(() => inflate(changed, 10_000), corrupt, String(at));
  }
});

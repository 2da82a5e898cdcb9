import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { decompress, type DecompressOptions, sniffCompression } from './compression.ts';

async function plain(data: Buffer, chunkSize: number, options?: DecompressOptions): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(decompress(chunks(data, chunkSize), options)));
}

async function* chunks(data: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

/** A frame that decoders skip. */
function skippable(data: Buffer, form = 0): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x184d2a50 + form, 0);
  head.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, data]);
}

const text = Buffer.concat([Buffer.alloc(200_000, 'many words '), randomBytes(200_000), Buffer.alloc(300_000)]);
const checked = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };
const unsized = { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } };

describe('decompress', () => {
  const variants: Record<string, Buffer> = {
    none: text,
    gzip: gzipSync(text),
    'gzip of two members': Buffer.concat([gzipSync(text.subarray(0, 300_000)), gzipSync(text.subarray(300_000))]),
    zstd: zstdCompressSync(text),
    'zstd of many frames, skippable ones between, with checksums and without': Buffer.concat([
      skippable(Buffer.from('index'), 5),
      zstdCompressSync(text.subarray(0, 1)),
      zstdCompressSync(Buffer.alloc(0)),
      zstdCompressSync(text.subarray(1, 250_000), checked),
      skippable(Buffer.alloc(0)),
      zstdCompressSync(text.subarray(250_000), unsized),
      skippable(randomBytes(1000), 15),
    ]),
  };
  for (const [name, data] of Object.entries(variants)) {
    test(name, async () => {
      for (const size of [97, 65536, 1 << 20]) assert.ok((await plain(data, size)).equals(text), `chunks of ${size}`);
    });
  }

  test('nothing at all is nothing', async () => {
    assert.equal((await plain(Buffer.alloc(0), 1)).length, 0);
    assert.equal(sniffCompression(Buffer.from([0x1f])), 'none');
  });

  test('broken data', async () => {
    const zstd = zstdCompressSync(text);
    await assert.rejects(plain(Buffer.concat([zstd, Buffer.from('junk')]), 65536), {
      code: 'corrupt',
      message: /something else follows/,
    });
    await assert.rejects(plain(zstd.subarray(0, -5), 65536), { code: 'corrupt' });
    await assert.rejects(plain(gzipSync(text).subarray(0, -5), 65536), { code: 'corrupt' });
    const flipped = Buffer.from(gzipSync(text));
    flipped[flipped.length - 6]! ^= 1;
    await assert.rejects(plain(flipped, 65536), { code: 'corrupt' });
  });

  test('growth without measure is stopped', async () => {
    const bomb = gzipSync(Buffer.alloc(20 << 20));
    await assert.rejects(plain(bomb, 1024, { maxRatio: 500, ratioFrom: 1 << 20 }), { code: 'too-large' });
    assert.equal((await plain(bomb, 1024)).length, 20 << 20);
  });
});

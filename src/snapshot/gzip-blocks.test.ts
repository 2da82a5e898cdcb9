import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { IsalGunzip } from '../linux/isal.ts';
import { BLOCK_BYTES, gzipBlocks, type GzipBlocksOptions } from './gzip-blocks.ts';

function* blocksOf(content: Buffer): Generator<Uint8Array> {
  for (let at = 0; at < content.length; at += BLOCK_BYTES) yield content.subarray(at, at + BLOCK_BYTES);
}

async function compressed(content: Buffer, options: GzipBlocksOptions): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(gzipBlocks(blocksOf(content), options), (part) => Buffer.from(part)));
}

const CONTENTS: Readonly<Record<string, Buffer>> = {
  empty: Buffer.alloc(0),
  'one byte': Buffer.from('x'),
  'one block': Buffer.alloc(BLOCK_BYTES, 'whole '),
  text: Buffer.alloc(5_300_000, 'words and words '),
  random: randomBytes(3_200_000),
};

for (const zlib of [false, true]) {
  test(`blocks are one gzip member that everybody reads, ${zlib ? 'by zlib' : 'by the fastest there is'}`, async () => {
    for (const [name, content] of Object.entries(CONTENTS)) {
      const data = await compressed(content, { zlib });
      assert.ok(gunzipSync(data).equals(content), `${name}: zlib reads it`);
      const gzip = spawnSync('gzip', ['-dc'], { input: data, maxBuffer: 64 << 20 });
      assert.equal(gzip.stderr.toString(), '', name);
      assert.ok(gzip.stdout.equals(content), `${name}: gzip reads it`);
      const isal = IsalGunzip.open();
      if (!isal) continue;
      const parts = [...isal.push(data)].map((part) => Buffer.from(part));
      isal.finish();
      assert.equal(Buffer.concat(parts).byteLength, content.byteLength, `${name}: isal reads it`);
    }
  });

  test(`the bytes are the same on any number of cores, ${zlib ? 'by zlib' : 'by the fastest there is'}`, async () => {
    for (const [name, content] of Object.entries(CONTENTS)) {
      const digests = new Set<string>();
      for (const threads of [1, 2, 3, 5]) {
        digests.add(
          createHash('sha256')
            .update(await compressed(content, { zlib, threads }))
            .digest('hex'),
        );
      }
      assert.equal(digests.size, 1, name);
    }
  });
}

test('each block is given back once, and none is in use when the reader leaves', async () => {
  const content = CONTENTS['text']!;
  const given: Uint8Array[] = [];
  const reading = gzipBlocks(blocksOf(content), { threads: 2, onDone: (block) => given.push(block) });
  await reading.next();
  await reading.next();
  const before = given.length;
  await reading.return(undefined);
  // Of the two that were begun at least one was not awaited by the reader.
  assert.ok(before <= 2);
  assert.equal(given.length, 2);
  const all: Uint8Array[] = [];
  await Array.fromAsync(gzipBlocks(blocksOf(content), { onDone: (block) => all.push(block) }));
  assert.equal(all.length, Math.ceil(content.length / BLOCK_BYTES));
});

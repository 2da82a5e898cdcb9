import assert from 'node:assert/strict';
import { chmod, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Digest } from '../../src/oci/digest.ts';
import { bytesOf } from '../../src/content/bytes.ts';
import { sha256 } from '../../src/oci/digest.ts';
import { oldDockerArchive, streamOf, tarOf } from './archive.ts';
import { TestImages } from './image-store.ts';

async function flip(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.byteLength >> 1]! ^= 1;
  await chmod(path, 0o600);
  await writeFile(path, bytes);
}

const kinds = (report: { problems: readonly { kind: string; repaired: boolean }[] }): string[] =>
  report.problems.map(({ kind, repaired }) => (repaired ? `${kind} (repaired)` : kind));

test('a healthy store has no problems', async () => {
  await using store = await TestImages.open();
  await store.images.load(streamOf(await oldDockerArchive('a:1', 'x')));
  const report = await store.images.fsck();
  assert.deepEqual(report.problems, []);
  assert.equal(report.blobs, 2);
});

test('a flipped bit in a document is found, and mended from the database', async () => {
  await using store = await TestImages.open();
  await store.images.load(streamOf(await oldDockerArchive('a:1', 'x')));
  const { Id: id } = await store.images.inspect('a:1');
  await flip(store.parts.content.path(id as Digest));
  assert.deepEqual(kinds(await store.images.fsck()), ['damaged blob']);
  assert.deepEqual(kinds(await store.images.fsck({ repair: true })), ['damaged blob (repaired)']);
  assert.deepEqual(kinds(await store.images.fsck()), []);
  await unlink(store.parts.content.path(id as Digest));
  assert.deepEqual(kinds(await store.images.fsck({ repair: true })), ['missing blob (repaired)']);
});

test("a damaged layer's blob is found, and is not saved as if it were whole", async () => {
  await using store = await TestImages.open();
  await store.images.load(streamOf(await oldDockerArchive('a:1', 'x')));
  const [layer] = store.parts.layers.list();
  await flip(store.parts.content.path(layer!.blob.digest));
  assert.deepEqual(kinds(await store.images.fsck()), ['damaged blob']);
  await assert.rejects(Array.fromAsync(await store.images.save(['a:1'])), { code: 'corrupt' });
});

test('changed files of a layer that was made here are found, and are not saved', async () => {
  await using store = await TestImages.open();
  await store.images.import(streamOf(await tarOf({ file: 'text' })), { repository: 'a' });
  const image = store.images.record('a');
  await writeFile(join(store.parts.snapshotter.changesDir(image.chain!), 'file'), 'TEXT');
  assert.deepEqual(kinds(await store.images.fsck()), ['damaged layer']);
  await assert.rejects(Array.fromAsync(await store.images.save(['a'])), { code: 'corrupt' });
});

test('a blob that nothing refers to is an orphan, and goes with a repair', async () => {
  await using store = await TestImages.open();
  await store.parts.content.write({ digest: sha256('stray'), size: 5 }, bytesOf('stray'));
  assert.deepEqual(kinds(await store.images.fsck()), ['orphan']);
  assert.deepEqual(kinds(await store.images.fsck({ repair: true })), ['orphan (repaired)']);
  assert.deepEqual((await store.contents()).blobs, []);
});

import assert from 'node:assert/strict';
import { unlink } from 'node:fs/promises';
import { test } from 'node:test';
import { oldDockerArchive, streamOf, tarOf } from './archive.ts';
import { NOTHING, TestImages } from './image-store.ts';
import { MemoryRegistry } from './registry.ts';

test('an image made here is pushed, pulled elsewhere under the same id, and known by its digest', async () => {
  const registry = new MemoryRegistry();
  await using here = await TestImages.open({ registry });
  await here.images.import(streamOf(await tarOf({ file: 'text' })), { repository: 'team/app', tag: '1' });
  await here.images.push('team/app:1');
  const made = await here.images.inspect('team/app:1');
  assert.match(made.RepoDigests[0]!, /^team\/app@sha256:/);

  await using there = await TestImages.open({ registry });
  await there.images.pull('team/app:1', { onProgress: there.onProgress });
  const pulled = await there.images.inspect('team/app:1');
  assert.equal(pulled.Id, made.Id);
  assert.deepEqual(pulled.RepoDigests, made.RepoDigests);
  assert.deepEqual(there.said, [
    'Pulling from team/app',
    'Pulling fs layer',
    'Verifying Checksum',
    'Download complete',
    'Extracting',
    'Extracting',
    'Pull complete',
    `Digest: ${made.RepoDigests[0]!.split('@')[1]}`,
    'Status: Downloaded newer image for team/app:1',
  ]);
  await there.images.pull('team/app:1', { onProgress: there.onProgress });
  assert.equal(there.said.at(-1), 'Status: Image is up to date for team/app:1');
  assert.equal((await there.images.inspect(made.RepoDigests[0]!)).Id, made.Id);

  // The last tag of a repository takes the digest with it.
  const items = await there.images.remove('team/app:1');
  assert.deepEqual(items.slice(0, 2), [{ Untagged: 'team/app:1' }, { Untagged: made.RepoDigests[0] }]);
  assert.deepEqual(await there.contents(), NOTHING);
});

test('by digest alone an image has no tag, and all tags come when they are asked for', async () => {
  const registry = new MemoryRegistry();
  await using here = await TestImages.open({ registry });
  for (const tag of ['1', '2']) {
    await here.images.import(streamOf(await tarOf({ file: tag })), { repository: 'app', tag });
    await here.images.push(`app:${tag}`);
  }
  const [digest] = (await here.images.inspect('app:1')).RepoDigests;
  await using there = await TestImages.open({ registry });
  await there.images.pull(digest!);
  const [image] = await there.images.list();
  assert.deepEqual([image!.RepoTags, image!.RepoDigests], [[], [digest]]);
  await there.images.pull('app', { all: true });
  assert.equal((await there.images.list()).length, 2);
  await assert.rejects(there.images.pull('app:3'), { code: 'not-found' });
});

test('a registry that fails leaves nothing', async () => {
  const registry = new MemoryRegistry();
  const failing = Object.assign(Object.create(registry) as MemoryRegistry, {
    fetch: async (...args: Parameters<MemoryRegistry['fetch']>) => {
      await registry.fetch(...args);
      throw new Error('connection reset');
    },
  });
  await using here = await TestImages.open({ registry });
  await here.images.import(streamOf(await tarOf({ file: 'x' })), { repository: 'app' });
  await here.images.push('app');
  await using there = await TestImages.open({ registry: failing });
  await assert.rejects(there.images.pull('app'), /connection reset/);
  assert.deepEqual(await there.contents(), NOTHING);
});

test('a layer that is gone comes back from where it was pulled', async () => {
  const registry = new MemoryRegistry();
  await using here = await TestImages.open({ registry });
  await here.images.load(streamOf(await oldDockerArchive('app:1', 'x', { gzipLayer: true })));
  await here.images.push('app:1');
  await using there = await TestImages.open({ registry });
  await there.images.pull('app:1');
  const [layer] = there.parts.layers.list();
  await unlink(there.parts.content.path(layer!.blob.digest));
  const found = await there.images.fsck({ repair: true });
  assert.deepEqual(
    found.problems.map(({ kind, repaired }) => [kind, repaired]),
    [['missing blob', true]],
  );
  assert.deepEqual((await there.images.fsck()).problems, []);
});

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { shortId } from '../../src/base/ids.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { streamOf, tarOf } from './archive.ts';
import { NOTHING, TestImages } from './image-store.ts';

let store: TestImages;
before(async () => void (store = await TestImages.open()));
after(() => store[Symbol.asyncDispose]());
afterEach(async () => {
  store.users.length = 0;
  for (;;) {
    const images = await store.images.list({ all: true });
    if (images.length === 0) break;
    for (const image of images) await store.images.remove(image.Id, { force: true }).catch(() => undefined);
  }
  assert.deepEqual(await store.contents(), NOTHING);
});

async function image(text: string, repository?: string): Promise<Digest> {
  const archive = streamOf(await tarOf({ file: text }));
  return (await store.images.import(archive, repository ? { repository } : {})).id as Digest;
}

/** An image made from another on this machine: a commit of a container without changes. */
async function child(parent: Digest, repository?: string): Promise<Digest> {
  const key = randomUUID();
  await store.parts.snapshotter.prepare(key, store.parts.images.get(parent)!.chain);
  const record = { id: key, imageId: parent, config: { Cmd: ['sh', '-c', 'x'] } };
  const { id } = await store.images.commit({ record, config: { Cmd: ['x'] }, repository });
  await store.parts.snapshotter.remove(key);
  return id as Digest;
}

const conflict = (message: string): object => ({ code: 'conflict', message });

test('the last name takes the image with it, and its layers', async () => {
  const id = await image('a', 'a');
  const chain = store.parts.images.get(id)!.chain!;
  assert.deepEqual(await store.images.remove('a'), [{ Untagged: 'a:latest' }, { Deleted: id }, { Deleted: chain }]);
  await assert.rejects(store.images.inspect('a'), { code: 'not-found', message: 'No such image: a:latest' });
});

test('one of two names is only taken away', async () => {
  const id = await image('a', 'a');
  await store.images.tag('a', 'b', '2');
  assert.deepEqual(await store.images.remove('b:2'), [{ Untagged: 'b:2' }]);
  assert.equal((await store.images.inspect('a')).Id, id);
});

test('by id, names in one repository go together, in several only by force', async () => {
  const id = await image('a', 'a');
  await store.images.tag('a', 'b');
  await assert.rejects(
    store.images.remove(shortId(id)),
    conflict(
      `conflict: unable to delete ${shortId(id)} (must be forced) - image is referenced in multiple repositories`,
    ),
  );
  const items = await store.images.remove(id, { force: true });
  assert.deepEqual(items.slice(0, 3), [{ Untagged: 'a:latest' }, { Untagged: 'b:latest' }, { Deleted: id }]);
});

test('a stopped container keeps the last name, and force takes it', async () => {
  const id = await image('a', 'a');
  store.users.push({ id: 'c'.repeat(64), imageId: id, running: false });
  const using = `container ${'c'.repeat(12)} is using its referenced image ${shortId(id)}`;
  await assert.rejects(
    store.images.remove('a'),
    conflict(`conflict: unable to remove repository reference "a" (must force) - ${using}`),
  );
  await assert.rejects(
    store.images.remove(id),
    conflict(
      `conflict: unable to delete ${shortId(id)} (must be forced) - image is being used by stopped container ${'c'.repeat(12)}`,
    ),
  );
  assert.equal((await store.images.remove('a', { force: true }))[1]?.Deleted, id);
});

test('a running container keeps the image against force', async () => {
  const id = await image('a', 'a');
  store.users.push({ id: 'c'.repeat(64), imageId: id, running: true });
  await assert.rejects(
    store.images.remove(id, { force: true }),
    conflict(
      `conflict: unable to delete ${shortId(id)} (cannot be forced) - image is being used by running container ${'c'.repeat(12)}`,
    ),
  );
  // By name, the name goes and the image stays without one.
  assert.deepEqual(await store.images.remove('a', { force: true }), [{ Untagged: 'a:latest' }]);
  assert.equal((await store.images.list({ filters: new Map([['dangling', ['true']]]) })).length, 1);
});

test('an image with children stays, and goes with the last of them when it has no name', async () => {
  const parent = await image('a');
  const id = await child(parent, 'child');
  await assert.rejects(
    store.images.remove(parent, { force: true }),
    conflict(`conflict: unable to delete ${shortId(parent)} (cannot be forced) - image has dependent child images`),
  );
  assert.deepEqual(
    (await store.images.list()).map((listed) => listed.Id),
    [id],
  );
  assert.equal((await store.images.list({ all: true })).length, 2);
  const items = await store.images.remove('child');
  assert.deepEqual(
    items.filter((item) => item.Deleted === id || item.Deleted === parent),
    [{ Deleted: id }, { Deleted: parent }],
  );
});

test('layers that another image stands on stay', async () => {
  const parent = await image('a', 'parent');
  const id = await child(parent, 'child');
  const chain = store.parts.images.get(parent)!.chain!;
  const items = await store.images.remove('child');
  assert.ok(items.some((item) => item.Deleted === id));
  assert.ok(!items.some((item) => item.Deleted === chain));
  assert.ok(store.parts.snapshotter.stat(chain));
});

test('pruning takes what has no name, or what nothing uses', async () => {
  const named = await image('a', 'a');
  const used = await image('b', 'b');
  const dangling = await image('c');
  store.users.push({ id: 'c'.repeat(64), imageId: used, running: false });
  const first = await store.images.prune(new Map());
  assert.ok(first.ImagesDeleted?.some((item) => item.Deleted === dangling));
  assert.equal(first.SpaceReclaimed, 1);
  assert.equal((await store.images.prune(new Map())).ImagesDeleted, null);
  const all = await store.images.prune(new Map([['dangling', ['false']]]));
  assert.ok(all.ImagesDeleted?.some((item) => item.Deleted === named));
  assert.deepEqual(
    (await store.images.list()).map((listed) => listed.Id),
    [used],
  );
  await assert.rejects(store.images.prune(new Map([['nope', ['1']]])), { message: "invalid filter 'nope'" });
});

test('removal beside loads of the same layers never takes what is being loaded', async () => {
  const archive = Buffer.concat(await Array.fromAsync(await saved('x')));
  await Promise.all(
    Array.from({ length: 12 }, async (_, index) => {
      if (index % 2 === 0) return store.images.load(streamOf(archive));
      await store.images.remove('x', { force: true }).catch((error: { code: string }) => {
        assert.equal(error.code, 'not-found');
      });
    }),
  );
  await store.images.load(streamOf(archive));
  assert.deepEqual((await store.images.fsck()).problems, []);
});

async function saved(name: string): Promise<AsyncIterable<Uint8Array>> {
  await image(name, name);
  const chunks = await Array.fromAsync(await store.images.save([name]));
  await store.images.remove(name);
  return streamOf(Buffer.concat(chunks));
}

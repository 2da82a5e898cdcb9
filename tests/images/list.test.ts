import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sampleImage, streamOf, tarOf } from './archive.ts';
import { TestImages } from './image-store.ts';

let store: TestImages;
before(async () => {
  store = await TestImages.open();
  await load('one', '2026-01-01T00:00:00Z', ['app:1', 'registry.example:5000/team/app:1']);
  await load('two', '2026-01-02T00:00:00.5Z', ['app:2']);
  await load('three', '2026-01-03T00:00:00Z', []);
});
after(() => store[Symbol.asyncDispose]());

/** An image of that age and these names, with the label `text=…`. */
async function load(text: string, created: string, names: string[]): Promise<void> {
  const { config, layer } = await sampleImage(text);
  const document = [{ Config: 'c', RepoTags: names, Layers: ['l'] }];
  const members = { c: config.replace(/"created":"[^"]*"/, `"created":"${created}"`), l: layer };
  await store.images.load(streamOf(await tarOf({ ...members, 'manifest.json': JSON.stringify(document) })));
}

async function texts(filters: Record<string, string[]>, all = false): Promise<string[]> {
  const listed = await store.images.list({ all, filters: new Map(Object.entries(filters)) });
  return listed.map((image) => image.Labels!['text']!);
}

for (const [filters, expected] of [
  [{}, ['three', 'two', 'one']],
  [{ dangling: ['true'] }, ['three']],
  [{ dangling: ['false'] }, ['two', 'one']],
  [{ label: ['text'] }, ['three', 'two', 'one']],
  [{ label: ['text=two'] }, ['two']],
  [{ label: ['text=two', 'other'] }, []],
  [{ reference: ['app'] }, ['two', 'one']],
  [{ reference: ['app:*1'] }, ['one']],
  [{ reference: ['*/*/app'] }, ['one']],
  [{ reference: ['nope', 'app:2'] }, ['two']],
  [{ before: ['app:2'] }, ['one']],
  [{ since: ['app:1'] }, ['three', 'two']],
  [{ until: ['2026-01-02T00:00:01Z'] }, ['two', 'one']],
  [{ until: ['1767312001'] }, ['two', 'one']],
  [{ until: ['1h'] }, ['three', 'two', 'one']],
] as const) {
  test(`filter ${JSON.stringify(filters)}`, async () => {
    assert.deepEqual(await texts(filters as unknown as Record<string, string[]>), expected);
  });
}

test('filters that are none are refused in words', async () => {
  await assert.rejects(texts({ nope: ['x'] }), { code: 'invalid-argument', message: "invalid filter 'nope'" });
  await assert.rejects(texts({ dangling: ['x'] }), {
    code: 'invalid-argument',
    message: "invalid filter 'dangling=[x]'",
  });
  await assert.rejects(texts({ until: ['soon'] }), { code: 'invalid-argument' });
  await assert.rejects(texts({ before: ['gone'] }), { code: 'not-found', message: 'No such image: gone:latest' });
});

test('names, sizes and times are shown as Docker shows them', async () => {
  const images = await store.images.list({ sharedSize: true });
  const one = images.at(-1)!;
  assert.deepEqual(one.RepoTags, ['app:1', 'registry.example:5000/team/app:1']);
  assert.deepEqual(one.RepoDigests, []);
  assert.equal(one.Created, Date.UTC(2026, 0, 1) / 1000);
  assert.equal(one.Size, 3);
  assert.equal(one.SharedSize, 0);
  assert.equal(one.Containers, 0);
});

test('an image is found by its id, the beginning of it, and its names', async () => {
  const { Id: id } = await store.images.inspect('app:1');
  const hex = id.slice(7);
  for (const name of [id, hex, hex.slice(0, 12), `sha256:${hex.slice(0, 6)}`, 'docker.io/library/app:1']) {
    assert.equal((await store.images.inspect(name)).Id, id, name);
  }
  for (const [name, message] of [
    ['nope', 'No such image: nope:latest'],
    ['0'.repeat(64), `No such image: sha256:${'0'.repeat(64)}`],
    ['app', 'No such image: app:latest'],
  ] as const) {
    await assert.rejects(store.images.inspect(name), { code: 'not-found', message });
  }
  await assert.rejects(store.images.inspect('app:1', { platform: 'linux/arm64' }), {
    code: 'not-found',
    message:
      'image with reference app:1 was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)',
  });
});

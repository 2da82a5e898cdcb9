import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChainId, Digest } from '../../oci/digest.ts';
import { BuildCache, type BuildCacheParts } from './build-cache.ts';

const HOUR = 3_600_000;
const MB = 1 << 20;

/** A cache of things with these sizes (MB) and ages (hours since their last use): what is left of it by name. */
function cacheOf(
  things: Readonly<
    Record<string, { type: 'step' | 'mount' | 'local' | 'git' | 'http'; mb: number; hours: number; inUse?: boolean }>
  >,
) {
  const left = new Map(Object.entries(things));
  const of = (type: string) =>
    [...left].flatMap(([name, { type: own, mb, hours, inUse = false }]) =>
      own === type
        ? [{ name, id: name, size: mb * MB, usedAt: Date.now() - hours * HOUR, inUse, path: '', createdAt: 0 }]
        : [],
    );
  const digest = (name: string): Digest => `sha256:${Buffer.from(name).toString('hex').padEnd(64, '0')}`;
  const remove = async (id: string): Promise<boolean> => left.delete(id);
  let collected = 0;
  const parts = {
    records: {
      list: () =>
        of('step').map(({ name, size, usedAt }) => ({
          key: digest(name),
          parent: undefined,
          text: `RUN ${name}`,
          layer: { chain: name as ChainId, diffId: digest(name), size },
          createdAt: '2020-01-01T00:00:00Z',
          usedAt,
          uses: 1,
        })),
      delete: (key: Digest) => [...left.keys()].forEach((name) => digest(name) === key && left.delete(name)),
    },
    caches: { list: async () => of('mount'), removeIdle: remove },
    files: { list: async () => of('local'), remove },
    uploads: { list: async () => [], remove },
    remote: { git: { list: async () => of('git'), remove }, http: { list: async () => of('http'), remove } },
    imageChains: () => new Set(['shared' as ChainId]),
    collect: async () => void collected++,
    place: '/',
  } as unknown as BuildCacheParts;
  return { cache: new BuildCache(parts), left: () => [...left.keys()].sort(), collections: () => collected };
}

const PLENTY = { reserved: 0, maxUsed: 1e15, minFree: 0 };

test('what can be fetched again goes after two days, but only beyond its share; nothing young goes', async () => {
  const small = cacheOf({ old: { type: 'local', mb: 100, hours: 100 }, step: { type: 'step', mb: 900, hours: 1 } });
  await small.cache.collect(PLENTY);
  assert.deepEqual(small.left(), ['old', 'step']);
  assert.equal(small.collections(), 0, 'layers are not looked for when nothing went');
  const large = cacheOf({
    oldest: { type: 'http', mb: 300, hours: 200 },
    old: { type: 'git', mb: 300, hours: 100 },
    young: { type: 'mount', mb: 300, hours: 1 },
    step: { type: 'step', mb: 900, hours: 100 },
  });
  const { reclaimed } = await large.cache.collect(PLENTY);
  // 900 MB of it, 512 may stay: the two longest unused.
  assert.deepEqual(large.left(), ['step', 'young']);
  assert.equal(reclaimed, 600 * MB);
  assert.ok(large.collections() > 0);
});

test('what nobody used for sixty days goes, of whatever kind, unless it is in use', async () => {
  const { cache, left } = cacheOf({
    step: { type: 'step', mb: 1, hours: 61 * 24 },
    shared: { type: 'step', mb: 1, hours: 61 * 24 },
    used: { type: 'mount', mb: 1, hours: 61 * 24, inUse: true },
    kept: { type: 'step', mb: 1, hours: 59 * 24 },
  });
  await cache.collect(PLENTY);
  assert.deepEqual(left(), ['kept', 'used']);
});

test('the limit holds, the longest unused first, and what is reserved stays', async () => {
  const things = {
    a: { type: 'step', mb: 100, hours: 30 },
    b: { type: 'step', mb: 100, hours: 20 },
    c: { type: 'step', mb: 100, hours: 10 },
  } as const;
  const bounded = cacheOf(things);
  await bounded.cache.collect({ ...PLENTY, maxUsed: 150 * MB });
  assert.deepEqual(bounded.left(), ['c']);
  const reserved = cacheOf(things);
  await reserved.cache.collect({ maxUsed: 50 * MB, reserved: 200 * MB, minFree: 0 });
  assert.deepEqual(reserved.left(), ['b', 'c']);
  const full = cacheOf(things);
  await full.cache.collect({ reserved: 100 * MB, maxUsed: 1e15, minFree: { percent: 100 } });
  assert.deepEqual(full.left(), ['c'], 'all of the disk is wanted free: only what is reserved stays');
});

test('rules of ones own take the place of ours, each in its turn', async () => {
  const { cache, left } = cacheOf({
    local: { type: 'local', mb: 100, hours: 50 },
    young: { type: 'local', mb: 100, hours: 1 },
    mount: { type: 'mount', mb: 100, hours: 100 * 24 },
    step: { type: 'step', mb: 100, hours: 100 * 24 },
    shared: { type: 'step', mb: 100, hours: 101 * 24 },
    fresh: { type: 'step', mb: 100, hours: 2 },
  });
  await cache.collect({
    rules: [
      {
        all: false,
        filters: new Map([
          ['type', ['source.local', 'source.http']],
          ['unused-for', ['48h']],
        ]),
      },
      { all: false, filters: new Map(), maxUsed: 450 * MB },
      { all: true, filters: new Map(), maxUsed: 350 * MB },
    ],
  });
  // By the second the step goes, not what is shared or mounted; by the third the longest unused of what is left.
  assert.deepEqual(left(), ['fresh', 'mount', 'young']);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { DiskKeeper, type DiskPolicy, type KeptImage } from './disk-keeper.ts';

const HOUR = 3600_000;
const NOW = 1000 * HOUR;

function setup(policy: Partial<DiskPolicy>, state: { used: number; builds?: number; images?: Partial<KeptImage>[] }) {
  const images = new Map(
    (state.images ?? []).map((image, index) => {
      const id = image.id ?? `i${index}`;
      return [
        id,
        {
          id,
          repositories: [],
          names: [id],
          createdAt: new Date(NOW - index * HOUR).toISOString(),
          usedAt: 0,
          size: 10,
          ...image,
        },
      ];
    }),
  );
  const disk = { used: state.used, builds: state.builds ?? 0 };
  const removed: string[] = [];
  const events: string[] = [];
  const reports: string[] = [];
  const keeper = new DiskKeeper({
    policy: { budget: undefined, unusedForMs: undefined, keepLast: 0, ...policy },
    measure: async () => disk.used,
    unusedImages: () => [...images.values()],
    removeImage: async ({ id, size }) => {
      if (id.startsWith('busy')) return false;
      images.delete(id);
      disk.used -= size;
      removed.push(id);
      return true;
    },
    pruneBuilds: async ({ bytes }) => {
      const freed = Math.min(bytes ?? 0, disk.builds);
      disk.builds -= freed;
      disk.used -= freed;
      return freed;
    },
    publish: (action) => void events.push(action),
    report: (message) => void reports.push(message),
    now: () => NOW,
  });
  return { keeper, removed, events, reports, disk };
}

test('within the budget nothing goes', async () => {
  const { keeper, removed } = setup({ budget: 100 }, { used: 100, images: [{}] });
  await keeper.keep();
  assert.deepEqual(removed, []);
  keeper.admit();
  await keeper.close();
});

test('over it, the build cache goes first, then images, the longest unused first, as few as needed', async () => {
  const images = [{ usedAt: 3 }, { usedAt: 1 }, { usedAt: 2 }, { id: 'busy', usedAt: 0 }];
  const { keeper, removed, disk, events } = setup({ budget: 100 }, { used: 120, builds: 5, images });
  await keeper.keep();
  assert.deepEqual(removed, ['i1', 'i2']);
  assert.deepEqual([disk.used, disk.builds], [95, 0]);
  assert.deepEqual(events, ['policy', 'policy']);
  await keeper.close();
});

test('the last of each repository stay; when that is not enough, what needs room is refused and it is said once', async () => {
  const images = [
    { repositories: ['app'], usedAt: 1 },
    { repositories: ['app'], usedAt: 2 },
    { repositories: ['app'], usedAt: 3 },
    { repositories: ['db'], usedAt: 0 },
  ];
  const { keeper, removed, reports, events, disk } = setup({ budget: 70, keepLast: 1 }, { used: 100, images });
  await keeper.keep();
  assert.deepEqual(removed, ['i1', 'i2']);
  assert.throws(() => keeper.admit(), /the disk budget of 0.0 MiB is used up .* raise disk-budget/);
  await keeper.keep();
  assert.equal(events.filter((event) => event === 'exceeded').length, 1);
  assert.equal(reports.filter((line) => line.includes('nothing is left')).length, 1);
  disk.used = 60;
  await keeper.keep();
  keeper.admit();
  await keeper.close();
});

test('what was unused for too long goes within the budget too', async () => {
  const images = [{ usedAt: NOW - 3 * HOUR }, { usedAt: NOW - HOUR }];
  const { keeper, removed } = setup({ unusedForMs: 2 * HOUR }, { used: 1, images });
  await keeper.keep();
  assert.deepEqual(removed, ['i0']);
  await keeper.close();
});

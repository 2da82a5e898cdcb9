import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { errorMessage } from '../../src/base/errors.ts';
import { has } from './archive.ts';
import { NOTHING, TestImages } from './image-store.ts';

const root = process.getuid?.() === 0;

test(
  'the same packages give the same image, which says what it is',
  { skip: !root || !has('mmdebstrap') },
  async (t) => {
    await using store = await TestImages.open();
    const make = (tag: string): Promise<{ id: string }> =>
      store.images.bootstrap({ base: 'debian:bookworm-slim', tags: [tag] }, { onProgress: store.onProgress });
    let ids: string[];
    try {
      ids = (await Promise.all([make('one'), make('two')])).map(({ id }) => id);
    } catch (error) {
      if (
        !/failed to (?:fetch|download)|could not resolve|package sources have no|unable to/i.test(errorMessage(error))
      )
        throw error;
      t.skip(`no packages can be had here: ${errorMessage(error).slice(0, 200)}`);
      return;
    }
    assert.equal(ids[0], ids[1]);
    const image = await store.images.inspect('one');
    assert.equal(image.Config?.Labels?.['io.gantry.bootstrap'], 'debian:bookworm-slim');
    assert.match(image.Comment, /bootstrapped by Gantry/);
    assert.ok(image.Size > 40e6 && image.Size < 100e6, `${image.Size} bytes`);
    assert.ok(store.said.some((line) => /packages/.test(line)));

    const files = store.parts.snapshotter.changesDir(store.images.record('one').chain!);
    assert.match(await readFile(join(files, 'etc/debian_version'), 'utf8'), /^12/);
    for (const empty of ['dev', 'proc', 'run', 'tmp', 'var/lib/apt/lists', 'var/cache/apt', 'usr/share/man']) {
      assert.deepEqual(await readdir(join(files, empty)).catch(() => []), [], empty);
    }
    assert.ok(!(await readdir(join(files, 'etc'))).includes('resolv.conf'));
    await store.images.remove(ids[0]!, { force: true });
    assert.deepEqual(await store.contents(), NOTHING);
    assert.deepEqual(await readdir(join(store.root, 'tmp')), []);
  },
);

test('what cannot be bootstrapped is refused before anything is made', async () => {
  await using store = await TestImages.open();
  for (const request of [
    { base: 'alpine:3' },
    { base: 'debian:bookworm', include: ['--hook=evil'] },
    { base: 'debian:bookworm', tags: ['UPPER'] },
    { base: 'debian:bookworm', mirror: 'http://x y' },
    { base: 'debian:bookworm', platform: 'linux/m68k' },
    { base: 'debian:bookworm', platform: '//' },
  ]) {
    await assert.rejects(store.images.bootstrap(request), { code: 'invalid-argument' }, JSON.stringify(request));
  }
  assert.deepEqual(await store.contents(), NOTHING);
});

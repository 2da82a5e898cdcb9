import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { filesystemWorker } from './filesystem-worker.ts';

describe('waiting for trees to be on the disk', () => {
  const top = mkdtempSync(join(tmpdir(), 'gantry-sync-trees-'));
  const tree = join(top, '1/fs');
  before(() => {
    mkdirSync(join(tree, 'a/b'), { recursive: true });
    for (const name of ['x', 'a/y', 'a/b/z']) writeFileSync(join(tree, name), name, { mode: 0o000 });
    mkdirSync(join(top, '2/fs'), { recursive: true });
  });
  after(() => rmSync(top, { recursive: true }));

  const sync = async (dirty: number): Promise<boolean> => {
    const parameters = { trees: [tree, join(top, '2/fs')], top, dirty };
    return (await filesystemWorker.run<{ alone: boolean }>({ job: 'sync-trees', parameters })).alone;
  };

  it('goes file by file where others wrote much, and for all at once where that is less', async () => {
    assert.equal(await sync(1 << 30), true);
    assert.equal(await sync(0), false);
    assert.equal(await sync(5 * (400 << 10)), false, 'seven waits for five');
    assert.equal(await sync(8 * (400 << 10)), true);
  });

  it('is for all at once when something cannot be waited for by itself', async () => {
    symlinkSync('x', join(tree, 'link'));
    assert.equal(await sync(1 << 30), false);
    rmSync(join(tree, 'link'));
  });

  it('is for all at once when a tree is gone, so that the others are there', async () => {
    const parameters = { trees: [tree, join(top, '3/fs')], top, dirty: 1 << 30 };
    assert.deepEqual(await filesystemWorker.run({ job: 'sync-trees', parameters }), { alone: false });
  });
});

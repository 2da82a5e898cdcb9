import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, truncate, utimes, writeFile, chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { sha256 } from '../oci/digest.ts';
import { contentStoreSuite } from './content-store.suite.ts';
import { FileContentStore } from './file-content-store.ts';
import { MemoryContentStore } from './memory-content-store.ts';

const base = await mkdtemp(join(tmpdir(), 'gantry-content-'));
after(() => rm(base, { recursive: true }));

contentStoreSuite('files', async () => FileContentStore.open(await mkdtemp(join(base, 'store-'))));
contentStoreSuite('memory', async () => new MemoryContentStore());

async function* once(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}

test('files: a flipped byte and a shortened file are noticed', async () => {
  const store = await FileContentStore.open(await mkdtemp(join(base, 'store-')));
  const target = { digest: sha256('hello'), size: 5 };
  await store.write(target, once('hello'));
  const path = store.path(target.digest);
  await chmod(path, 0o600);
  await writeFile(path, 'hellO');
  await assert.rejects(Array.fromAsync(store.read(target)), { code: 'corrupt' });
  await truncate(path, 4);
  await assert.rejects(Array.fromAsync(store.read(target)), { code: 'corrupt' });
  assert.equal(await store.has(target), false);
});

test('files: opening sweeps what a crash left, and keeps what a name can continue', async () => {
  const root = await mkdtemp(join(base, 'store-'));
  const store = await FileContentStore.open(root);
  const named = await store.ingest('pull a');
  await named.append(Buffer.from('abc'));
  const stale = await store.ingest('pull b');
  const unnamed = await store.ingest();
  await unnamed.append(Buffer.from('abc'));
  assert.equal((await readdir(join(root, 'ingest'))).length, 3);
  for (const file of await readdir(join(root, 'ingest'))) await utimes(join(root, 'ingest', file), 1, 1);
  await named.append(Buffer.from('d'));

  const again = await FileContentStore.open(root);
  assert.equal((await readdir(join(root, 'ingest'))).length, 1);
  const continued = await again.ingest('pull a');
  assert.equal(continued.offset, 4);
  await Promise.all([named, stale, unnamed, continued].map((ingest) => ingest.abort()));
});

test('files: a digest that is none never becomes a path', async () => {
  const store = await FileContentStore.open(await mkdtemp(join(base, 'store-')));
  const digest = 'sha256:../../../etc/passwd' as const;
  assert.throws(() => store.path(digest), { code: 'invalid-argument' });
  await assert.rejects(Array.fromAsync(store.read({ digest, size: 1 })), { code: 'invalid-argument' });
});

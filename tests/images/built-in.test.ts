import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestImages } from './image-store.ts';

test('busybox and the greeting are made without a network, the same every time, and say what they are', async () => {
  await using store = await TestImages.open();
  await store.images.pull('busybox', { onProgress: store.onProgress });
  assert.match(
    store.said[0]!,
    /^Building busybox from this machine's own busybox-static \(v.*\); no registry is asked$/,
  );
  await store.images.pull('hello-gantry');
  const busybox = await store.images.inspect('busybox');
  assert.deepEqual(busybox.Config?.Cmd, ['sh']);
  assert.equal(busybox.Config?.Labels?.['io.gantry.built-in'], 'busybox');
  const hello = await store.images.inspect('hello-gantry');
  assert.deepEqual(hello.Config?.Cmd, ['cat', '/hello']);
  assert.equal(hello.RootFS.Layers?.[0], busybox.RootFS.Layers?.[0]);

  const files = store.parts.snapshotter.changesDir(store.images.record('busybox').chain!);
  const [sh, program] = await Promise.all(['bin/sh', 'bin/busybox'].map((path) => stat(join(files, path))));
  assert.equal(sh!.ino, program!.ino);
  assert.equal((await stat(join(files, 'tmp'))).mode & 0o7777, 0o1777);

  await using other = await TestImages.open();
  await other.images.pull('docker.io/library/hello-gantry:latest');
  assert.equal((await other.images.inspect('hello-gantry')).Id, hello.Id);
});

test('every other name needs a registry, and the error says what can be done', async () => {
  await using store = await TestImages.open();
  await assert.rejects(store.images.pull('nginx:1.23'), { code: 'unavailable', message: /nginx:1\.23/ });
  await assert.rejects(store.images.pull('debian:bookworm-slim'), {
    code: 'unavailable',
    message: /gantry image bootstrap debian:bookworm-slim/,
  });
  await assert.rejects(store.images.pull('busybox:1.36'), { code: 'unavailable' });
  await assert.rejects(store.images.pull('UPPER'), { code: 'invalid-argument' });
  await assert.rejects(store.images.push('busybox'), { code: 'not-found' });
  await store.images.pull('busybox');
  await assert.rejects(store.images.push('busybox'), { code: 'unavailable' });
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { streamOf, tarOf } from '../images/archive.ts';
import { TestImages } from '../images/image-store.ts';
import { Forwarder } from './forwarder.ts';
import { TestRegistry } from './test-registry.ts';

/** Large enough to be sent while it is compressed, and not to be done before anybody looks. */
const CONTENT = randomBytes(24 << 20);

interface Scene extends AsyncDisposable {
  readonly registry: TestRegistry;
  readonly forwarder: Forwarder;
  readonly images: TestImages;
  readonly name: string;
  /** Methods and paths without digests, of what was asked about uploads and blobs. */
  readonly asked: () => string[];
}

/** An image with a large layer and a small one that were made here, and a registry to push it to. */
async function open(): Promise<Scene> {
  const registry = await TestRegistry.open();
  const forwarder = await Forwarder.open(registry.host);
  const client = new RegistryClient({ retryDelayMs: 1 });
  const images = await TestImages.open({ registry: new RemoteImages(client) });
  const name = `${forwarder.host}/team/app`;
  await images.images.import(streamOf(await tarOf({ large: CONTENT })), { repository: name, tag: '1' });
  return {
    registry,
    forwarder,
    images,
    name,
    asked: () =>
      forwarder.asked
        .map((line) => line.replace(/^(\S+) \/v2\/team\/app\/(\w+)\/?(uploads)?.*$/, '$1 $2 $3').trim())
        .filter((line) => /uploads|blobs/.test(line)),
    [Symbol.asyncDispose]: async () => {
      client.close();
      await images[Symbol.asyncDispose]();
      await forwarder[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

/** What is pulled from the registry, by another engine, is what was made. */
async function assertPulled({ registry, images, name }: Scene): Promise<void> {
  const client = new RegistryClient({ retryDelayMs: 1 });
  const there = await TestImages.open({ registry: new RemoteImages(client) });
  try {
    const copy = `${registry.host}/team/app:1`;
    await there.images.pull(copy);
    const here = await images.images.inspect(`${name}:1`);
    assert.equal((await there.images.inspect(copy)).Id, here.Id);
    assert.deepEqual(readdirSync(join(images.root, 'ingest')), [], 'nothing half-made is left');
  } finally {
    client.close();
    await there[Symbol.asyncDispose]();
  }
}

test('a large layer is sent while it is compressed, and named at the end', async () => {
  await using scene = await open();
  const { images, name, asked } = scene;
  await images.images.push(`${name}:1`, { onProgress: images.onProgress });
  const said = asked();
  assert.ok(said.indexOf('PATCH blobs uploads') > said.indexOf('POST blobs uploads'), said.join('\n'));
  assert.equal(said.filter((line) => line === 'PATCH blobs uploads').length, 1);
  assert.ok(images.said.includes('Pushed'));
  await assertPulled(scene);
});

test('an upload that breaks while the layer is made is begun again with the whole', async () => {
  await using scene = await open();
  const { images, name, forwarder, asked } = scene;
  let broken = 0;
  forwarder.before = async (line) => {
    if (!line.startsWith('PATCH') || broken++ > 0) return;
    forwarder.breakConnections();
  };
  await images.images.push(`${name}:1`, { onProgress: images.onProgress });
  assert.equal(broken, 1);
  const said = asked();
  assert.equal(said.filter((line) => line === 'POST blobs uploads').length, 3, said.join('\n')); // the layer twice, the config
  await assertPulled(scene);
});

test('a registry that takes no streams gets the layer in one request', async () => {
  await using scene = await open();
  const { images, name, forwarder } = scene;
  forwarder.before = async (line) => {
    forwarder.refusal = line.startsWith('PATCH') ? { status: 405 } : undefined;
  };
  await images.images.push(`${name}:1`);
  await assertPulled(scene);
});

test('what the registry turns out to have need not be sent to the end', async () => {
  await using scene = await open();
  const { images, name, forwarder } = scene;
  await images.images.push(`${name}:1`);
  const { digest } = images.parts.layers.list().find(({ stored }) => stored)!.blob;
  // As another engine that made the same layer: its blob is not here yet.
  const client = new RegistryClient({ retryDelayMs: 1 });
  const other = await TestImages.open({ registry: new RemoteImages(client) });
  try {
    await other.images.import(streamOf(await tarOf({ large: CONTENT })), { repository: name, tag: '2' });
    // Nothing of it arrives: only the look at what is there can end this.
    forwarder.before = (line) => (line.startsWith('PATCH') ? new Promise(() => {}) : Promise.resolve());
    await other.images.push(`${name}:2`, { onProgress: other.onProgress });
    assert.ok(other.said.includes('Layer already exists'), other.said.join('\n'));
    assert.equal(other.parts.layers.list().find(({ stored }) => stored)!.blob.digest, digest, 'the same bytes');
  } finally {
    client.close();
    await other[Symbol.asyncDispose]();
  }
});

test('an abort in the middle ends the push, and leaves nothing half-made', async () => {
  await using scene = await open();
  const { images, name, forwarder } = scene;
  const abort = new AbortController();
  forwarder.before = async (line) => {
    if (line.startsWith('PATCH')) abort.abort();
  };
  await assert.rejects(images.images.push(`${name}:1`, { signal: abort.signal }), { name: 'AbortError' });
  assert.deepEqual(readdirSync(join(images.root, 'ingest')), []);
  forwarder.before = async () => {};
  await images.images.push(`${name}:1`);
  await assertPulled(scene);
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { tarHeader } from '../../src/content/tar/header.ts';
import { type TarSource, writeTar } from '../../src/content/tar/writer.ts';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { MEDIA_TYPES } from '../../src/oci/descriptor.ts';
import { chainIds, type DiffId, type Digest, sha256 } from '../../src/oci/digest.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { NOTHING, TestImages } from '../images/image-store.ts';
import { MisbehavingRegistry } from './misbehaving-registry.ts';

const skip = process.getuid?.() !== 0 && 'needs root';

async function openImages(): Promise<TestImages & AsyncDisposable> {
  const client = new RegistryClient({ retryDelayMs: 1 });
  const images = await TestImages.open({ registry: new RemoteImages(client) });
  const close = images.close.bind(images);
  images.close = async () => {
    client.close();
    await close();
  };
  return images;
}

interface Served {
  readonly blob: Buffer;
  readonly digest: Digest;
  readonly diffId: DiffId;
}

async function layerOf(entries: readonly TarSource[]): Promise<Served> {
  const tar = Buffer.concat(await Array.fromAsync(writeTar(entries)));
  const blob = gzipSync(tar);
  return { blob, digest: sha256(blob), diffId: sha256(tar) };
}

function file(name: string, body: string | Buffer = name): TarSource {
  const bytes = Buffer.from(body);
  return { header: tarHeader({ type: 'file', name, size: bytes.length, mode: 0o644 }), body: [bytes] };
}

function directory(name: string, mode: number, uid = 0): TarSource {
  return { header: tarHeader({ type: 'directory', name, mode, uid, gid: uid }) };
}

/** Serves images of these layers by their tags; gives the digests that layers were asked for by, with the range. */
function serve(
  registry: MisbehavingRegistry,
  images: Readonly<Record<string, readonly Served[]>>,
  answerLayer: (layer: Served, response: ServerResponse, range: string | undefined) => boolean = () => false,
): string[] {
  const documents = new Map<string, { readonly type: string; readonly bytes: Buffer; readonly layer?: Served }>();
  for (const [tag, layers] of Object.entries(images)) {
    const diffIds = layers.map(({ diffId }) => diffId);
    const config = Buffer.from(
      JSON.stringify({ architecture: 'amd64', os: 'linux', tag, rootfs: { type: 'layers', diff_ids: diffIds } }),
    );
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.ociManifest,
        config: { mediaType: MEDIA_TYPES.ociConfig, digest: sha256(config), size: config.length },
        layers: layers.map(({ blob, digest }) => ({ mediaType: MEDIA_TYPES.ociLayerGzip, digest, size: blob.length })),
      }),
    );
    documents.set(sha256(config), { type: 'application/octet-stream', bytes: config });
    for (const name of [tag, sha256(manifest)]) documents.set(name, { type: MEDIA_TYPES.ociManifest, bytes: manifest });
    for (const layer of layers) {
      documents.set(layer.digest, { type: 'application/octet-stream', bytes: layer.blob, layer });
    }
  }
  const asked: string[] = [];
  registry.answer = (request, response) => {
    const found = documents.get(request.url!.split('/').at(-1)!);
    if (!found) return false;
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
    if (found.layer) {
      asked.push(`${found.layer.digest}${range === undefined ? '' : ' from the middle'}`);
      if (answerLayer(found.layer, response, range)) return true;
    }
    const bytes = found.bytes.subarray(Number(range ?? 0));
    const where = range === undefined ? {} : { 'content-range': `bytes ${range}-${found.bytes.length - 1}/*` };
    response.writeHead(range === undefined ? 200 : 206, {
      'content-type': found.type,
      'content-length': bytes.length,
      ...where,
    });
    response.end(request.method === 'HEAD' ? undefined : bytes);
    return true;
  };
  return asked;
}

test('layers that come before those below them are what they are over them', { skip }, async () => {
  await using registry = await MisbehavingRegistry.open();
  const layers = await Promise.all([
    layerOf([directory('./', 0o711), directory('private/', 0o750, 5), file('private/kept'), file('gone'), file('old')]),
    // Does not say what `private` is: that is for the layer below to say.
    layerOf([file('private/added')]),
    layerOf([file('.wh.gone', ''), file('above')]),
    // Nothing of what is below is seen any more.
    layerOf([file('.wh..wh..opq', ''), file('new')]),
    layerOf([directory('./', 0o700), file('last')]),
  ]);
  const release = Promise.withResolvers<void>();
  const asked = serve(registry, { '1': layers }, ({ digest, blob }, response) => {
    if (digest !== layers[0]!.digest) return false;
    response.writeHead(200, { 'content-length': blob.length });
    void release.promise.then(() => response.end(blob));
    return true;
  });
  await using images = await openImages();
  const name = `${registry.host}/app:1`;
  const pull = images.images.pull(name, {
    onProgress: ({ status, id }) => {
      // All others are here before the lowest has come.
      if (status !== 'Download complete' || layers[0]!.digest.includes(id!)) return;
      arrived.add(id!);
      if (arrived.size === 4) release.resolve();
    },
  });
  const arrived = new Set<string>();
  await pull;
  assert.equal(asked.length, 5);
  const chains = chainIds(layers.map(({ diffId }) => diffId));
  const [first, second, third, fourth, fifth] = chains.map((chain) => images.parts.snapshotter.changesDir(chain));
  const about = (path: string): [number, number] => {
    const { mode, uid } = lstatSync(path);
    return [mode & 0o7777, uid];
  };
  assert.deepEqual(
    [first, second, third, fourth].map((path) => about(path!)),
    Array(4).fill([0o711, 0]),
  );
  assert.deepEqual(about(fifth!), [0o700, 0], 'it says itself what its root is');
  assert.deepEqual(about(join(second!, 'private')), [0o750, 5]);
  assert.equal(readFileSync(join(second!, 'private/added'), 'utf8'), 'private/added');
  assert.ok(lstatSync(join(third!, 'gone')).isCharacterDevice());
  assert.deepEqual(readdirSync(fourth!).sort(), ['above', 'gone', 'new', 'old', 'private']);
  assert.ok(['above', 'gone', 'old', 'private'].every((one) => lstatSync(join(fourth!, one)).isCharacterDevice()));
  const { snapshots } = await images.contents();
  assert.deepEqual(snapshots, [...chains].sort(), 'nothing of the ways to it is left');
});

test(
  'an upper layer that is wrong ends the pull, however long the lowest takes, and leaves nothing',
  { skip },
  async () => {
    const good = await layerOf([file('lowest', randomBytes(3 << 20))]);
    const tar = await layerOf([file('top')]);
    const broken = Buffer.concat([tar.blob.subarray(0, tar.blob.length - 8), Buffer.alloc(8)]);
    const attacks: Readonly<Record<string, Served>> = {
      'is no gzip': { blob: broken, digest: sha256(broken), diffId: tar.diffId },
      'is another layer': { ...tar, diffId: good.diffId },
    };
    for (const [what, wrong] of Object.entries(attacks)) {
      await using registry = await MisbehavingRegistry.open();
      serve(registry, { '1': [good, wrong] }, ({ digest, blob }, response) => {
        if (digest !== good.digest) return false;
        response.writeHead(200, { 'content-length': blob.length });
        response.write(blob.subarray(0, 1 << 20)); // the rest never comes
        return true;
      });
      await using images = await openImages();
      await assert.rejects(images.images.pull(`${registry.host}/app:1`), { code: 'corrupt' }, what);
      assert.deepEqual((await images.contents()).snapshots, NOTHING.snapshots, what);
      assert.deepEqual((await images.contents()).layers, NOTHING.layers, what);
    }
  },
);

test('a layer of two images that are pulled at once comes once', { skip }, async () => {
  await using registry = await MisbehavingRegistry.open();
  const shared = await layerOf([file('shared', randomBytes(2 << 20))]);
  const own = await Promise.all(['one', 'two', 'three'].map((name) => layerOf([file(name)])));
  const images = { '1': [shared, own[0]!], '2': [shared, own[1]!], '3': [own[2]!, shared] };
  const asked = serve(registry, images);
  await using here = await openImages();
  await Promise.all(Object.keys(images).map((tag) => here.images.pull(`${registry.host}/app:${tag}`)));
  assert.equal(asked.filter((one) => one.startsWith(shared.digest)).length, 1);
  assert.equal(asked.length, 4);
  for (const [tag, layers] of Object.entries(images)) {
    const { RootFS } = await here.images.inspect(`${registry.host}/app:${tag}`);
    assert.deepEqual(
      RootFS?.Layers,
      layers.map(({ diffId }) => diffId),
    );
  }
});

test('when one of two pulls is given up, the other one goes on with what had come', { skip }, async () => {
  await using registry = await MisbehavingRegistry.open();
  const shared = await layerOf([file('shared', randomBytes(4 << 20))]);
  const own = await Promise.all(['one', 'two'].map((name) => layerOf([file(name)])));
  const half = Promise.withResolvers<void>();
  let answers = 0;
  const asked = serve(registry, { '1': [shared, own[0]!], '2': [shared, own[1]!] }, ({ digest, blob }, response) => {
    if (digest !== shared.digest || answers++ > 0) return false;
    response.writeHead(200, { 'content-length': blob.length });
    response.write(blob.subarray(0, 2 << 20), () => half.resolve()); // the rest never comes
    return true;
  });
  await using images = await openImages();
  const abort = new AbortController();
  const came = Promise.withResolvers<void>();
  const first = images.images.pull(`${registry.host}/app:1`, {
    signal: abort.signal,
    onProgress: ({ status, current }) => {
      // of the shared one: its own is smaller
      if (status === 'Downloading' && (current ?? 0) > 65_536) came.resolve();
    },
  });
  first.catch(() => {});
  await half.promise;
  await came.promise;
  const second = images.images.pull(`${registry.host}/app:2`);
  // A third one gives up while it waits for the first.
  const third = new AbortController();
  const waiting = images.images.pull(`${registry.host}/app:2`, { signal: third.signal });
  waiting.catch(() => {});
  setImmediate(() => third.abort());
  await assert.rejects(waiting, (error: Error) => error.name === 'AbortError' || /cancel/.test(error.message));
  abort.abort();
  await assert.rejects(first, (error: Error) => error.name === 'AbortError' || /cancel/.test(error.message));
  await second;
  assert.deepEqual(
    asked.filter((one) => one.startsWith(shared.digest)),
    [shared.digest, `${shared.digest} from the middle`],
  );
  const [chain] = chainIds([shared.diffId]);
  const there = readFileSync(join(images.parts.snapshotter.changesDir(chain!), 'shared'));
  assert.equal(there.length, 4 << 20);
});

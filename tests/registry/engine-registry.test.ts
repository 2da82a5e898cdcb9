import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { sha256 } from '../../src/oci/digest.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import type { ServedRegistry } from '../../src/registry/server/serve.ts';
import { sampleImage, streamOf, tarOf } from '../images/archive.ts';
import { NOTHING, TestImages } from '../images/image-store.ts';
import { conformanceTests } from './conformance.ts';

/** Images of one engine, served as a registry. */
class Serving implements AsyncDisposable {
  readonly images: TestImages;
  readonly #client: RegistryClient;
  readonly #served: ServedRegistry;

  private constructor(images: TestImages, client: RegistryClient, served: ServedRegistry) {
    this.images = images;
    this.#client = client;
    this.#served = served;
  }

  static async open(): Promise<Serving> {
    const client = new RegistryClient({ retryDelayMs: 1 });
    const images = await TestImages.open({ registry: new RemoteImages(client) });
    return new Serving(images, client, await images.registry.serve({ addr: '127.0.0.1:0' }));
  }

  get host(): string {
    return this.#served.address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#served.close();
    this.#client.close();
    await this.images[Symbol.asyncDispose]();
  }
}

let served: Serving;
before(async () => void (served = await Serving.open()));
after(() => served[Symbol.asyncDispose]());
conformanceTests('an engine’s images', () => ({ url: `http://${served.host}` }));

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

async function put(host: string, path: string, body: string | Buffer, type = MANIFEST): Promise<Response> {
  const headers = { 'content-type': type };
  return fetch(`http://${host}/v2/${path}`, { method: 'PUT', headers, body: new Uint8Array(Buffer.from(body)) });
}

async function putBlob(host: string, repository: string, body: Buffer): Promise<{ digest: string; size: number }> {
  const digest = sha256(body);
  const url = `http://${host}/v2/${repository}/blobs/uploads/?digest=${digest}`;
  const response = await fetch(url, { method: 'POST', body: new Uint8Array(body) });
  assert.equal(response.status, 201, await response.text());
  return { digest, size: body.length };
}

/** Pushes the parts of an image and gives its manifest. */
async function pushParts(host: string, repository: string, config: string, layer: Buffer): Promise<string> {
  const type = 'application/vnd.oci.image';
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: `${type}.config.v1+json`, ...(await putBlob(host, repository, Buffer.from(config))) },
    layers: [{ mediaType: `${type}.layer.v1.tar`, ...(await putBlob(host, repository, layer)) }],
  });
}

test('an image of the engine is pulled by its name, from the blobs that are there anyway', async () => {
  await using here = await Serving.open();
  await using there = await Serving.open();
  const archive = await tarOf({ big: randomBytes(2 << 20), small: 'x' });
  await here.images.images.import(streamOf(archive), { repository: 'app', tag: '1' });
  await here.images.images.tag('app:1', `${here.host}/team/app`, '2');
  const made = await here.images.images.inspect('app:1');
  for (const name of [`${here.host}/app:1`, `${here.host}/library/app:1`, `${here.host}/team/app:2`]) {
    await there.images.images.pull(name);
    assert.equal((await there.images.images.inspect(name)).Id, made.Id);
  }
  const catalog = (await (await fetch(`http://${here.host}/v2/_catalog`)).json()) as unknown;
  assert.deepEqual(catalog, { repositories: ['app', 'team/app'] });
  // Config, compressed layer, manifest: each once, and a push elsewhere needs nothing new.
  const { blobs } = await here.images.contents();
  assert.equal(blobs.length, 3);
  await here.images.images.tag('app:1', `${there.host}/pushed`, 'v');
  await here.images.images.push(`${there.host}/pushed:v`);
  assert.deepEqual((await here.images.contents()).blobs, blobs);

  // What it was pushed to has it as an image of its own, under the name without the registry's.
  assert.equal((await there.images.images.inspect('pushed:v')).Id, made.Id);
  assert.equal((await there.images.images.list()).length, 1);
  for (const tag of (await there.images.images.inspect('pushed:v')).RepoTags) await there.images.images.remove(tag);
  assert.deepEqual(await there.images.images.list({ all: true }), []);
  assert.deepEqual(await there.images.contents(), NOTHING);
});

test('what is pushed with a tag is an image, and moves and goes as one', async () => {
  await using here = await Serving.open();
  const [one, two] = [await sampleImage('one'), await sampleImage('two')];
  const first = await pushParts(here.host, 'team/app', one.config, one.layer);
  assert.equal((await put(here.host, 'team/app/manifests/1', first)).status, 201);
  assert.equal((await here.images.images.inspect('team/app:1')).Id, one.id);
  const second = await pushParts(here.host, 'team/app', two.config, two.layer);
  assert.equal((await put(here.host, 'team/app/manifests/1', second)).status, 201);
  assert.equal((await here.images.images.inspect('team/app:1')).Id, two.id);
  const read = await fetch(`http://${here.host}/v2/team/app/manifests/1`);
  assert.equal(await read.text(), second);
  // The first has no tag now, and can be had by its digest.
  assert.equal((await fetch(`http://${here.host}/v2/team/app/manifests/${sha256(first)}`)).status, 200);

  const url = `http://${here.host}/v2/team/app/manifests/`;
  here.images.users.push({ id: 'c'.repeat(64), imageId: two.id, running: true });
  assert.equal((await fetch(`${url}1`, { method: 'DELETE' })).status, 409);
  here.images.users.pop();
  for (const manifest of [first, second]) {
    assert.equal((await fetch(url + sha256(manifest), { method: 'DELETE' })).status, 202);
  }
  assert.deepEqual(await (await fetch(`http://${here.host}/v2/_catalog`)).json(), { repositories: [] });
  assert.deepEqual(await here.images.contents(), NOTHING);
});

test('a layer that is not what the config says is refused and leaves no image', async () => {
  await using here = await Serving.open();
  const { config } = await sampleImage('one');
  const { layer } = await sampleImage('another');
  const manifest = await pushParts(here.host, 'app', config, layer);
  const refused = await put(here.host, 'app/manifests/1', manifest);
  assert.equal(refused.status, 400);
  assert.match(await refused.text(), /MANIFEST_INVALID.*invalid diffID/);
  assert.equal((await fetch(`http://${here.host}/v2/app/manifests/1`)).status, 404);
  assert.deepEqual(await here.images.images.list({ all: true }), []);
});

test('what is no image of this machine is kept as it came: it is collected once nothing names it', async () => {
  await using here = await Serving.open();
  const blob = { mediaType: 'text/plain', ...(await putBlob(here.host, 'notes', Buffer.from('hello'))) };
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: blob, layers: [blob] });
  assert.equal((await put(here.host, 'notes/manifests/1', manifest)).status, 201);
  await here.images.parts.collector.collectAll();
  assert.equal(await (await fetch(`http://${here.host}/v2/notes/blobs/${blob.digest}`)).text(), 'hello');
  assert.deepEqual(await here.images.images.list({ all: true }), []);
  assert.equal((await fetch(`http://${here.host}/v2/other/blobs/${blob.digest}`)).status, 404);
  assert.equal((await fetch(`http://${here.host}/v2/notes/manifests/1`, { method: 'DELETE' })).status, 202);
  await fetch(`http://${here.host}/v2/notes/manifests/${sha256(manifest)}`, { method: 'DELETE' });
  assert.deepEqual(await here.images.contents(), NOTHING);
});

test('without logins, pushes are for this machine alone', async () => {
  await using images = await TestImages.open();
  await using open = await images.registry.serve({ addr: '0.0.0.0:0' });
  const url = `http://127.0.0.1:${open.address.split(':').at(-1)}/v2/app/blobs/uploads/`;
  const refused = await fetch(url, { method: 'POST' });
  assert.equal(refused.status, 403);
  assert.match(await refused.text(), /give it users, or set openPush/);
});

test('the engine’s collection leaves alone what is pushed beside it, and what is pulled ends', async () => {
  await using here = await Serving.open();
  let pushing = true;
  let collections = 0;
  const collecting = (async () => {
    for (; pushing; collections++) {
      await here.images.parts.collector.collectAll();
      await new Promise(setImmediate);
    }
  })();
  const images = await Promise.all(['a', 'b', 'c'].map((name) => sampleImage(name)));
  const push = async (index: number): Promise<void> => {
    for (let round = 0; round < 4; round++) {
      const { config, layer, id } = images[(index + round) % images.length]!;
      const repository = `team/app${index}`;
      const manifest = await pushParts(here.host, repository, config, layer);
      const put = await fetch(`http://${here.host}/v2/${repository}/manifests/r${round}`, {
        method: 'PUT',
        headers: { 'content-type': MANIFEST },
        body: manifest,
      });
      assert.equal(put.status, 201, await put.text());
      const { digest } = (JSON.parse(manifest) as { layers: { digest: string }[] }).layers[0]!;
      const pulling = fetch(`http://${here.host}/v2/${repository}/blobs/${digest}`);
      assert.equal((await here.images.images.inspect(`${repository}:r${round}`)).Id, id);
      // Its image goes while the layer is on its way.
      const [pulled] = await Promise.all([pulling, here.images.images.remove(`${repository}:r${round}`)]);
      if (pulled.status === 200) assert.ok(Buffer.from(await pulled.arrayBuffer()).equals(layer));
      else assert.equal(pulled.status, 404, await pulled.text());
    }
    const { config, layer } = images[index]!;
    const kept = await pushParts(here.host, `team/app${index}`, config, layer);
    assert.equal((await put(here.host, `team/app${index}/manifests/kept`, kept)).status, 201);
  };
  await Promise.all(images.keys().map(push));
  pushing = false;
  await collecting;
  assert.ok(collections > 0);
  await using there = await Serving.open();
  for (const [index, { id }] of images.entries()) {
    await there.images.images.pull(`${here.host}/team/app${index}:kept`);
    assert.equal((await there.images.images.inspect(`${here.host}/team/app${index}:kept`)).Id, id);
  }
});

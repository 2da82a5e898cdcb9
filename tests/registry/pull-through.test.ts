import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { sha256 } from '../../src/oci/digest.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import type { AccessOptions } from '../../src/registry/server/access.ts';
import type { UpstreamSettings } from '../../src/registry/server/settings.ts';
import { streamOf, tarOf } from '../images/archive.ts';
import { TestImages } from '../images/image-store.ts';
import { Forwarder } from './forwarder.ts';
import { TestRegistry } from './test-registry.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** An upstream with what stands before it, and a registry that keeps copies of it. */
class Copying implements AsyncDisposable {
  readonly upstream: TestRegistry;
  readonly way: Forwarder;
  readonly copy: TestRegistry;

  private constructor(upstream: TestRegistry, way: Forwarder, copy: TestRegistry) {
    this.upstream = upstream;
    this.way = way;
    this.copy = copy;
  }

  static async open(
    options: { settings?: Partial<UpstreamSettings>; upstream?: AccessOptions; copy?: AccessOptions } = {},
  ): Promise<Copying> {
    const upstream = await TestRegistry.open({ ...(options.upstream && { access: options.upstream }) });
    const way = await Forwarder.open(upstream.host);
    const settings = { registry: way.host, prefix: 'up', ttlSeconds: 0, ...options.settings };
    const copy = await TestRegistry.open({ upstreams: [settings], ...(options.copy && { access: options.copy }) });
    return new Copying(upstream, way, copy);
  }

  /** Pushes an artifact of one blob to the upstream. */
  async push(
    tag: string,
    body: Buffer | string,
    headers: Record<string, string> = {},
  ): Promise<{ manifest: string; blob: string }> {
    const base = `http://${this.upstream.host}/v2/app`;
    const bytes = new Uint8Array(Buffer.from(body));
    const digest = sha256(bytes);
    const upload = `${base}/blobs/uploads/?digest=${digest}`;
    assert.equal((await fetch(upload, { method: 'POST', body: bytes, headers })).status, 201);
    const blob = { mediaType: 'text/plain', digest, size: bytes.length };
    const manifest = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: blob, layers: [blob] });
    const type = { 'content-type': MANIFEST, ...headers };
    const put = await fetch(`${base}/manifests/${tag}`, { method: 'PUT', body: manifest, headers: type });
    assert.equal(put.status, 201);
    return { manifest, blob: digest };
  }

  get(path: string, options: RequestInit = {}): Promise<Response> {
    return fetch(`http://${this.copy.host}/v2/${path}`, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.copy[Symbol.asyncDispose]();
    await this.way[Symbol.asyncDispose]();
    await this.upstream[Symbol.asyncDispose]();
  }
}

test('an image of an upstream is pulled through, and from the copy when the upstream is down', async () => {
  await using copying = await Copying.open();
  const { upstream, way, copy } = copying;
  const client = new RegistryClient({ retryDelayMs: 1 });
  await using here = await TestImages.open({ registry: new RemoteImages(client) });
  await using there = await TestImages.open({ registry: new RemoteImages(client) });
  const archive = await tarOf({ big: randomBytes(3 << 20) });
  await here.images.import(streamOf(archive), { repository: `${upstream.host}/app`, tag: '1' });
  await here.images.push(`${upstream.host}/app:1`);
  const { Id } = await here.images.inspect(`${upstream.host}/app:1`);
  await there.images.pull(`${copy.host}/up/app:1`);
  assert.equal((await there.images.inspect(`${copy.host}/up/app:1`)).Id, Id);

  way.refusal = { status: 503 };
  await using third = await TestImages.open({ registry: new RemoteImages(client) });
  await third.images.pull(`${copy.host}/up/app:1`);
  assert.equal((await third.images.inspect(`${copy.host}/up/app:1`)).Id, Id);
  const stale = await copying.get('up/app/manifests/1');
  assert.match(stale.headers.get('warning')!, /^110 - /);
  // One question found it silent; until it has rested, nobody asks again.
  const asked = way.asked.length;
  await copying.get('up/app/manifests/1');
  assert.equal(way.asked.length, asked);
  assert.equal((await copying.get('up/app/manifests/2')).status, 502);
  assert.deepEqual(((await (await copying.get('up/app/tags/list')).json()) as { tags: unknown }).tags, ['1']);
  client.close();
});

test('many that want the same at once are one download, and each gets it while it comes', async () => {
  await using copying = await Copying.open();
  const body = randomBytes(5 << 20);
  const { blob } = await copying.push('1', body);
  const { promise: together, resolve: go } = Promise.withResolvers<void>();
  copying.way.before = (asked) => (asked.startsWith('GET') && asked.includes('/blobs/') ? together : Promise.resolve());
  const wanted = Array.from({ length: 10 }, async (_, index) => {
    const headers = index === 9 ? { range: 'bytes=1000-1999' } : ({} as Record<string, string>);
    const response = await copying.get(`up/app/blobs/${blob}`, { headers });
    return Buffer.from(await response.arrayBuffer());
  });
  const asked = (what: RegExp): number => copying.way.asked.filter((one) => what.test(one)).length;
  while (asked(/^HEAD .*\/blobs\//) < 10) await new Promise(setImmediate);
  go();
  const got = await Promise.all(wanted);
  for (const one of got.slice(0, 9)) assert.ok(one.equals(body));
  assert.ok(got[9]!.equals(body.subarray(1000, 2000)));
  assert.equal(asked(/^GET .*\/blobs\//), 1);
  await copying.get(`up/app/blobs/${blob}`);
  assert.equal(asked(/^GET .*\/blobs\//), 1);
});

test('a tag that moved is followed, one that is gone is gone, and within its time none is asked for', async () => {
  await using copying = await Copying.open();
  const first = await copying.push('1', 'one');
  assert.equal(await (await copying.get('up/app/manifests/1')).text(), first.manifest);
  const second = await copying.push('1', 'two');
  assert.equal(await (await copying.get('up/app/manifests/1')).text(), second.manifest);
  assert.equal((await copying.get(`up/app/manifests/${sha256(first.manifest)}`)).status, 200);
  assert.equal((await copying.get('up/app/manifests/none')).status, 404);
  assert.equal((await copying.get(`up/app/blobs/${sha256('none')}`)).status, 404);

  await using patient = await Copying.open({ settings: { ttlSeconds: 1000 } });
  const before = await patient.push('1', 'one');
  await patient.get('up/app/manifests/1');
  await patient.push('1', 'two');
  assert.equal(await (await patient.get('up/app/manifests/1')).text(), before.manifest);
});

test('a blob that is not what it should be reaches nobody whole, and is not kept', async () => {
  await using copying = await Copying.open();
  const { blob } = await copying.push('1', randomBytes(1 << 20));
  copying.way.spoil = (asked, chunk) => (asked.includes('/blobs/') ? Buffer.alloc(chunk.length, 1) : chunk);
  await assert.rejects(async () => (await copying.get(`up/app/blobs/${blob}`)).arrayBuffer());
  assert.deepEqual(await Array.fromAsync(copying.copy.repositories.content.list()), []);
  copying.way.spoil = undefined;
  const whole = await (await copying.get(`up/app/blobs/${blob}`)).arrayBuffer();
  assert.equal(sha256(new Uint8Array(whole)), blob);
});

test('the upstream’s password is ours alone, and who may not read the copy does not read it', async () => {
  const upstream = { users: new Map([['copy', hashSync('theirs', 4)]]) };
  const copy = {
    users: new Map(['ann', 'eve'].map((name) => [name, hashSync(name, 4)])),
    rules: [{ repositories: ['up/**'], users: ['ann'], actions: ['pull' as const, 'push' as const] }],
  };
  await using copying = await Copying.open({ upstream, copy, settings: { username: 'copy', passwordFile: 'theirs' } });
  const basic = (name: string, password = name): Record<string, string> => ({
    authorization: `Basic ${btoa(`${name}:${password}`)}`,
  });
  const { blob } = await copying.push('1', 'secret', basic('copy', 'theirs'));
  const read = async (name: string): Promise<number> =>
    (await copying.get(`up/app/blobs/${blob}`, { headers: basic(name) })).status;
  assert.deepEqual([await read('eve'), await read('ann'), await read('eve')], [403, 200, 403]);
  assert.equal((await copying.get('up/app/manifests/1')).status, 401);
  const pushed = await copying.get('up/app/blobs/uploads/', { method: 'POST', headers: basic('ann') });
  assert.equal(pushed.status, 405);
});

test('a busy upstream’s wish is passed on; mirrors are asked by the name of the registry they stand for', async () => {
  await using copying = await Copying.open();
  const { manifest } = await copying.push('1', 'one');
  const namespaced = await copying.get(`app/manifests/1?ns=${copying.way.host}`);
  assert.equal(await namespaced.text(), manifest);
  copying.way.refusal = { status: 429, headers: { 'retry-after': '0' } };
  const busy = await copying.get('up/app/manifests/2');
  assert.deepEqual([busy.status, busy.headers.get('retry-after')], [429, '0']);
});

test('what is to be copied by the clock is there before anybody asks', async () => {
  await using upstream = await TestRegistry.open();
  await using way = await Forwarder.open(upstream.host);
  const pushing = new Map<string, string>();
  for (const tag of ['1.0', '1.1', '2.0']) {
    const blob = new Uint8Array(Buffer.from(tag));
    const descriptor = { mediaType: 'text/plain', digest: sha256(blob), size: blob.length };
    await fetch(`http://${upstream.host}/v2/app/blobs/uploads/?digest=${descriptor.digest}`, {
      method: 'POST',
      body: blob,
    });
    const body = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: descriptor, layers: [] });
    const headers = { 'content-type': MANIFEST };
    await fetch(`http://${upstream.host}/v2/app/manifests/${tag}`, { method: 'PUT', body, headers });
    pushing.set(tag, descriptor.digest);
  }
  const sync = [{ repositories: ['app'], tags: ['1.*'] }];
  await using copy = await TestRegistry.open({ upstreams: [{ registry: way.host, prefix: 'up', sync }] });
  const has = (tag: string): Promise<boolean> => copy.repositories.links.hasBlob('up/app', pushing.get(tag) as never);
  while (!(await has('1.0')) || !(await has('1.1'))) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(await has('2.0'), false);
  assert.deepEqual(await copy.repositories.links.tags('up/app'), ['1.0', '1.1']);
});

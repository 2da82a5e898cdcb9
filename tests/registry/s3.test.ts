import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, mock, test } from 'node:test';
import { sha256 } from '../../src/oci/digest.ts';
import { type OpenedBucket, openBucket } from '../../src/registry/s3/open.ts';
import { Access } from '../../src/registry/server/access.ts';
import { ImmutableTags } from '../../src/registry/server/policy.ts';
import { RegistryServer } from '../../src/registry/server/registry-server.ts';
import type { RepositoriesOptions } from '../../src/registry/server/repositories.ts';
import type { S3Settings } from '../../src/registry/server/settings.ts';
import { conformanceTests } from './conformance.ts';
import { S3Double } from './s3-double.ts';

const SEED = Number(process.env['SEED'] ?? 7);
const ROUNDS = 6;

/** A server over a bucket that others may serve too. */
class BucketServer implements AsyncDisposable {
  readonly bucket: OpenedBucket;
  readonly host: string;
  readonly #server: RegistryServer;

  private constructor(bucket: OpenedBucket, server: RegistryServer, host: string) {
    this.bucket = bucket;
    this.#server = server;
    this.host = host;
  }

  static async open(
    store: S3Double,
    options: { settings?: Partial<S3Settings>; policy?: RepositoriesOptions; secret?: string } = {},
  ): Promise<BucketServer> {
    const { endpoint, bucket: name, region, credentials } = store;
    const bucket = openBucket(
      { endpoint, bucket: name, region, prefix: 'hub', ...options.settings },
      {
        credentials: { ...credentials, ...(options.secret && { secretAccessKey: options.secret }) },
        policy: options.policy ?? {},
        retryDelayMs: 1,
      },
    );
    const server = new RegistryServer({ repositories: bucket.repositories, access: new Access() });
    const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
    return new BucketServer(bucket, server, `127.0.0.1:${port}`);
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://${this.host}/v2/${path}`, init);
  }

  async pushBlob(repository: string, body: Buffer): Promise<string> {
    const digest = sha256(body);
    const init = { method: 'POST', body: new Uint8Array(body) };
    const response = await this.fetch(`${repository}/blobs/uploads/?digest=${digest}`, init);
    assert.equal(response.status, 201, await response.text());
    return digest;
  }

  async pushManifest(repository: string, tag: string, blob: string, size: number): Promise<Response> {
    const type = 'application/vnd.oci.image.manifest.v1+json';
    const layer = { mediaType: 'text/plain', digest: blob, size };
    const body = JSON.stringify({ schemaVersion: 2, mediaType: type, config: layer, layers: [layer] });
    return this.fetch(`${repository}/manifests/${tag}`, { method: 'PUT', body, headers: { 'content-type': type } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
    this.bucket[Symbol.dispose]();
  }
}

let store: S3Double;
let direct: BucketServer;
before(async () => {
  store = await S3Double.open();
  store.pageSize = 1000;
  direct = await BucketServer.open(store, { settings: { redirect: false } });
});
after(async () => {
  await direct[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
});
conformanceTests('a bucket', () => ({ url: `http://${direct.host}` }));

test('a large blob goes in parts and comes by a URL of the store; nothing is left beside it', async () => {
  await using store = await S3Double.open();
  await using server = await BucketServer.open(store);
  const body = randomBytes(20 << 20);
  const digest = await server.pushBlob('app', body);
  assert.deepEqual([...store.objects.keys()].sort(), [
    `hub/blobs/sha256/${digest.slice(7)}`,
    `hub/repositories/app/_blobs/${digest.replace(':', '-')}`,
  ]);
  assert.equal(store.parts.size, 0);
  assert.ok(store.asked.filter((one) => one.startsWith('PUT /images/hub/ingest/')).length >= 2);
  const sent = await server.fetch(`app/blobs/${digest}`, { redirect: 'manual' });
  assert.equal(sent.status, 307);
  assert.ok(sent.headers.get('location')!.startsWith(store.endpoint));
  const read = await server.fetch(`app/blobs/${digest}`);
  assert.ok(Buffer.from(await read.arrayBuffer()).equals(body));
  const tampered = sent.headers
    .get('location')!
    .replace(/sha256\/(.)/, (_, first) => `sha256/${first === '0' ? '1' : '0'}`);
  assert.equal((await fetch(tampered)).status, 403);
});

test('an upload that is wrong or given up leaves nothing; what died is swept', async () => {
  await using store = await S3Double.open();
  await using server = await BucketServer.open(store);
  const begun = await server.fetch('app/blobs/uploads/', { method: 'POST' });
  const location = begun.headers.get('location')!;
  const body = new Uint8Array(randomBytes(9 << 20));
  assert.equal((await fetch(`http://${server.host}${location}`, { method: 'PATCH', body })).status, 202);
  assert.equal(store.parts.size, 1);
  const wrong = `http://${server.host}${location}?digest=${sha256('other')}`;
  assert.equal((await fetch(wrong, { method: 'PUT' })).status, 400);
  assert.deepEqual([store.parts.size, store.objects.size], [0, 0]);

  const old = new Date(Date.now() - 25 * 3600_000);
  store.parts.set('dead', { key: 'hub/ingest/dead', begunAt: old, bodies: new Map() });
  store.parts.set('young', { key: 'hub/ingest/young', begunAt: new Date(), bodies: new Map() });
  store.parts.set('foreign', { key: 'another/thing', begunAt: old, bodies: new Map() });
  for (const id of ['a', 'b', 'c']) store.parts.set(id, { key: 'hub/ingest/more', begunAt: old, bodies: new Map() });
  store.objects.set('hub/ingest/dead', { body: Buffer.from('x'), modifiedAt: old });
  await server.bucket.content.sweep();
  assert.deepEqual([[...store.parts.keys()], [...store.objects.keys()]], [['young', 'foreign'], []]);
});

test('two servers of one bucket see what the other did, at once', async () => {
  await using store = await S3Double.open();
  const policy = { immutable: new ImmutableTags([{ repositories: ['app'], tags: ['v*'] }]) };
  await using one = await BucketServer.open(store, { policy });
  await using two = await BucketServer.open(store, { policy });
  const digest = await one.pushBlob('app', Buffer.from('content'));
  assert.equal((await two.pushManifest('app', 'latest', digest, 7)).status, 201);
  const manifest = (await one.fetch('app/manifests/latest')).headers.get('docker-content-digest')!;
  assert.ok(manifest);
  assert.equal((await two.fetch(`app/manifests/${manifest}`, { method: 'DELETE' })).status, 202);
  assert.equal((await one.fetch(`app/manifests/${manifest}`)).status, 404);
  // Of two that put an immutable tag at the same time, one wins.
  const other = await two.pushBlob('app', Buffer.from('another'));
  const statuses = await Promise.all([
    one.pushManifest('app', 'v1', digest, 7),
    two.pushManifest('app', 'v1', other, 7),
  ]);
  assert.deepEqual(
    statuses.map(({ status }) => status).sort((a, b) => a - b),
    [201, 403],
  );
});

test('collections of several servers leave alone what is pushed beside them', async () => {
  await using store = await S3Double.open();
  await using one = await BucketServer.open(store);
  await using two = await BucketServer.open(store);
  const digests = new Map<number, string>();
  let pushing = true;
  const collecting = Promise.all(
    [one, two].map(async ({ bucket }) => {
      while (pushing) await bucket.repositories.collect({ graceMs: 0 });
    }),
  );
  for (let round = 0; round < 15; round++) {
    const body = Buffer.from(`round ${round % 5}`);
    // A link that is collected in between is told to the client, who sends the blob again.
    for (;;) {
      const digest = await one.pushBlob('app', body);
      if ((await two.pushManifest('app', `t${round}`, digest, body.length)).status !== 201) continue;
      digests.set(round, digest);
      break;
    }
  }
  pushing = false;
  await collecting;
  await one.bucket.repositories.collect({ graceMs: 0 });
  for (const [round, digest] of digests) {
    assert.equal((await two.fetch(`app/manifests/t${round}`)).status, 200);
    assert.equal(await (await two.fetch(`app/blobs/${digest}`)).text(), `round ${round % 5}`);
  }
});

test('what the store’s reference says can happen: conflicts, late errors, answers that are lost, an end of a range', async () => {
  await using store = await S3Double.open();
  const policy = { immutable: new ImmutableTags([{ repositories: ['app'], tags: ['v*'] }]) };
  await using server = await BucketServer.open(store, { policy });
  const small = await server.pushBlob('app', Buffer.from('content'));
  // Another write at the same moment is no reason to say that there is one.
  store.conflicts = 2;
  assert.equal((await server.pushManifest('app', 'v1', small, 7)).status, 201);
  // An error behind a status of 200, of the composition and of the copy to its place.
  const body = randomBytes(9 << 20);
  store.lateErrors = 1;
  const wrong = { method: 'POST', body: new Uint8Array(body) };
  const failed = await server.fetch(`app/blobs/uploads/?digest=${sha256(body)}`, wrong);
  assert.equal(failed.status, 500);
  await failed.text();
  assert.equal((await server.fetch(`app/blobs/${sha256(body)}`)).status, 404);
  // A composition that was made, whose answer did not come, is not made again.
  store.lostAnswers = 1;
  const large = await server.pushBlob('app', body);
  assert.deepEqual([...store.parts], []);
  assert.deepEqual(
    [...store.objects.keys()].filter((key) => key.startsWith('hub/ingest/')),
    [],
  );
  const range = { headers: { range: `bytes=${body.length - 3}-${body.length + 10}` } };
  const end = await direct.fetch('nothing/tags/list').then(() => server.fetch(`app/blobs/${large}`, range));
  assert.ok(Buffer.from(await end.arrayBuffer()).equals(body.subarray(-3)));
  // The URL is for reading, and for nothing else.
  const { headers } = await server.fetch(`app/blobs/${large}`, { redirect: 'manual' });
  const url = headers.get('location')!;
  for (const method of ['PUT', 'DELETE', 'HEAD']) assert.equal((await fetch(url, { method })).status, 403, method);
  assert.equal(
    (await server.fetch(`app/blobs/${large}`, { method: 'HEAD' })).headers.get('content-length'),
    String(9 << 20),
  );
});

test(`two servers of one bucket: pushes, deletions and collections beside each other lose nothing (seed ${SEED})`, async () => {
  await using store = await S3Double.open();
  store.pageSize = 7;
  await using one = await BucketServer.open(store, { settings: { redirect: false } });
  await using two = await BucketServer.open(store, { settings: { redirect: false } });
  const servers = [one, two];
  let state = SEED;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const expected = new Map<string, { digest: string; blob: string; content: string }>();
  let again = 0;
  /** Until it is taken: what a collection took in between is told, and sent again, as clients do. */
  const push = async (repository: string, tag: string, content: string): Promise<void> => {
    const body = Buffer.from(content);
    const blob = sha256(body);
    for (; ; again++) {
      const server = servers[random(2)]!;
      const known = await server.fetch(`${repository}/blobs/${blob}`, { method: 'HEAD' });
      if (known.status !== 200) {
        const url = `${repository}/blobs/uploads/?digest=${blob}`;
        const sent = await servers[random(2)]!.fetch(url, { method: 'POST', body: new Uint8Array(body) });
        if (sent.status === 503) continue;
        assert.equal(sent.status, 201, await sent.text());
      }
      const put = await servers[random(2)]!.pushManifest(repository, tag, blob, body.length);
      if (put.status === 400) {
        assert.match(await put.text(), /MANIFEST_BLOB_UNKNOWN/);
        continue;
      }
      assert.equal(put.status, 201, await put.text());
      expected.set(`${repository}:${tag}`, { digest: put.headers.get('docker-content-digest')!, blob, content });
      return;
    }
  };
  const check = async (): Promise<void> => {
    for (const [name, { digest, blob, content }] of expected) {
      const [repository, tag] = name.split(':');
      const server = servers[random(2)]!;
      const manifest = await server.fetch(`${repository}/manifests/${tag}`);
      assert.equal(manifest.headers.get('docker-content-digest'), digest, name);
      assert.equal(await (await server.fetch(`${repository}/blobs/${blob}`)).text(), content, name);
    }
  };
  // Days go by between the rounds, so that each finds what is due from those before it.
  mock.timers.enable({ apis: ['Date'], now: Date.now() });
  try {
    let collected = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const collecting = servers.map(async ({ bucket }) => {
        collected += (await bucket.repositories.collect()).blobs;
      });
      const working = [0, 1, 2].map(async (worker) => {
        for (let step = 0; step < 2; step++) {
          const repository = `r${random(2)}`;
          const name = `${repository}:w${worker}-${random(2)}`;
          const there = expected.get(name);
          if (there && random(2) === 0) {
            expected.delete(name);
            const url = `${repository}/manifests/w${name.split(':w')[1]}`;
            await servers[random(2)]!.fetch(url, { method: 'DELETE' });
            // No other tag of the repository has that manifest: its content is this tag's.
            await servers[random(2)]!.fetch(`${repository}/manifests/${there.digest}`, { method: 'DELETE' });
          } else await push(repository, `w${name.split(':w')[1]}`, `content ${name.split(':w')[1]} ${random(3)}`);
        }
      });
      await Promise.all([...collecting, ...working]);
      await check();
      mock.timers.tick(25 * 3600_000);
    }
    assert.ok(collected > 0, 'nothing was ever collected');
    // With all gone, nothing stays: two looks, a day between them.
    for (const { bucket } of servers) {
      for (const repository of await bucket.repositories.links.repositories()) {
        for (const { digest } of await bucket.repositories.links.manifests(repository)) {
          await bucket.repositories.links.deleteManifest(repository, digest);
        }
      }
    }
    for (let look = 0; look < 3; look++) {
      for (const { bucket } of servers) await bucket.repositories.collect();
      mock.timers.tick(25 * 3600_000);
    }
    assert.deepEqual(
      [...store.objects.keys()].filter((key) => !key.includes('/_reads/')),
      [],
    );
  } finally {
    mock.timers.reset();
  }
});

test('a blob that is taken while it is pushed is refused, not lost; a server that died in between holds nothing up', async () => {
  await using store = await S3Double.open();
  await using one = await BucketServer.open(store);
  const note = `hub/repositories/_condemned/${sha256('content').replace(':', '-')}`;
  const object = `hub/blobs/sha256/${sha256('content').slice(7)}`;
  const post = (): Promise<Response> =>
    one.fetch(`app/blobs/uploads/?digest=${sha256('content')}`, { method: 'POST', body: 'content' });
  store.objects.set(note, { body: Buffer.from('another server'), modifiedAt: new Date() });
  const pushed = post();
  const linked = `hub/repositories/app/_blobs/${sha256('content').replace(':', '-')}`;
  while (!store.objects.has(linked)) await new Promise((resolve) => setTimeout(resolve, 5));
  // The other one is through with it now.
  store.objects.delete(object);
  store.objects.delete(note);
  const refused = await pushed;
  assert.equal(refused.status, 503);
  assert.match(await refused.text(), /push it again/);
  assert.equal((await one.fetch(`app/blobs/${sha256('content')}`, { method: 'HEAD' })).status, 404);
  assert.equal((await post()).status, 201);
  store.objects.set(note, { body: Buffer.from('a dead one'), modifiedAt: new Date(Date.now() - 3600_000) });
  assert.equal((await post()).status, 201);
  assert.ok(!store.objects.has(note));
});

test('a store that stumbles is asked again; wrong keys are told, without them', async () => {
  await using store = await S3Double.open();
  await using server = await BucketServer.open(store);
  store.failures = 2;
  await server.pushBlob('app', Buffer.from('x'));
  await using stranger = await BucketServer.open(store, { secret: 'guessed' });
  const refused = await stranger.fetch('app/tags/list');
  assert.equal(refused.status, 500);
  assert.doesNotMatch(await refused.text(), /guessed|TESTKEY/);
});

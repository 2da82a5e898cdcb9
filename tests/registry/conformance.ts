import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';

export interface ConformanceTarget {
  /** `http://127.0.0.1:5000` */
  readonly url: string;
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const EMPTY = 'application/vnd.oci.empty.v1+json';

/** Where a registry does something else than the specification says, and why. That it does so is tested as well. */
export type Deviations = Readonly<
  Partial<
    Record<
      | 'unsatisfiable ranges'
      | 'order of chunks'
      | 'blobs in one POST'
      | 'pages of tags'
      | 'deletion of tags'
      | 'sha512 for manifests'
      | 'tags beside a digest'
      | 'referrers'
      | 'paths that are not clean',
      string
    >
  >
>;

/** Debian's docker-registry, which is older than most of 1.1. */
export const DOCKER_REGISTRY_2_8: Deviations = {
  'unsatisfiable ranges': 'its 416 announces the whole blob and ends without it',
  'order of chunks':
    'it does not read Content-Range: a chunk goes to the end, and only its own state in the URL is checked',
  'blobs in one POST': 'optional before 1.1: it begins an upload instead',
  'pages of tags': 'n and last are ignored, and the order is that of the directory',
  'deletion of tags': 'it deletes manifests by digest only',
  'sha512 for manifests': 'it takes the canonical sha256 of what came, whatever the name says',
  'tags beside a digest': 'newer than it is',
  referrers: 'newer than it is: clients fall back to tags',
  'paths that are not clean': 'its router redirects them to what they would be',
};

/** What the distribution specification says that a client can rely on, as tests against any registry. */
export function conformanceTests(name: string, target: () => ConformanceTarget, deviations: Deviations = {}): void {
  const call = async (
    method: string,
    path: string,
    options: { body?: Buffer | string; headers?: Record<string, string> } = {},
  ): Promise<Response> => {
    const response = await fetch(new URL(path, target().url), {
      method,
      headers: { 'content-type': 'application/octet-stream', ...options.headers },
      ...(options.body === undefined ? {} : { body: new Uint8Array(Buffer.from(options.body)) }),
      redirect: 'manual',
    });
    return response;
  };
  const fresh = (): string => `conformance/r${randomBytes(6).toString('hex')}`;
  const expect = async (response: Response, ...statuses: number[]): Promise<Response> => {
    assert.ok(statuses.includes(response.status), `${response.status} ${await response.clone().text()}`);
    return response;
  };
  const begin = async (repository: string): Promise<string> => {
    const response = await expect(await call('POST', `/v2/${repository}/blobs/uploads/`), 202);
    return response.headers.get('location')!;
  };
  const withDigest = (location: string, digest: string): string =>
    `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`;
  const pushBlob = async (repository: string, body: Buffer, algorithm = 'sha256'): Promise<string> => {
    const digest = digestOf(body, algorithm);
    const response = await call('PUT', withDigest(await begin(repository), digest), { body });
    await expect(response, 201);
    assert.ok(response.headers.get('location'));
    return digest;
  };
  const pushManifest = async (
    repository: string,
    reference: string | undefined,
    more: Record<string, unknown> = {},
  ): Promise<{ digest: string; body: string; response: Response }> => {
    const config = Buffer.from('{}');
    const layer = Buffer.from(`layer ${JSON.stringify(more)}`);
    const document = {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: EMPTY, digest: await pushBlob(repository, config), size: config.length },
      layers: [{ mediaType: 'text/plain', digest: await pushBlob(repository, layer), size: layer.length }],
      ...more,
    };
    const body = JSON.stringify(document);
    const digest = digestOf(Buffer.from(body));
    const path = `/v2/${repository}/manifests/${reference ?? digest}`;
    const response = await expect(await call('PUT', path, { body, headers: { 'content-type': MANIFEST } }), 201);
    return { digest, body, response };
  };

  test(`${name}: the API is there`, async () => {
    await expect(await call('GET', '/v2/'), 200);
  });

  test(`${name}: a blob in one request after POST, read whole, by HEAD and in parts`, async () => {
    const repository = fresh();
    const body = randomBytes(200_000);
    const digest = await pushBlob(repository, body);
    const head = await expect(await call('HEAD', `/v2/${repository}/blobs/${digest}`), 200);
    assert.equal(head.headers.get('content-length'), String(body.length));
    assert.equal(head.headers.get('docker-content-digest'), digest);
    const whole = await expect(await call('GET', `/v2/${repository}/blobs/${digest}`), 200);
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(body));
    for (const [range, start, end] of [
      ['bytes=0-99', 0, 100],
      ['bytes=150000-', 150_000, 200_000],
      ['bytes=-7', 199_993, 200_000],
    ] as const) {
      const part = await expect(await call('GET', `/v2/${repository}/blobs/${digest}`, { headers: { range } }), 206);
      assert.equal(part.headers.get('content-range'), `bytes ${start}-${end - 1}/${body.length}`);
      assert.ok(Buffer.from(await part.arrayBuffer()).equals(body.subarray(start, end)));
    }
    const beyond = { range: 'bytes=200000-' };
    const refused = await call('GET', `/v2/${repository}/blobs/${digest}`, { headers: beyond });
    assert.equal(refused.status, 416);
    if (deviations['unsatisfiable ranges']) await assert.rejects(refused.arrayBuffer());
    else assert.ok((await refused.json()) as unknown);
  });

  test(`${name}: a blob in chunks, which must come in their order`, async () => {
    const repository = fresh();
    const body = randomBytes(30_000);
    const chunk = (start: number, end: number): { body: Buffer; headers: Record<string, string> } => ({
      body: body.subarray(start, end),
      headers: { 'content-range': `${start}-${end - 1}` },
    });
    let location = await begin(repository);
    const inOrder = !deviations['order of chunks'];
    const gap = await call('PATCH', await begin(repository), chunk(10_000, 20_000));
    await expect(gap, inOrder ? 416 : 202);
    let response = await expect(await call('PATCH', location, chunk(0, 10_000)), 202);
    assert.equal(response.headers.get('range'), '0-9999');
    location = response.headers.get('location')!;
    if (inOrder) await expect(await call('PATCH', location, chunk(0, 10_000)), 416);
    response = await expect(await call('GET', location), 204);
    assert.equal(response.headers.get('range'), '0-9999');
    location = response.headers.get('location')!;
    response = await expect(await call('PATCH', location, chunk(10_000, 20_000)), 202);
    location = response.headers.get('location')!;
    const digest = digestOf(body);
    response = await expect(await call('PUT', withDigest(location, digest), chunk(20_000, 30_000)), 201);
    const read = await expect(await call('GET', response.headers.get('location')!), 200);
    assert.ok(Buffer.from(await read.arrayBuffer()).equals(body));
  });

  test(`${name}: a stream without ranges, then an empty PUT`, async () => {
    const repository = fresh();
    const body = randomBytes(5000);
    const response = await expect(await call('PATCH', await begin(repository), { body }), 202);
    await expect(await call('PUT', withDigest(response.headers.get('location')!, digestOf(body))), 201);
    await expect(await call('HEAD', `/v2/${repository}/blobs/${digestOf(body)}`), 200);
  });

  test(`${name}: an upload with the wrong digest is refused and leaves nothing`, async () => {
    const repository = fresh();
    const wrong = digestOf(Buffer.from('other'));
    await expect(await call('PUT', withDigest(await begin(repository), wrong), { body: 'this' }), 400);
    await expect(await call('HEAD', `/v2/${repository}/blobs/${wrong}`), 404);
    await expect(await call('HEAD', `/v2/${repository}/blobs/${digestOf(Buffer.from('this'))}`), 404);
  });

  test(`${name}: a cancelled upload is gone`, async () => {
    const repository = fresh();
    const location = await begin(repository);
    await expect(await call('DELETE', location), 204);
    await expect(await call('GET', location), 404);
  });

  test(`${name}: a blob is taken over from another repository, and sent where that is not possible`, async () => {
    const [source, destination] = [fresh(), fresh()];
    const digest = await pushBlob(source, randomBytes(100));
    const path = (from: string): string => `/v2/${destination}/blobs/uploads/?mount=${digest}&from=${from}`;
    await expect(await call('HEAD', `/v2/${destination}/blobs/${digest}`), 404);
    await expect(await call('POST', path(fresh())), 202);
    const mounted = await expect(await call('POST', path(source)), 201);
    assert.ok(mounted.headers.get('location')!.endsWith(`/v2/${destination}/blobs/${digest}`));
    await expect(await call('HEAD', `/v2/${destination}/blobs/${digest}`), 200);
  });

  test(`${name}: a manifest by tag and by digest`, async () => {
    const repository = fresh();
    const { digest, body, response } = await pushManifest(repository, 'v1');
    assert.equal(response.headers.get('docker-content-digest'), digest);
    for (const reference of ['v1', digest]) {
      const path = `/v2/${repository}/manifests/${reference}`;
      const head = await expect(await call('HEAD', path, { headers: { accept: MANIFEST } }), 200);
      assert.equal(head.headers.get('docker-content-digest'), digest);
      assert.equal(head.headers.get('content-length'), String(body.length));
      const read = await expect(await call('GET', path, { headers: { accept: MANIFEST } }), 200);
      assert.equal(read.headers.get('content-type'), MANIFEST);
      assert.equal(await read.text(), body);
    }
    await expect(await call('GET', `/v2/${repository}/manifests/none`), 404);
    await expect(await call('GET', `/v2/${repository}/manifests/${digestOf(Buffer.from('x'))}`), 404);
  });

  test(`${name}: a manifest must be one, and name what is there`, async () => {
    const repository = fresh();
    const put = (body: string): Promise<Response> =>
      call('PUT', `/v2/${repository}/manifests/bad`, { body, headers: { 'content-type': MANIFEST } });
    await expect(await put('{'), 400);
    await expect(await put('{"schemaVersion":2}'), 400);
    const missing = { mediaType: 'text/plain', digest: digestOf(Buffer.from('gone')), size: 4 };
    const body = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: missing, layers: [missing] });
    const refused = await expect(await put(body), 400, 404);
    const { errors } = (await refused.json()) as { errors: { code: string }[] };
    assert.equal(errors[0]!.code, 'MANIFEST_BLOB_UNKNOWN');
  });

  test(`${name}: an index of manifests`, async () => {
    const repository = fresh();
    const { digest, body } = await pushManifest(repository, 'one');
    const manifests = [
      { mediaType: MANIFEST, digest, size: body.length, platform: { os: 'linux', architecture: 'amd64' } },
    ];
    const index = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests });
    const headers = { 'content-type': INDEX };
    await expect(await call('PUT', `/v2/${repository}/manifests/all`, { body: index, headers }), 201);
    const read = await call('GET', `/v2/${repository}/manifests/all`, { headers: { accept: INDEX } });
    assert.equal(await read.text(), index);
  });

  test(`${name}: tags come in pages`, async () => {
    const repository = fresh();
    for (const tag of ['d', 'b', 'a', 'c']) await pushManifest(repository, tag);
    const tags = async (path: string): Promise<{ tags: string[]; next: string | undefined }> => {
      const response = await expect(await call('GET', path), 200);
      const { name, tags } = (await response.json()) as { name: string; tags: string[] };
      assert.equal(name, repository);
      return { tags, next: /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1] };
    };
    const list = `/v2/${repository}/tags/list`;
    assert.deepEqual((await tags(list)).tags.sort(), ['a', 'b', 'c', 'd']);
    if (deviations['pages of tags']) {
      assert.equal((await tags(`${list}?n=2`)).tags.length, 4);
      return;
    }
    const first = await tags(`${list}?n=2`);
    assert.deepEqual(first.tags, ['a', 'b']);
    assert.deepEqual((await tags(first.next!)).tags, ['c', 'd']);
    assert.deepEqual((await tags(`${list}?n=2&last=b`)).tags, ['c', 'd']);
    await expect(await call('GET', `/v2/${fresh()}/tags/list`), 404);
  });

  test(`${name}: manifests and blobs are deleted`, async () => {
    const repository = fresh();
    const { digest } = await pushManifest(repository, 'v1');
    await expect(await call('DELETE', `/v2/${repository}/manifests/${digest}`), 202);
    await expect(await call('GET', `/v2/${repository}/manifests/${digest}`), 404);
    await expect(await call('GET', `/v2/${repository}/manifests/v1`), 404);
    const blob = await pushBlob(repository, randomBytes(10));
    await expect(await call('DELETE', `/v2/${repository}/blobs/${blob}`), 202);
    await expect(await call('HEAD', `/v2/${repository}/blobs/${blob}`), 404);
    await expect(await call('DELETE', `/v2/${repository}/blobs/${blob}`), 404);
  });

  test(`${name}: the catalog lists repositories`, async () => {
    const repository = fresh();
    await pushManifest(repository, 'v1');
    const names: string[] = [];
    for (let path: string | undefined = '/v2/_catalog?n=100'; path !== undefined;) {
      const response = await expect(await call('GET', path), 200);
      names.push(...((await response.json()) as { repositories: string[] }).repositories);
      path = /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    }
    assert.ok(names.includes(repository));
  });

  test(`${name}: names that are none are refused`, async () => {
    const digest = digestOf(Buffer.from('x'));
    for (const path of ['UPPER', 'a//b', 'a%2F..%2Fb', '..%2f..%2fetc', 'a%00b', 'a%5cb', '_blobs']) {
      const response = await call('GET', `/v2/${path}/blobs/${digest}`);
      assert.ok(
        [400, 404, ...(deviations['paths that are not clean'] ? [301] : [])].includes(response.status),
        `${path}: ${response.status}`,
      );
      await response.body?.cancel();
    }
    for (const bad of ['sha256:abc', 'md5:900150983cd24fb0d6963f7d28e17f72', 'sha256:..%2f..%2fx']) {
      await expect(
        await call('GET', `/v2/${fresh()}/blobs/${bad}`),
        400,
        404,
        ...(deviations['paths that are not clean'] ? [301] : []),
      );
    }
  });

  test(`${name}: a blob in one POST`, async () => {
    const repository = fresh();
    const body = randomBytes(1000);
    const path = `/v2/${repository}/blobs/uploads/?digest=${digestOf(body)}`;
    const inOne = !deviations['blobs in one POST'];
    await expect(await call('POST', path, { body }), inOne ? 201 : 202);
    await expect(await call('HEAD', `/v2/${repository}/blobs/${digestOf(body)}`), inOne ? 200 : 404);
  });

  test(`${name}: a tag is deleted without its manifest`, async () => {
    const repository = fresh();
    const { digest } = await pushManifest(repository, 'v1');
    const accept = { headers: { accept: MANIFEST } };
    const deleted = !deviations['deletion of tags'];
    await expect(await call('DELETE', `/v2/${repository}/manifests/v1`), deleted ? 202 : 400);
    await expect(await call('GET', `/v2/${repository}/manifests/v1`, accept), deleted ? 404 : 200);
    await expect(await call('GET', `/v2/${repository}/manifests/${digest}`, accept), 200);
  });

  test(`${name}: what there is not`, async () => {
    const repository = fresh();
    const digest = digestOf(Buffer.from('nothing'));
    for (const method of ['GET', 'HEAD']) {
      await expect(await call(method, `/v2/${repository}/blobs/${digest}`), 404);
      await expect(await call(method, `/v2/${repository}/manifests/${digest}`), 404);
      await expect(await call(method, `/v2/${repository}/manifests/latest`), 404);
    }
    await expect(await call('DELETE', `/v2/${repository}/manifests/${digest}`), 404);
    await expect(await call('GET', `/v2/${repository}/blobs/uploads/none`), 404);
    await expect(await call('GET', `/v2/${repository}/tags/list`), 404);
  });

  test(`${name}: a mount that names no source, or another than has it, begins an upload`, async () => {
    const digest = await pushBlob(fresh(), randomBytes(50));
    const repository = fresh();
    const begun = await expect(await call('POST', `/v2/${repository}/blobs/uploads/?mount=${digest}`), 201, 202);
    assert.ok(begun.headers.get('location'));
    const none = digestOf(randomBytes(5));
    await expect(await call('POST', `/v2/${repository}/blobs/uploads/?mount=${none}&from=${fresh()}`), 202);
  });

  test(`${name}: a manifest without layers, and one that comes again`, async () => {
    const repository = fresh();
    const digest = await pushBlob(repository, Buffer.from('{}'));
    const body = JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 },
      layers: [],
    });
    const put = { body, headers: { 'content-type': MANIFEST } };
    for (const tag of ['one', 'one', 'two']) {
      await expect(await call('PUT', `/v2/${repository}/manifests/${tag}`, put), 201);
    }
    const read = await call('GET', `/v2/${repository}/manifests/two`, { headers: { accept: MANIFEST } });
    assert.equal(await read.text(), body);
  });

  test(`${name}: sha512 for blobs and manifests`, async () => {
    const repository = fresh();
    const body = randomBytes(1000);
    const digest = await pushBlob(repository, body, 'sha512');
    const read = await expect(await call('GET', `/v2/${repository}/blobs/${digest}`), 200);
    assert.ok(Buffer.from(await read.arrayBuffer()).equals(body));
    const config = { mediaType: EMPTY, digest, size: body.length };
    const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config, layers: [] }));
    const name = digestOf(manifest, 'sha512');
    const path = `/v2/${repository}/manifests/${name}`;
    const put = await call('PUT', path, { body: manifest, headers: { 'content-type': MANIFEST } });
    if (deviations['sha512 for manifests']) return void (await expect(put, 400));
    await expect(put, 201);
    assert.equal((await call('GET', path)).headers.get('docker-content-digest'), name);
  });

  test(`${name}: tags beside a digest`, async () => {
    const repository = fresh();
    const { digest, body } = await pushManifest(repository, undefined);
    const path = `/v2/${repository}/manifests/${digest}?tag=a&tag=b`;
    const response = await expect(await call('PUT', path, { body, headers: { 'content-type': MANIFEST } }), 201);
    if (deviations['tags beside a digest']) {
      return void (await expect(await call('HEAD', `/v2/${repository}/manifests/a`), 404));
    }
    assert.equal(response.headers.get('oci-tag'), 'a, b');
    for (const tag of ['a', 'b']) {
      const head = await expect(await call('HEAD', `/v2/${repository}/manifests/${tag}`), 200);
      assert.equal(head.headers.get('docker-content-digest'), digest);
    }
  });

  test(`${name}: referrers, before and after their subject`, async () => {
    const repository = fresh();
    const image = await pushManifest(repository, 'v1');
    const subject = { mediaType: MANIFEST, digest: image.digest, size: image.body.length };
    const annotations = { 'org.example': 'yes' };
    const signature = await pushManifest(repository, undefined, {
      subject,
      artifactType: 'test/signature',
      annotations,
    });
    if (deviations['referrers']) {
      assert.equal(signature.response.headers.get('oci-subject'), null);
      return void (await expect(await call('GET', `/v2/${repository}/referrers/${image.digest}`), 404));
    }
    assert.equal(signature.response.headers.get('oci-subject'), image.digest);
    const bill = await pushManifest(repository, undefined, { subject, artifactType: 'test/sbom' });
    const referrers = async (query = ''): Promise<Response> => {
      const response = await expect(await call('GET', `/v2/${repository}/referrers/${image.digest}${query}`), 200);
      assert.equal(response.headers.get('content-type'), INDEX);
      return response;
    };
    const all = (await (await referrers()).json()) as { manifests: { digest: string }[] };
    assert.deepEqual(all.manifests.map((one) => one.digest).sort(), [signature.digest, bill.digest].sort());
    const filtered = await referrers(`?artifactType=${encodeURIComponent('test/signature')}`);
    assert.equal(filtered.headers.get('oci-filters-applied'), 'artifactType');
    assert.deepEqual(((await filtered.json()) as { manifests: unknown[] }).manifests, [
      {
        mediaType: MANIFEST,
        digest: signature.digest,
        size: signature.body.length,
        artifactType: 'test/signature',
        annotations,
      },
    ]);
    await expect(await call('DELETE', `/v2/${repository}/manifests/${bill.digest}`), 202);
    assert.equal(((await (await referrers()).json()) as { manifests: unknown[] }).manifests.length, 1);
    const nobody = await call('GET', `/v2/${repository}/referrers/${digestOf(Buffer.from('nobody'))}`);
    assert.deepEqual((await expect(nobody, 200)) && ((await nobody.json()) as { manifests: [] }).manifests, []);
    // A subject that is not there yet is no error: it may come later.
    const later = { ...subject, digest: digestOf(Buffer.from('later')) };
    await pushManifest(repository, undefined, { subject: later });
  });
}

function digestOf(bytes: Buffer, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

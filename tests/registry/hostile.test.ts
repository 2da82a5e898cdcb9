import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import type { PaceLimits } from '../../src/registry/client/pace.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { sha256 } from '../../src/oci/digest.ts';
import { streamOf, tarOf } from '../images/archive.ts';
import { NOTHING, TestImages } from '../images/image-store.ts';
import { type Answer, MisbehavingRegistry } from './misbehaving-registry.ts';

/** Images of an engine whose registry client waits for nothing, or as long as `pace` says. */
async function openImages(root?: string, pace: PaceLimits = {}): Promise<TestImages & AsyncDisposable> {
  const client = new RegistryClient({ retryDelayMs: 1, ...pace });
  const images = await TestImages.open({ registry: new RemoteImages(client), ...(root === undefined ? {} : { root }) });
  const close = images.close.bind(images);
  images.close = async () => {
    client.close();
    await close();
  };
  return images;
}

interface Attack {
  readonly name: string;
  readonly set: (registry: MisbehavingRegistry) => Answer | void;
  readonly error: { code: string; message?: RegExp };
}

const isLayer = (registry: MisbehavingRegistry, path: string | undefined): boolean =>
  path!.includes(registry.layerDigest);
const isManifest = (path: string | undefined): boolean => path!.includes('/manifests/');

const ATTACKS: readonly Attack[] = [
  {
    name: 'a layer with other content',
    set: (registry) => (request, response) => {
      if (!isLayer(registry, request.url)) return false;
      response.end(Buffer.alloc(registry.layer.length, 'x'));
      return true;
    },
    error: { code: 'corrupt', message: /instead of sha256:/ },
  },
  {
    name: 'a layer that is longer than it says',
    set: (registry) => (request, response) => {
      if (!isLayer(registry, request.url)) return false;
      response.write(registry.layer);
      response.end('more');
      return true;
    },
    error: { code: 'corrupt', message: /more than/ },
  },
  {
    name: 'a layer whose length is said to be another',
    set: (registry) => (request, response) => {
      if (!isLayer(registry, request.url)) return false;
      response.end(registry.layer.subarray(0, 10));
      return true;
    },
    error: { code: 'corrupt', message: /has 10 bytes instead of/ },
  },
  {
    name: 'a layer that was deleted while the image is pulled',
    set: (registry) => (request, response) => {
      if (!isLayer(registry, request.url)) return false;
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}');
      return true;
    },
    error: { code: 'not-found', message: /blob unknown/ },
  },
  {
    name: 'a digest header that lies',
    set: (registry) => (request, response) => {
      if (!isManifest(request.url)) return false;
      response.setHeader('docker-content-digest', `sha256:${'0'.repeat(64)}`);
      response.setHeader('content-type', registry.manifestType);
      response.end(registry.manifest);
      return true;
    },
    error: { code: 'corrupt', message: /manifest verification failed/ },
  },
  {
    name: 'a manifest of another type than it says',
    set: (registry) => void (registry.manifestType = 'application/vnd.oci.image.index.v1+json'),
    error: { code: 'corrupt', message: /it came as .*index.* and says that it is .*manifest/ },
  },
  {
    name: 'a document that is both manifest and index',
    set: (registry) => {
      registry.manifest = Buffer.from(registry.manifest.toString().replace('{', '{"manifests":[],'));
    },
    error: { code: 'corrupt', message: /both/ },
  },
  {
    name: 'a manifest of schema 1',
    set: (registry) => {
      registry.manifestType = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
      registry.manifest = Buffer.from('{"schemaVersion":1,"name":"app","fsLayers":[]}');
    },
    error: { code: 'unimplemented', message: /schema 1/ },
  },
  {
    name: 'a manifest without end',
    set: () => (request, response) => {
      if (!isManifest(request.url) || request.method === 'HEAD') return false;
      response.setHeader('content-type', 'application/vnd.oci.image.manifest.v1+json');
      const chunk = Buffer.alloc(1 << 20, ' ');
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more);
      more();
      return true;
    },
    error: { code: 'too-large' },
  },
  {
    name: 'an index without our platform',
    set: (registry) => {
      registry.manifestType = 'application/vnd.oci.image.index.v1+json';
      const digest = registry.layerDigest;
      const platform = { os: 'linux', architecture: 's390x' };
      const mediaType = 'application/vnd.oci.image.manifest.v1+json';
      const manifests = [{ mediaType, digest, size: 2, platform }];
      registry.manifest = Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: registry.manifestType, manifests }),
      );
    },
    error: { code: 'not-found', message: /^no matching manifest for linux\/amd64 in the manifest list entries$/ },
  },
  {
    name: 'a chart instead of an image',
    set: (registry) => {
      registry.manifest = Buffer.from(
        registry.manifest.toString().replace('oci.image.config.v1+json', 'cncf.helm.config.v1+json'),
      );
    },
    error: { code: 'invalid-argument', message: /not a container image/ },
  },
  {
    name: 'digests that are paths',
    set: (registry) => {
      registry.manifest = Buffer.from(
        registry.manifest.toString().replaceAll(registry.layerDigest, 'sha256:../../../../etc/passwd'),
      );
    },
    error: { code: 'corrupt' },
  },
  {
    name: 'a manifest of more layers than anybody has',
    set: (registry) => {
      const manifest = JSON.parse(registry.manifest.toString()) as { layers: unknown[] };
      manifest.layers = Array.from({ length: 1001 }, () => manifest.layers[0]);
      registry.manifest = Buffer.from(JSON.stringify(manifest));
    },
    error: { code: 'too-large', message: /1001 entries, at most 1000/ },
  },
  {
    name: 'indexes in indexes without end',
    set: (registry) => {
      // Each names the next, by its true digest: the innermost is made first.
      const mediaType = 'application/vnd.oci.image.index.v1+json';
      const platform = { os: 'linux', architecture: 'amd64' };
      const documents = new Map<string, Buffer>();
      let inner = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests: [] }));
      for (let depth = 0; depth < 6; depth++) {
        const digest = `sha256:${createHash('sha256').update(inner).digest('hex')}`;
        documents.set(digest, inner);
        const manifests = [{ mediaType, digest, size: inner.length, platform }];
        inner = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
      }
      registry.manifest = inner;
      registry.manifestType = mediaType;
      return (request, response) => {
        const document = documents.get(request.url!.split('/').at(-1)!);
        if (!document) return false;
        response.setHeader('content-type', mediaType);
        response.end(document);
        return true;
      };
    },
    error: { code: 'corrupt', message: /more than 4 in each other/ },
  },
  {
    name: 'redirects without end',
    set: (registry) => (request, response) => {
      if (!isLayer(registry, request.url)) return false;
      response.writeHead(307, { location: request.url }).end();
      return true;
    },
    error: { code: 'forbidden', message: /stopped after 5 redirects/ },
  },
  {
    name: 'a redirect to the metadata of a cloud',
    set: (registry) => (request, response) => {
      if (!isLayer(registry, request.url)) return false;
      response.writeHead(307, { location: 'http://169.254.169.254/latest/meta-data' }).end();
      return true;
    },
    error: { code: 'forbidden', message: /local link/ },
  },
];

for (const { name, set, error } of ATTACKS) {
  test(`${name} is refused and leaves nothing`, async () => {
    await using registry = await MisbehavingRegistry.open();
    await using images = await openImages();
    registry.answer = set(registry) ?? registry.answer;
    await assert.rejects(images.images.pull(`${registry.host}/app:1`, { platform: 'linux/amd64' }), error);
    assert.deepEqual(await images.contents(), NOTHING);
    assert.deepEqual(await images.images.list(), []);
  });
}

test('addresses in a manifest are not gone to, nor is the local link by an image’s name', async () => {
  const heard: string[] = [];
  const other = createServer((request, response) => {
    heard.push(request.url!);
    response.end('x');
  });
  await new Promise<void>((resolve) => other.listen({ host: '127.0.0.2', port: 0 }, resolve));
  try {
    await using registry = await MisbehavingRegistry.open();
    await using images = await openImages();
    const manifest = JSON.parse(registry.manifest.toString()) as { layers: { urls?: string[] }[] };
    manifest.layers[0]!.urls = [`http://127.0.0.2:${(other.address() as AddressInfo).port}/layer`];
    registry.manifest = Buffer.from(JSON.stringify(manifest));
    await images.images.pull(`${registry.host}/app:1`);
    assert.deepEqual(heard, []);
    await assert.rejects(images.images.pull('169.254.169.254/latest/meta-data:x'), {
      code: 'forbidden',
      message: /local link/,
    });
  } finally {
    other.closeAllConnections();
    other.close();
  }
});

test('a layer that breaks off goes on where it was, also in the next engine', async () => {
  await using registry = await MisbehavingRegistry.open({ file: randomBytes(300_000).toString('base64') });
  let budget = 100_000;
  registry.answer = (request, response) => {
    if (!isLayer(registry, request.url)) return false;
    if (budget <= 0) return void response.destroy();
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const part = registry.layer.subarray(start, start + budget);
    budget = 0;
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': registry.layer.length - start,
      ...(start > 0 && { 'content-range': `bytes ${start}-${registry.layer.length - 1}/${registry.layer.length}` }),
    });
    response.write(part, () => setImmediate(() => response.destroy()));
    return true;
  };
  const first = await openImages();
  await assert.rejects(first.images.pull(`${registry.host}/app:1`), { code: 'unavailable' });
  const after = registry.layerRequests.at(-1)!.headers.range;
  assert.match(after!, /^bytes=[1-9]\d*-$/);
  await first.close();

  registry.answer = () => false;
  registry.requests.length = 0;
  await using second = await openImages(first.root);
  await second.images.pull(`${registry.host}/app:1`);
  assert.deepEqual(
    registry.layerRequests.map(({ headers }) => headers.range),
    [after],
  );
  assert.equal((await second.images.list()).length, 1);
});

test('a registry that stalls in the middle of a layer is given up, and asked for the rest', async () => {
  await using registry = await MisbehavingRegistry.open({ file: randomBytes(100_000).toString('base64') });
  await using images = await openImages(undefined, { stallMs: 500 });
  let stalls = 0;
  registry.answer = (request, response) => {
    if (!isLayer(registry, request.url) || stalls === 2) return false;
    stalls++;
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const length = registry.layer.length;
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': length - start,
      ...(start > 0 && { 'content-range': `bytes ${start}-${length - 1}/${length}` }),
    });
    response.write(registry.layer.subarray(start, start + 20_000));
    return true;
  };
  await images.images.pull(`${registry.host}/app:1`);
  assert.deepEqual(
    registry.layerRequests.map(({ headers }) => headers.range),
    [undefined, 'bytes=20000-', 'bytes=40000-'],
  );
});

/** Sends `bytes` one by one, every 20 ms, for as long as anybody listens; `done` when all are sent. */
function dribble(response: ServerResponse, bytes: Buffer, done = (): void => {}): void {
  let at = 0;
  const timer = setInterval(() => {
    if (at === bytes.length) return done();
    response.write(bytes.subarray(at, ++at));
  }, 20);
  response.once('close', () => clearInterval(timer));
}

test('a registry that sends a byte now and then is given up, asked for the rest, and given up for good', async () => {
  await using registry = await MisbehavingRegistry.open({ file: randomBytes(100_000).toString('base64') });
  await using images = await openImages(undefined, { stallMs: 1000, minBytesPerSecond: 20_000 });
  let slow = 2;
  const length = registry.layer.length;
  registry.answer = (request, response) => {
    if (!isLayer(registry, request.url) || slow-- <= 0) return false;
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': length - start,
      ...(start > 0 && { 'content-range': `bytes ${start}-${length - 1}/${length}` }),
    });
    // A good beginning, so that it must be the average that counts.
    response.write(registry.layer.subarray(start, start + 30_000));
    dribble(response, registry.layer.subarray(start + 30_000));
    return true;
  };
  await images.images.pull(`${registry.host}/app:1`);
  const ranges = registry.layerRequests.map(({ headers }) =>
    Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0),
  );
  assert.ok(ranges.length >= 3, String(ranges));
  assert.ok(ranges[0] === 0 && ranges[1]! >= 30_000 && ranges[2]! >= 60_000, String(ranges));
  await images.images.remove(`${registry.host}/app:1`);

  slow = Infinity;
  registry.requests.length = 0;
  const pulled = images.images.pull(`${registry.host}/app:1`);
  await assert.rejects(pulled, {
    code: 'unavailable',
    message: /the registry sends less than 20000 bytes a second \(measured over 1 s; the setting registry-min-rate\)$/,
  });
  assert.ok(registry.layerRequests.length >= 3);
});

test('a manifest, and the head of an answer, that come byte by byte end as well', async () => {
  await using registry = await MisbehavingRegistry.open();
  await using images = await openImages(undefined, { stallMs: 300, minBytesPerSecond: 10_000 });
  registry.answer = (request, response) => {
    if (!isManifest(request.url) || request.method === 'HEAD') return false;
    response.writeHead(200, { 'content-type': registry.manifestType });
    dribble(response, Buffer.alloc(1_000_000, ' '));
    return true;
  };
  await assert.rejects(images.images.pull(`${registry.host}/app:1`), {
    code: 'unavailable',
    message: /less than 10000/,
  });
  registry.answer = (request, response) => {
    if (!isManifest(request.url)) return false;
    const socket = request.socket;
    socket.write('HTTP/1.1 200 OK\r\nx-long: ');
    const timer = setInterval(() => socket.write('x'), 20);
    response.once('close', () => clearInterval(timer));
    return true;
  };
  await assert.rejects(images.images.pull(`${registry.host}/app:1`), {
    code: 'unavailable',
    message: /the registry stalls/,
  });
});

test('a disk of ours that is slow is not held against the registry', async () => {
  await using registry = await MisbehavingRegistry.open({ file: randomBytes(600_000).toString('base64') });
  const client = new RegistryClient({ retryDelayMs: 1, stallMs: 500, minBytesPerSecond: 10_000_000 });
  const repository = await client.repository({ domain: registry.host, path: 'app' });
  const target = { digest: registry.layerDigest, size: registry.layer.length };
  let size = 0;
  for await (const chunk of repository.stream(target)) {
    size += chunk.byteLength;
    await sleep(200);
  }
  client.close();
  assert.equal(size, target.size);
});

for (const [name, read] of [
  ['reads nothing', () => {}],
  ['reads a little now and then', (request: IncomingMessage) => void setInterval(() => request.read(1), 20).unref()],
] as const) {
  test(`a push to a registry that ${name} ends`, async () => {
    await using registry = await MisbehavingRegistry.open();
    await using images = await openImages(undefined, { stallMs: 300, minBytesPerSecond: 500_000 });
    let uploads = 0;
    registry.answer = (request, response) => {
      if (!request.url!.includes('/blobs/uploads/')) return false;
      if (request.method === 'POST' || request.method === 'DELETE') {
        request.resume();
        response.writeHead(202, { location: '/v2/app/blobs/uploads/1' }).end();
        return true;
      }
      uploads++;
      read(request);
      return true;
    };
    // More than the buffers of two sockets have room for.
    const layer = await tarOf({ file: randomBytes(16 << 20) });
    await images.images.import(streamOf(layer), { repository: `${registry.host}/app`, tag: '2' });
    await assert.rejects(images.images.push(`${registry.host}/app:2`), {
      code: 'unavailable',
      message: /the registry (?:stalls|takes less than 500000 bytes a second)/,
    });
    assert.ok(uploads > 1 && uploads <= 7, String(uploads));
    assert.deepEqual(readdirSync(join(images.root, 'ingest')), []);
  });
}

test('a tag that moves between two requests gives one image or the other, and its own digest (60)', async () => {
  await using registry = await MisbehavingRegistry.open({ file: 'first' });
  await using second = await MisbehavingRegistry.open({ file: 'second' });
  const both = [registry, second];
  let asked = 0;
  registry.answer = (request, response) => {
    const path = request.url!.split('?')[0]!;
    // each question by the tag is answered by the other manifest; by digest there are both
    const manifest = path.endsWith('/manifests/1')
      ? both[asked++ % 2]!.manifest
      : both.map((each) => each.manifest).find((bytes) => path.endsWith(`/manifests/${sha256(bytes)}`));
    if (manifest) {
      response.setHeader('docker-content-digest', sha256(manifest));
      response.setHeader('content-type', registry.manifestType);
      response.setHeader('content-length', manifest.length);
      response.end(request.method === 'HEAD' ? undefined : manifest);
      return true;
    }
    const blob = [second.layer, second.config].find((bytes) => path.endsWith(`/blobs/${sha256(bytes)}`));
    if (!blob) return false;
    response.end(blob);
    return true;
  };
  await using images = await openImages();
  const name = `${registry.host}/app`;
  for (let pull = 0; pull < 3; pull++) {
    await images.images.pull(`${name}:1`);
    const { Id, RepoDigests } = await images.images.inspect(`${name}:1`);
    const image = both.find(({ config }) => sha256(config) === Id);
    assert.ok(image, Id);
    assert.ok(RepoDigests!.includes(`${name}@${sha256(image.manifest)}`), RepoDigests!.join());
  }
});

test('the same layer for two pulls comes once', async () => {
  await using registry = await MisbehavingRegistry.open();
  await using images = await openImages();
  const name = `${registry.host}/app`;
  await Promise.all([images.images.pull(`${name}:1`), images.images.pull(`${name}:1`)]);
  assert.equal(registry.layerRequests.length, 1);
});

test('a busy registry is asked again when it says so', async () => {
  await using registry = await MisbehavingRegistry.open();
  await using images = await openImages();
  const seen = new Set<string>();
  registry.answer = (request, response) => {
    const what = `${request.method} ${request.url}`;
    if (seen.has(what)) return false;
    seen.add(what);
    response.writeHead(seen.size % 2 === 0 ? 503 : 429, { 'retry-after': '0' }).end();
    return true;
  };
  await images.images.pull(`${registry.host}/app:1`);
  assert.ok(seen.size >= 4);
});

test('an abort ends a pull that waits for a silent registry', async () => {
  await using registry = await MisbehavingRegistry.open();
  await using images = await openImages();
  const abort = new AbortController();
  registry.answer = (request) => {
    if (!isLayer(registry, request.url)) return false;
    setImmediate(() => abort.abort());
    return true;
  };
  await assert.rejects(images.images.pull(`${registry.host}/app:1`, { signal: abort.signal }), { name: 'AbortError' });
  assert.deepEqual(await images.contents(), NOTHING);
});

test('credentials go to nobody else: not with redirects, not to a realm elsewhere', async () => {
  const heard: (string | undefined)[] = [];
  const other = createServer((request, response) => {
    heard.push(request.headers.authorization);
    response.end('{}');
  });
  await new Promise<void>((resolve) => other.listen({ host: '127.0.0.2', port: 0 }, resolve));
  const elsewhere = `http://127.0.0.2:${(other.address() as AddressInfo).port}/`;
  try {
    await using registry = await MisbehavingRegistry.open();
    await using images = await openImages();
    const auth = { username: 'u', password: 'S3cret' };
    registry.answer = (request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        return true;
      }
      if (!isLayer(registry, request.url)) return false;
      response.writeHead(307, { location: elsewhere }).end();
      return true;
    };
    await assert.rejects(images.images.pull(`${registry.host}/app:1`, { auth }), { code: 'corrupt' });
    assert.deepEqual(heard, [undefined]);

    heard.length = 0;
    registry.answer = (_request, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${elsewhere}",service="x"` }).end();
      return true;
    };
    const asked = images.images.pull(`${registry.host}/app:1`, { auth: { username: 'u', password: 'other' } });
    await assert.rejects(asked, { code: 'forbidden', message: /they are not sent/ });
    assert.deepEqual(heard, []);
  } finally {
    other.closeAllConnections();
    other.close();
  }
});

test('a token is asked for once per repository, with the password, and sent with every request', async () => {
  await using registry = await MisbehavingRegistry.open();
  await using images = await openImages();
  const asked: URL[] = [];
  registry.answer = (request, response) => {
    const url = new URL(request.url!, `http://${registry.host}`);
    if (url.pathname === '/token') {
      asked.push(url);
      assert.equal(request.headers.authorization, `Basic ${Buffer.from('u:p').toString('base64')}`);
      response.end(JSON.stringify({ token: `for-${url.searchParams.get('scope')}`, expires_in: 300 }));
      return true;
    }
    if (request.headers.authorization === 'Bearer for-repository:app:pull') return false;
    const realm = `http://${registry.host}/token`;
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="svc"` }).end();
    return true;
  };
  await images.images.pull(`${registry.host}/app:1`, { auth: { username: 'u', password: 'p' } });
  assert.deepEqual(
    asked.map(({ searchParams }) => [searchParams.get('service'), searchParams.get('account')]),
    [['svc', 'u']],
  );
});

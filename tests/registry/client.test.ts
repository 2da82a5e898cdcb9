import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { MEDIA_TYPES } from '../../src/oci/descriptor.ts';
import { sha256 } from '../../src/oci/digest.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { has } from '../images/archive.ts';
import { TestImages } from '../images/image-store.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { MisbehavingRegistry } from './misbehaving-registry.ts';

async function openImages(retryDelayMs = 1): Promise<TestImages & AsyncDisposable> {
  const client = new RegistryClient({ retryDelayMs });
  const images = await TestImages.open({ registry: new RemoteImages(client) });
  const close = images.close.bind(images);
  images.close = async () => {
    client.close();
    await close();
  };
  return images;
}

/** Makes `app:1` an index of two images that differ in their platform alone; gives the digests of their manifests. */
function serveIndex(registry: MisbehavingRegistry): { amd64: string; arm64: string; index: string } {
  const documents = new Map<string, { type: string; bytes: Buffer }>();
  const add = (type: string, document: unknown): { mediaType: string; digest: string; size: number } => {
    const bytes = Buffer.from(JSON.stringify(document));
    documents.set(sha256(bytes), { type, bytes });
    return { mediaType: type, digest: sha256(bytes), size: bytes.length };
  };
  const { layers } = JSON.parse(registry.manifest.toString()) as { layers: unknown[] };
  const config = JSON.parse(registry.config.toString()) as Record<string, unknown>;
  const [amd64, arm64] = ['amd64', 'arm64'].map((architecture) =>
    add(MEDIA_TYPES.ociManifest, {
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: add(MEDIA_TYPES.ociConfig, { ...config, architecture }),
      layers,
    }),
  );
  const index = add(MEDIA_TYPES.ociIndex, {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: [
      { ...arm64, platform: { os: 'linux', architecture: 'arm64' } },
      { ...amd64, platform: { os: 'linux', architecture: 'amd64' } },
    ],
  });
  registry.answer = (request, response) => {
    const name = request.url!.split('/').at(-1)!;
    const found = documents.get(request.url!.includes('/manifests/1') ? index.digest : name);
    if (!found) return false;
    response.writeHead(200, { 'content-type': found.type, 'content-length': found.bytes.length });
    response.end(request.method === 'HEAD' ? undefined : found.bytes);
    return true;
  };
  return { amd64: amd64!.digest, arm64: arm64!.digest, index: index.digest };
}

test('of an index comes the image for the platform that is asked for, or that of the machine', async () => {
  await using registry = await MisbehavingRegistry.open();
  const digests = serveIndex(registry);
  for (const [platform, digest] of [
    ['linux/amd64', digests.amd64],
    ['linux/arm64', digests.arm64],
    ['linux/arm64/v8', digests.arm64],
  ] as const) {
    await using images = await openImages();
    registry.requests.length = 0;
    await images.images.pull(`${registry.host}/app:1`, { platform });
    const { Architecture, RepoDigests } = await images.images.inspect(`${registry.host}/app:1`);
    assert.equal(Architecture, platform.split('/')[1]);
    // Its name is the index's.
    assert.deepEqual(RepoDigests, [`${registry.host}/app@${digests.index}`]);
    const asked = registry.requests.map(({ path }) => path);
    assert.ok(
      asked.some((path) => path.endsWith(`/manifests/${digest}`)),
      asked.join('\n'),
    );
  }
  await using images = await openImages();
  await assert.rejects(images.images.pull(`${registry.host}/app:1`, { platform: 'linux/s390x' }), {
    code: 'not-found',
    message: /no matching manifest for linux\/s390x/,
  });
});

test('with a tag and a digest it is the digest that counts, and the tag is not asked for', async () => {
  await using registry = await MisbehavingRegistry.open();
  await using images = await openImages();
  const digest = sha256(registry.manifest);
  await images.images.pull(`${registry.host}/app:anything@${digest}`, { onProgress: images.onProgress });
  assert.ok(registry.requests.every(({ path }) => !path.includes('anything')));
  const { RepoTags, RepoDigests } = await images.images.inspect(`${registry.host}/app@${digest}`);
  assert.deepEqual([RepoTags, RepoDigests], [[], [`${registry.host}/app@${digest}`]]);
  const other = `sha256:${'0'.repeat(64)}`;
  await assert.rejects(images.images.pull(`${registry.host}/app:1@${other}`), { code: 'not-found' });
});

test('a registry that says when to come again is not asked before', async () => {
  await using registry = await MisbehavingRegistry.open();
  await using images = await openImages();
  const asked: number[] = [];
  registry.answer = (request, response) => {
    if (!request.url!.includes(registry.layerDigest)) return false;
    asked.push(performance.now());
    if (asked.length > 2) return false;
    const again = asked.length === 1 ? '1' : new Date(Date.now() + 2000).toUTCString();
    response.writeHead(asked.length === 1 ? 429 : 503, { 'retry-after': again }).end();
    return true;
  };
  await images.images.pull(`${registry.host}/app:1`);
  assert.equal(asked.length, 3);
  const [first = 0, second = 0] = asked.slice(1).map((at, index) => at - asked[index]!);
  // A date has whole seconds, and timers may be early by a millisecond.
  assert.ok(first >= 990 && second >= 990, `${first} ${second}`);
});

test('a registry that is busy for ever is given up with its own words', async () => {
  await using registry = await MisbehavingRegistry.open();
  await using images = await openImages();
  registry.answer = (request, response) => {
    if (!request.url!.includes(registry.layerDigest)) return false;
    response.writeHead(429, { 'retry-after': '0', 'content-type': 'application/json' });
    response.end('{"errors":[{"code":"TOOMANYREQUESTS","message":"you have reached your pull rate limit"}]}');
    return true;
  };
  await assert.rejects(
    images.images.pull(`${registry.host}/app:1`),
    /toomanyrequests: you have reached your pull rate limit/,
  );
  assert.ok(registry.layerRequests.length > 1 && registry.layerRequests.length < 20);
});

const skip = process.getuid?.() !== 0 ? 'needs root' : !has('docker') && 'the docker CLI is not installed';

test('an engine that is killed in the middle of a layer goes on from there when it lives again', { skip }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-resume-'));
  await using registry = await MisbehavingRegistry.open({ file: randomBytes(3_000_000).toString('base64') });
  const daemon = new DaemonProcess({ directory: join(directory, 'd') });
  const docker = (...words: string[]): Promise<{ stdout: string }> =>
    promisify(execFile)('docker', words, { env: daemon.clientEnv });
  try {
    await daemon.start();
    const half = Promise.withResolvers<void>();
    registry.answer = (request, response) => {
      if (!request.url!.includes(registry.layerDigest)) return false;
      response.writeHead(200, { 'content-length': registry.layer.length });
      // The rest never comes.
      response.write(registry.layer.subarray(0, 1 << 20), () => half.resolve());
      return true;
    };
    const pull = docker('pull', `${registry.host}/app:1`);
    pull.catch(() => {});
    await half.promise;
    // Until some of it is in the file that goes on.
    const ingest = join(daemon.directory, 'data/ingest');
    const written = async (): Promise<number> => {
      const names = await readdir(ingest);
      const sizes = await Promise.all(names.map(async (name) => (await stat(join(ingest, name))).size));
      return Math.max(0, ...sizes);
    };
    for (let tries = 0; (await written()) === 0; tries++) {
      assert.ok(tries < 600, 'nothing is written');
      await sleep(50);
    }
    await daemon.kill();
    await assert.rejects(pull);
    registry.answer = () => false;
    registry.requests.length = 0;
    await daemon.start();
    await docker('pull', '-q', `${registry.host}/app:1`);
    const ranges = registry.layerRequests.map(({ headers }) => headers.range ?? 'all');
    assert.equal(ranges.length, 1);
    assert.match(ranges[0]!, /^bytes=[1-9]\d*-$/);
    const { stdout } = await docker('image', 'inspect', '-f', '{{json .RootFS.Layers}}', `${registry.host}/app:1`);
    const { rootfs } = JSON.parse(registry.config.toString()) as { rootfs: { diff_ids: string[] } };
    assert.deepEqual(JSON.parse(stdout), rootfs.diff_ids);
    await daemon.stop();
    const { directory: own, bridge, cgroupParent } = daemon;
    assert.deepEqual(await leftBehind({ directory: own, bridge, cgroupParent }), []);
  } finally {
    await daemon.stop();
    await rm(directory, { recursive: true, force: true });
  }
});

import assert from 'node:assert/strict';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pipeline } from 'node:stream/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { emptied, has, oldDockerArchive, run, sampleImage, sha256Hex, streamOf, tarOf, unpack } from './archive.ts';
import { NOTHING, TestImages } from './image-store.ts';

/** A dockerd of the newest kind to compare with, where the machine has one. */
const DOCKER = process.env['PEER_DOCKER_HOST'] ?? '';
const hasDocker = has('docker') && existsSync(DOCKER.replace('unix://', ''));

const work = await mkdtemp(join(tmpdir(), 'gantry-round-trip-'));
const saved = join(work, 'saved.tar');
let store: TestImages;

before(async () => {
  store = await TestImages.open();
  await store.images.pull('busybox');
  await store.images.import(streamOf(await tarOf({ a: 'text', 'dir/b': 'more' })), {
    repository: 'round/trip',
    tag: '1',
    changes: ['CMD ["/a"]', 'LABEL x=y', 'ENV A=1'],
  });
  await save(store, ['busybox', 'round/trip:1'], saved);
});
after(async () => {
  await store[Symbol.asyncDispose]();
  await rm(work, { recursive: true });
});

async function save(from: TestImages, names: string[], path: string): Promise<void> {
  await pipeline(await from.images.save(names), createWriteStream(path));
}

async function idOf(from: TestImages, name: string): Promise<string> {
  return (await from.images.inspect(name)).Id;
}

test('saving the same images twice, in any order and from any store, gives the same bytes', async () => {
  const again = join(work, 'again.tar');
  await save(store, ['round/trip:1', 'busybox', 'busybox:latest'], again);
  const bytes = await readFile(saved);
  assert.ok(bytes.equals(await readFile(again)));

  await using other = await TestImages.open();
  await other.images.load(createReadStream(saved));
  await save(other, ['busybox', 'round/trip:1'], again);
  assert.ok(bytes.equals(await readFile(again)));
});

test('what is loaded is what was saved, and is said as Docker says it', async () => {
  await using other = await TestImages.open();
  await other.images.load(createReadStream(saved), { onProgress: other.onProgress });
  assert.deepEqual(other.said.filter((line) => line.startsWith('Loaded')).sort(), [
    'Loaded image: busybox:latest',
    'Loaded image: round/trip:1',
  ]);
  assert.equal(await idOf(other, 'busybox'), await idOf(store, 'busybox'));
  const config = (await other.images.inspect('round/trip:1')).Config;
  assert.deepEqual([config?.Cmd, config?.Labels, config?.Env], [['/a'], { x: 'y' }, ['A=1']]);
  assert.deepEqual((await other.images.fsck()).problems, []);

  // Loading again changes nothing.
  const contents = await other.contents();
  await other.images.load(createReadStream(saved));
  assert.deepEqual(await other.contents(), contents);
  for (const image of await other.images.list()) await other.images.remove(image.Id);
  assert.deepEqual(await other.contents(), NOTHING);
});

for (const [name, pack] of [
  ['gzip', (bytes: Buffer) => gzipSync(bytes)],
  ['zstd', (bytes: Buffer) => zstdCompressSync(bytes)],
  ['xz', (bytes: Buffer) => external('xz', bytes)],
  ['bzip2', (bytes: Buffer) => external('bzip2', bytes)],
] as const) {
  test(`an old docker-archive inside ${name} is loaded`, { skip: name.length > 4 && !has(name) }, async () => {
    await using other = await TestImages.open();
    const archive = await pack(await oldDockerArchive('old/one:1', name));
    await other.images.load(streamOf(archive));
    assert.equal(await idOf(other, 'old/one:1'), (await sampleImage(name)).id);
  });
}

async function external(program: string, bytes: Buffer): Promise<Buffer> {
  const path = join(work, 'external');
  await writeFile(path, bytes);
  run(program, '-k', '-f', path);
  return readFile(`${path}.${program === 'xz' ? 'xz' : 'bz2'}`);
}

test('gzipped layers under the names of plain ones keep their blob, and are saved as what they are', async () => {
  await using other = await TestImages.open();
  await other.images.load(streamOf(await oldDockerArchive('old/gz:1', 'packed', { gzipLayer: true })));
  const { layer } = await sampleImage('packed');
  const record = other.parts.layers.list()[0]!;
  assert.equal(record.blob.digest, `sha256:${sha256Hex(gzipSync(layer))}`);
  assert.equal(record.blob.mediaType, 'application/vnd.oci.image.layer.v1.tar+gzip');
  const again = join(work, 'gz.tar');
  await save(other, ['old/gz:1'], again);
  await using third = await TestImages.open();
  await third.images.load(createReadStream(again));
  assert.equal(await idOf(third, 'old/gz:1'), await idOf(other, 'old/gz:1'));
});

test('skopeo reads what we save, and we what it writes, in both forms', { skip: !has('skopeo') }, async () => {
  const layout = await emptied(join(work, 'layout'));
  unpack(saved, layout);
  assert.match(run('skopeo', 'inspect', '--config', `docker-archive:${saved}:round/trip:1`), /"x": ?"y"/);
  for (const target of ['docker-archive', 'oci-archive']) {
    const path = join(work, `${target}.tar`);
    await rm(path, { force: true });
    run('skopeo', 'copy', '-q', `docker-archive:${saved}:round/trip:1`, `${target}:${path}:from/skopeo:2`);
    await using other = await TestImages.open();
    await other.images.load(createReadStream(path));
    const loaded = await other.images.inspect('from/skopeo:2');
    assert.deepEqual(loaded.Config?.Cmd, ['/a']);
    assert.deepEqual(loaded.RootFS, (await store.images.inspect('round/trip:1')).RootFS);
    // The manifest that came is the one that is saved: its digest stays.
    if (target === 'docker-archive') continue;
    const back = join(work, 'back.tar');
    await save(other, ['from/skopeo:2'], back);
    const before = run('skopeo', 'inspect', '--raw', `oci-archive:${path}:from/skopeo:2`);
    const index = JSON.parse(run('tar', '-xOf', back, 'index.json')) as { manifests: { digest: string }[] };
    assert.equal(index.manifests[0]!.digest, `sha256:${sha256Hex(before)}`);
  }
});

test('umoci reads what we save, and we what it writes', { skip: !has('umoci') }, async () => {
  const one = join(work, 'one.tar');
  await save(store, ['round/trip:1'], one);
  const layout = await emptied(join(work, 'umoci'));
  unpack(one, layout);
  assert.equal(run('umoci', 'list', '--layout', layout).trim(), '1');
  run('umoci', 'config', '--image', `${layout}:1`, '--config.label', 'by=umoci');
  const path = join(work, 'umoci.tar');
  run('tar', '-cf', path, '-C', layout, '.');
  // Two forms in one archive, and umoci changed one of them: it is the OCI layout that counts when the other is gone.
  run('tar', '--delete', '-f', path, './manifest.json');
  await using other = await TestImages.open();
  await other.images.load(createReadStream(path), { onProgress: other.onProgress });
  const [image] = await other.images.list();
  assert.equal(image?.Labels?.['by'], 'umoci');
});

test('dockerd reads what we save, and we what it writes', { skip: !hasDocker }, async () => {
  const name = `gantry-round-trip-${process.pid}`;
  const docker = (...args: string[]): string => run('docker', '-H', DOCKER, ...args);
  const mine = join(work, 'mine.tar');
  const theirs = join(work, 'theirs.tar');
  await store.images.tag('round/trip:1', name);
  await save(store, [name], mine);
  try {
    assert.equal(docker('load', '-i', mine).trim(), `Loaded image: ${name}:latest`);
    assert.equal(docker('image', 'inspect', '-f', '{{.Id}}', name).trim(), await idOf(store, name));
    docker('save', '-o', theirs, name);
  } finally {
    docker('rmi', '-f', name);
  }
  await using other = await TestImages.open();
  await other.images.load(createReadStream(theirs), { onProgress: other.onProgress });
  assert.equal(other.said.at(-1), `Loaded image: ${name}:latest`);
  assert.equal(await idOf(other, name), await idOf(store, name));
  await store.images.remove(name);
});

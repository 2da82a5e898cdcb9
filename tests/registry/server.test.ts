import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { hashSync } from 'bcryptjs';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { digestOf } from '../../src/registry/server/routes.ts';
import { has, streamOf, tarOf } from '../images/archive.ts';
import { TestImages } from '../images/image-store.ts';
import { TestRegistry } from './test-registry.ts';

async function openImages(): Promise<TestImages> {
  const client = new RegistryClient({ retryDelayMs: 1 });
  const images = await TestImages.open({ registry: new RemoteImages(client) });
  const close = images.close.bind(images);
  images.close = async () => {
    client.close();
    await close();
  };
  return images;
}

test('built, pushed, pulled elsewhere by digest: the same image, and nothing is sent twice', async () => {
  await using registry = await TestRegistry.open();
  await using here = await openImages();
  const name = `${registry.host}/team/app`;
  const big = randomBytes(3 << 20);
  await here.images.import(streamOf(await tarOf({ big, small: 'x' })), { repository: name, tag: '1' });
  await here.images.push(`${name}:1`, { onProgress: here.onProgress });
  const made = await here.images.inspect(`${name}:1`);
  const digest = made.RepoDigests[0]!;
  assert.equal(here.said[0], `The push refers to repository [${name}]`);
  assert.deepEqual(here.said.slice(1, 3), ['Preparing', 'Pushing']);
  assert.match(here.said.at(-2)!, /^1: digest: sha256:[0-9a-f]{64} size: \d+$/);

  here.said.length = 0;
  await here.images.push(`${name}:1`, { onProgress: here.onProgress });
  assert.ok(here.said.includes('Layer already exists'));
  here.said.length = 0;
  await here.images.tag(`${name}:1`, `${registry.host}/other/app`, '1');
  await here.images.push(`${registry.host}/other/app:1`, { onProgress: here.onProgress });
  assert.ok(here.said.includes('Mounted from team/app'), here.said.join());

  await using there = await openImages();
  await there.images.pull(digest);
  const pulled = await there.images.inspect(digest);
  assert.equal(pulled.Id, made.Id);
  const { Descriptor, Platforms } = (await there.images.distribution(`${name}:1`)) as {
    Descriptor: { digest: string };
    Platforms: { os: string }[];
  };
  assert.deepEqual([`${name}@${Descriptor.digest}`, Platforms[0]!.os], [digest, 'linux']);

  // What was pulled goes on to another registry byte for byte.
  await using second = await TestRegistry.open();
  await there.images.tag(digest, `${second.host}/copy`, '1');
  await there.images.push(`${second.host}/copy:1`);
  assert.ok(await second.repositories.links.manifest('copy', digestOf(digest.split('@')[1]!)));
});

test('who may do what: a login, a wrong one, none, and pulls for everyone', async () => {
  const users = new Map([['ann', hashSync('secret', 4)]]);
  await using registry = await TestRegistry.open({ access: { users } });
  await using images = await openImages();
  const name = `${registry.host}/app`;
  const auth = { username: 'ann', password: 'secret' };
  await images.images.import(streamOf(await tarOf({ file: 'x' })), { repository: name, tag: '1' });
  await assert.rejects(images.images.push(`${name}:1`), { code: 'unauthorized' });
  await assert.rejects(images.images.push(`${name}:1`, { auth: { ...auth, password: 'no' } }), {
    code: 'unauthorized',
  });
  await images.images.push(`${name}:1`, { auth });
  await assert.rejects(images.images.pull(`${name}:1`), /pull access denied for .*, repository does not exist or may/);
  await images.images.pull(`${name}:1`, { auth });

  const client = new RegistryClient();
  const remote = new RemoteImages(client);
  assert.deepEqual(await remote.login({ ...auth, serveraddress: registry.host }), {
    Status: 'Login Succeeded',
    IdentityToken: '',
  });
  await assert.rejects(remote.login({ ...auth, password: 'no', serveraddress: registry.host }), {
    code: 'unauthorized',
  });
  client.close();

  await using open = await TestRegistry.open({ access: { users, anonymousPull: true } });
  await images.images.tag(`${name}:1`, `${open.host}/app`, '1');
  await assert.rejects(images.images.push(`${open.host}/app:1`), { code: 'unauthorized' });
  await images.images.push(`${open.host}/app:1`, { auth });
  await images.images.pull(`${open.host}/app:1`);
  assert.equal((await fetch(`http://${open.host}/v2/_catalog`)).status, 401);
});

test('blobs that no manifest names are collected, others never', async () => {
  await using registry = await TestRegistry.open();
  await using images = await openImages();
  const name = `${registry.host}/app`;
  await images.images.import(streamOf(await tarOf({ file: 'x' })), { repository: name, tag: '1' });
  await images.images.push(`${name}:1`);
  const { content, links } = registry.repositories;
  const count = async (): Promise<number> => (await Array.fromAsync(content.list())).length;
  assert.equal(await count(), 3);
  assert.deepEqual(await registry.repositories.collect({ graceMs: -1000 }), { blobs: 0, bytes: 0 });
  const [manifest] = await links.manifests('app');
  await links.deleteManifest('app', manifest!.digest);
  assert.deepEqual(await registry.repositories.collect(), { blobs: 0, bytes: 0 });
  assert.equal((await registry.repositories.collect({ graceMs: -1000 })).blobs, 3);
  assert.equal(await count(), 0);
});

test('limits: blobs that are too large, manifests that are, uploads of others', async () => {
  await using registry = await TestRegistry.open({ maxBlobBytes: 1000 });
  const url = `http://${registry.host}/v2/app/blobs/uploads/`;
  const begin = async (): Promise<string> => (await fetch(url, { method: 'POST' })).headers.get('location')!;
  const location = await begin();
  const send = (path: string, size: number): Promise<Response> =>
    fetch(new URL(path, url), { method: 'PATCH', body: Buffer.alloc(size) });
  assert.equal((await send(location, 900)).status, 202);
  assert.equal((await send(location, 200)).status, 413);
  assert.equal((await send(location.replace('/app/', '/other/'), 10)).status, 404);
  const manifest = await fetch(`http://${registry.host}/v2/app/manifests/x`, {
    method: 'PUT',
    headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
    body: Buffer.alloc((4 << 20) + 1, ' '),
  });
  assert.equal(manifest.status, 413);
});

test('a client that goes away in the middle of an upload can go on with it', async () => {
  await using registry = await TestRegistry.open();
  const url = `http://${registry.host}/v2/app/blobs/uploads/`;
  const location = (await fetch(url, { method: 'POST' })).headers.get('location')!;
  const [host, port] = registry.host.split(':');
  const socket = connect(Number(port), host);
  socket.write(`PATCH ${location} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n`);
  socket.write(Buffer.alloc(400, 'a'));
  const status = async (): Promise<string> => (await fetch(new URL(location, url))).headers.get('range') ?? '';
  while ((await status()) !== '0-399') await new Promise(setImmediate);
  socket.destroy();
  const rest = { method: 'PATCH', body: Buffer.alloc(600, 'b'), headers: { 'content-range': '400-999' } };
  let response = await fetch(new URL(location, url), rest);
  while (response.status === 416) response = await fetch(new URL(location, url), rest);
  assert.equal(response.headers.get('range'), '0-999');
});

test(
  'skopeo copies to our registry and back, and umoci unpacks what it copied',
  { skip: !has('skopeo') && 'skopeo is not installed' },
  async () => {
    await using registry = await TestRegistry.open();
    await using images = await openImages();
    const directory = await mkdtemp(join(tmpdir(), 'gantry-skopeo-'));
    try {
      const name = `${registry.host}/app`;
      const file = randomBytes(100_000);
      await images.images.import(streamOf(await tarOf({ file })), { repository: name, tag: '1' });
      await images.images.push(`${name}:1`);
      await skopeo('copy', '--src-tls-verify=false', `docker://${name}:1`, `oci:${directory}/layout:1`);
      await skopeo('copy', '--dest-tls-verify=false', `oci:${directory}/layout:1`, `docker://${registry.host}/back:2`);
      await images.images.pull(`${registry.host}/back:2`);
      const [one, two] = await Promise.all(
        [`${name}:1`, `${registry.host}/back:2`].map((of) => images.images.inspect(of)),
      );
      assert.equal(one!.Id, two!.Id);
      assert.match(await readFile(join(directory, 'layout/index.json'), 'utf8'), /manifests/);
      if (has('umoci')) {
        const unpack = ['unpack', '--rootless', '--image', `${directory}/layout:1`, `${directory}/bundle`];
        await promisify(execFile)('umoci', unpack);
        assert.ok((await readFile(join(directory, 'bundle/rootfs/file'))).equals(file));
      }
    } finally {
      await rm(directory, { recursive: true });
    }
  },
);

/** Not waited for synchronously: the registry is in this process. */
async function skopeo(...args: string[]): Promise<void> {
  await promisify(execFile)('skopeo', ['--insecure-policy', ...args]);
}

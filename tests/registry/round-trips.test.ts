import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { has, streamOf, tarOf } from '../images/archive.ts';
import { TestImages } from '../images/image-store.ts';
import { controlProgram } from './control.ts';
import { TestRegistry } from './test-registry.ts';

const run = async (program: string, ...words: string[]): Promise<string> =>
  (await promisify(execFile)(program, words, { maxBuffer: 64 << 20 })).stdout;
const PLAIN = ['--src-tls-verify=false', '--dest-tls-verify=false'];

/** Images of an engine, and a registry's name for them. */
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

/** An image of two layers of ours; gives its id and digest. */
async function publish(images: TestImages, name: string): Promise<{ id: string; digest: string }> {
  const members = {
    'etc/name': 'round trip',
    'a/link': { symlink: '../etc/name' },
    large: Buffer.alloc(300_000, 'text '),
  };
  await images.images.import(streamOf(await tarOf(members)), { repository: name, tag: '1', changes: ['CMD ["x"]'] });
  await images.images.push(`${name}:1`);
  const { Id, RepoDigests } = await images.images.inspect(`${name}:1`);
  return { id: Id, digest: RepoDigests[0]!.split('@')[1]! };
}

describe('round trips with others’ programs', () => {
  const skip = process.getuid?.() !== 0 && 'needs root';

  test(
    'skopeo and umoci read what we pushed, change it, and we read that',
    { skip: skip || !has('skopeo') || !has('umoci') },
    async () => {
      const directory = await mkdtemp(join(tmpdir(), 'gantry-round-'));
      await using registry = await TestRegistry.open();
      await using images = await openImages();
      try {
        const name = `${registry.host}/team/app`;
        const { digest } = await publish(images, name);
        const layout = join(directory, 'layout');
        await run('skopeo', 'copy', ...PLAIN, `docker://${name}:1`, `oci:${layout}:1`);
        const shown = JSON.parse(await run('skopeo', 'inspect', '--tls-verify=false', `docker://${name}:1`)) as {
          Digest: string;
        };
        assert.equal(shown.Digest, digest);
        await run('umoci', 'unpack', '--image', `${layout}:1`, join(directory, 'bundle'));
        assert.equal(await readFile(join(directory, 'bundle/rootfs/a/link'), 'utf8'), 'round trip');
        await writeFile(join(directory, 'bundle/rootfs/added'), 'by umoci');
        await run('umoci', 'repack', '--image', `${layout}:2`, join(directory, 'bundle'));
        await run('skopeo', 'copy', ...PLAIN, `oci:${layout}:2`, `docker://${name}:2`);
        await images.images.pull(`${name}:2`);
        const pulled = await images.images.inspect(`${name}:2`);
        assert.equal(pulled.RootFS.Layers!.length, 2);
        // Docker's own media types, and zstd, are other images with the same files.
        await run('skopeo', 'copy', '--format', 'v2s2', ...PLAIN, `docker://${name}:2`, `docker://${name}:docker`);
        await run(
          'skopeo',
          'copy',
          '--dest-compress-format',
          'zstd',
          ...PLAIN,
          `oci:${layout}:2`,
          `docker://${name}:zstd`,
        );
        for (const tag of ['docker', 'zstd']) {
          await images.images.pull(`${name}:${tag}`);
          assert.deepEqual((await images.images.inspect(`${name}:${tag}`)).RootFS, pulled.RootFS, tag);
        }
        // What is copied by digest is the same; what is deleted is gone.
        await run('skopeo', 'copy', ...PLAIN, `docker://${name}@${digest}`, `docker://${registry.host}/copy/app:1`);
        await images.images.pull(`${registry.host}/copy/app@${digest}`);
        await run('skopeo', 'delete', '--tls-verify=false', `docker://${name}:2`);
        await assert.rejects(images.images.pull(`${name}:2`), { code: 'not-found' });
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  );

  test('podman pulls and pushes', { skip: skip || !has('podman') }, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'gantry-podman-'));
    await using registry = await TestRegistry.open();
    await using images = await openImages();
    try {
      const name = `${registry.host}/team/app`;
      const { id } = await publish(images, name);
      const podman = (...words: string[]): Promise<string> =>
        run(
          'podman',
          '--root',
          join(directory, 'root'),
          '--runroot',
          join(directory, 'run'),
          '--storage-driver',
          'vfs',
          ...words,
        );
      const pulled = (await podman('pull', '-q', '--tls-verify=false', `${name}:1`)).trim();
      assert.equal(`sha256:${pulled}`, id);
      await podman('tag', `${name}:1`, `${name}:podman`);
      await podman('push', '-q', '--tls-verify=false', `${name}:podman`);
      await images.images.pull(`${name}:podman`);
      assert.equal((await images.images.inspect(`${name}:podman`)).Id, id);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  const noControl = controlProgram === undefined && 'docker-registry is not installed';
  test(
    'our client with docker-registry: push, mount, pull by tag and digest, all tags',
    { skip: skip || noControl },
    async () => {
      const directory = await mkdtemp(join(tmpdir(), 'gantry-control-'));
      const host = `127.0.0.1:${await freePort()}`;
      const config = join(directory, 'config.yml');
      await writeFile(
        config,
        `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ${directory}/data}, delete: {enabled: true}}
http: {addr: ${host}}
`,
      );
      const child = spawn(controlProgram!, ['serve', config], { stdio: 'ignore' });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      try {
        for (let tries = 0; tries < 600 && !(await fetch(`http://${host}/v2/`).catch(() => undefined))?.ok; tries++)
          await sleep(50);
        await using here = await openImages();
        const { id, digest } = await publish(here, `${host}/team/app`);
        await here.images.tag(`${host}/team/app:1`, `${host}/other/app`, '1');
        await here.images.push(`${host}/other/app:1`, { onProgress: here.onProgress });
        assert.ok(
          here.said.some((line) => line === 'Mounted from team/app'),
          here.said.join('\n'),
        );
        await here.images.push(`${host}/team/app:1`, { onProgress: here.onProgress });
        assert.ok(here.said.includes('Layer already exists'));
        await using there = await openImages();
        await there.images.pull(`${host}/other/app@${digest}`);
        assert.equal((await there.images.inspect(`${host}/other/app@${digest}`)).Id, id);
        await here.images.tag(`${host}/team/app:1`, `${host}/team/app`, '2');
        await here.images.push(`${host}/team/app`, { all: true });
        await there.images.pull(`${host}/team/app`, { all: true });
        const tags = (await there.images.list()).flatMap(({ RepoTags }) => RepoTags ?? []).sort();
        assert.deepEqual(tags, [`${host}/team/app:1`, `${host}/team/app:2`]);
        await assert.rejects(there.images.pull(`${host}/team/app:3`), { code: 'not-found' });
      } finally {
        child.kill('SIGTERM');
        await ended;
        await rm(directory, { recursive: true, force: true });
      }
    },
  );
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

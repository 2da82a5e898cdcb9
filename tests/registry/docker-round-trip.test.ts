import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { hashSync } from 'bcryptjs';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { streamOf, tarOf } from '../images/archive.ts';
import { TestImages } from '../images/image-store.ts';
import { noDockerd, PeerDockerd } from './peer-dockerd.ts';
import { TestRegistry } from './test-registry.ts';

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

describe(
  'round trips with Docker’s own engine',
  { skip: noDockerd || (process.getuid?.() !== 0 && 'needs root') },
  () => {
    test('dockerd pulls what we pushed, in blocks that were compressed beside each other, and pushes what we pull', async () => {
      await using registry = await TestRegistry.open();
      await using images = await openImages();
      await using peer = await PeerDockerd.start();
      const name = `${registry.host}/team/app`;
      // Of several blocks, the first of which compress and the last do not.
      const large = Buffer.concat([Buffer.alloc(3_500_000, 'words and '), randomBytes(2_500_000)]);
      const members = { large, 'a/link': { symlink: '../large' } };
      await images.images.import(streamOf(await tarOf(members)), {
        repository: name,
        tag: '1',
        changes: ['CMD ["x"]'],
      });
      await images.images.push(`${name}:1`);
      const { Id: id, RepoDigests } = await images.images.inspect(`${name}:1`);
      const digest = RepoDigests[0]!.split('@')[1]!;

      // The same image under the same name, id, digest and files, by tag and by digest.
      assert.match(await peer.docker('pull', `${name}:1`), new RegExp(`Digest: ${digest}\n`));
      assert.equal(await peer.docker('image', 'inspect', '-f', '{{.Id}}', `${name}:1`), id);
      assert.ok((await peer.fileOf(`${name}:1`, '/a/link')).equals(large));
      assert.match(await peer.docker('pull', `${name}@${digest}`), /Image is up to date/);

      // What it has from there it need not send there, also to another repository.
      await peer.docker('tag', `${name}:1`, `${name}:2`);
      assert.match(await peer.docker('push', `${name}:2`), /Layer already exists/);
      await peer.docker('tag', `${name}:1`, `${registry.host}/other/app:1`);
      assert.match(
        await peer.docker('push', `${registry.host}/other/app:1`),
        /Mounted from team\/app|Layer already exists/,
      );
      await images.images.pull(`${registry.host}/other/app:1`);
      assert.equal((await images.images.inspect(`${registry.host}/other/app:1`)).Id, id);

      // What it builds on ours and compresses itself is ours with a layer more.
      await peer.build(`${name}:built`, { Dockerfile: `FROM ${name}:1\nCOPY added /added\n`, added: 'by docker' });
      await peer.docker('push', `${name}:built`);
      await using elsewhere = await openImages();
      await elsewhere.images.pull(`${name}:built`);
      const built = await elsewhere.images.inspect(`${name}:built`);
      assert.equal(built.Id, await peer.docker('image', 'inspect', '-f', '{{.Id}}', `${name}:built`));
      assert.equal(built.RootFS.Layers!.length, 2);

      // All tags, and what is no tag.
      await peer.docker('rmi', '-f', `${name}:1`, `${name}:2`, `${name}:built`);
      const all = await peer.docker('pull', '-a', '-q', name);
      assert.equal(all, name);
      const tags = (await peer.docker('image', 'ls', '--format', '{{.Tag}}', name)).split('\n');
      assert.equal(
        tags
          .filter((tag) => tag !== '<none>')
          .sort()
          .join(),
        '1,2,built',
      );
      assert.match((await peer.run('pull', `${name}:none`)).stderr, /manifest for .*:none not found|manifest unknown/);
    });

    test('docker login, push and pull, by password and by our tokens', async () => {
      for (const tokens of [undefined, { service: 's', issuer: 'i' }]) {
        const users = new Map([['ann', hashSync('secret', 4)]]);
        await using registry = await TestRegistry.open({ access: { users, tokens } });
        await using peer = await PeerDockerd.start();
        const name = `${registry.host}/team/app:1`;
        await peer.build(name, { Dockerfile: 'FROM scratch\nCOPY file /\n', file: `text ${tokens ? 'b' : 'a'}` });
        const refused = await peer.run('push', name);
        assert.notEqual(refused.status, 0);
        assert.match(refused.stderr, /no basic auth credentials|authentication required|denied/);
        assert.notEqual((await peer.run('login', '-u', 'ann', '-p', 'wrong', registry.host)).status, 0);
        assert.match(await peer.docker('login', '-u', 'ann', '-p', 'secret', registry.host), /Login Succeeded/);
        await peer.docker('push', name);
        await peer.docker('rmi', name);
        await peer.docker('pull', name);
        // The blob is what its digest says, whoever asks.
        const base = `http://${registry.host}/v2/team/app`;
        const headers = {
          authorization: `Basic ${btoa('ann:secret')}`,
          accept: 'application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json',
        };
        if (tokens) {
          const url = `http://${registry.host}/token?service=s&scope=repository:team/app:pull`;
          const { token } = (await (await fetch(url, { headers })).json()) as { token: string };
          headers.authorization = `Bearer ${token}`;
        }
        const manifest = (await (await fetch(`${base}/manifests/1`, { headers })).json()) as {
          layers: { digest: string }[];
        };
        const { digest } = manifest.layers[0]!;
        const blob = Buffer.from(await (await fetch(`${base}/blobs/${digest}`, { headers })).arrayBuffer());
        assert.equal(`sha256:${createHash('sha256').update(blob).digest('hex')}`, digest);
        assert.ok(gunzipSync(blob).includes('text '));
      }
    });
  },
);

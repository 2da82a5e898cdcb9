import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { bytesOf } from '../../src/content/bytes.ts';
import { type Descriptor, MEDIA_TYPES } from '../../src/oci/descriptor.ts';
import { sha256 } from '../../src/oci/digest.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { runInProcess } from '../cli/in-process.ts';
import { has } from '../images/archive.ts';
import { TestRegistry } from './test-registry.ts';

const run = promisify(execFile);

/** Puts an image without layers for an architecture into a repository. */
async function putImage(host: string, path: string, tag: string, architecture: string): Promise<Descriptor> {
  const client = new RegistryClient();
  try {
    const repository = await client.repository({ domain: host, path });
    const config = Buffer.from(JSON.stringify({ architecture, os: 'linux', rootfs: { type: 'layers', diff_ids: [] } }));
    const blob = { mediaType: MEDIA_TYPES.ociConfig, digest: sha256(config), size: config.length };
    await repository.upload(blob, () => bytesOf(config));
    const mediaType = MEDIA_TYPES.ociManifest;
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: blob, layers: [] }));
    const descriptor = { mediaType, digest: sha256(bytes), size: bytes.length };
    await repository.putManifest(tag, descriptor, bytes);
    return descriptor;
  } finally {
    client.close();
  }
}

describe('indexes of a registry', () => {
  let registry: TestRegistry;
  let directory: string;
  let amd64: Descriptor;
  let arm64: Descriptor;
  const gantry = async (...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    runInProcess(words, { env: { DOCKER_CONFIG: directory, HOME: directory } });
  const ok = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await gantry(...words);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  before(async () => {
    registry = await TestRegistry.open();
    directory = await mkdtemp(join(tmpdir(), 'gantry-indexes-'));
    amd64 = await putImage(registry.host, 'team/app', '1-amd64', 'amd64');
    arm64 = await putImage(registry.host, 'other/app', '1-arm64', 'arm64');
  });
  after(async () => {
    await registry[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  test('a manifest list is created, annotated, pushed with what it names, and purged', async () => {
    const list = `${registry.host}/team/app:1`;
    const [one, two] = [`${registry.host}/team/app:1-amd64`, `${registry.host}/other/app:1-arm64`];
    assert.equal(await ok('manifest', 'create', list, one, two), `Created manifest list ${list}\n`);
    assert.deepEqual(await gantry('manifest', 'create', list, one), {
      code: 1,
      stdout: '',
      stderr: 'refusing to amend an existing manifest list with no --amend flag\n',
    });
    await ok('manifest', 'annotate', list, two, '--variant', 'v8');
    const wrong = await gantry('manifest', 'annotate', list, two, '--arch', 'foo');
    assert.match(wrong.stderr, /unsupported os\/arch combination: linux\/foo/);
    const local = JSON.parse(await ok('manifest', 'inspect', list)) as { manifests: Descriptor[] };
    assert.equal(local.manifests.length, 2);
    const digest = (await ok('manifest', 'push', '--purge', list)).trim();
    assert.match(digest, /^sha256:[0-9a-f]{64}$/);

    const index = JSON.parse(await ok('manifest', 'inspect', list)) as { mediaType: string; manifests: Descriptor[] };
    assert.equal(index.mediaType, MEDIA_TYPES.ociIndex);
    const arm = index.manifests.find((entry) => entry.digest === arm64.digest)!;
    assert.deepEqual(arm.platform, { architecture: 'arm64', os: 'linux', variant: 'v8' });
    const verbose = JSON.parse(await ok('manifest', 'inspect', '-v', list)) as { Ref: string }[];
    assert.equal(verbose.length, 2);
    assert.match(verbose[0]!.Ref, new RegExp(`^${list}@sha256:`));
    // What was in the other repository came along.
    await ok('manifest', 'inspect', `${registry.host}/team/app@${arm64.digest}`);
    assert.deepEqual(await gantry('manifest', 'rm', list), {
      code: 1,
      stdout: '',
      stderr: `No such manifest: ${list}\n`,
    });
    const none = await gantry('manifest', 'inspect', `${registry.host}/team/app:none`);
    assert.deepEqual([none.code, none.stderr], [1, `no such manifest: ${registry.host}/team/app:none\n`]);
  });

  test('imagetools makes an index of several, appends, copies, filters, and shows it', async () => {
    const [one, two] = [`${registry.host}/team/app:1-amd64`, `${registry.host}/other/app:1-arm64`];
    const both = `${registry.host}/team/both:1`;
    const dry = JSON.parse(await ok('imagetools', 'create', '--dry-run', one, two)) as { manifests: Descriptor[] };
    assert.deepEqual(
      dry.manifests.map(({ digest }) => digest),
      [amd64.digest, arm64.digest],
    );
    await ok('imagetools', 'create', '-t', both, one);
    await ok('imagetools', 'create', '-t', both, '--append', '--annotation', 'index:a=b', two);
    const raw = JSON.parse(await ok('imagetools', 'inspect', '--raw', both)) as Record<string, unknown>;
    assert.deepEqual(raw['annotations'], { a: 'b' });
    const shown = await ok('imagetools', 'inspect', both);
    assert.match(shown, new RegExp(`^Name:      ${both}\nMediaType: application/vnd\\.oci\\.image\\.index`));
    assert.match(shown, /Platform: {2}linux\/amd64\n {13}\n[^]*Platform: {2}linux\/arm64\n/);
    const format = await ok('imagetools', 'inspect', '--format', '{{json .Manifest}}', both);
    assert.equal((JSON.parse(format) as { manifests: unknown[] }).manifests.length, 2);
    // The same bytes under another name, in another repository.
    await ok('imagetools', 'create', '-t', `${registry.host}/copy/app:1`, both);
    assert.deepEqual(JSON.parse(await ok('imagetools', 'inspect', '--raw', `${registry.host}/copy/app:1`)), raw);
    await ok('imagetools', 'create', '-t', `${registry.host}/copy/arm:1`, '-p', 'linux/arm64', both);
    const arm = JSON.parse(await ok('imagetools', 'inspect', '--raw', `${registry.host}/copy/arm:1`)) as typeof dry;
    assert.deepEqual(
      arm.manifests.map(({ digest }) => digest),
      [arm64.digest],
    );
    const none = await gantry('imagetools', 'inspect', `${registry.host}/team/both:none`);
    assert.deepEqual([none.code, none.stderr], [1, `${registry.host}/team/both:none: not found\n`]);
  });

  test('skopeo reads what was made', { skip: !has('skopeo') && 'skopeo is not installed' }, async () => {
    const name = `${registry.host}/seen/app:1`;
    const sources = [`${registry.host}/team/app:1-amd64`, `${registry.host}/other/app:1-arm64`];
    await ok('imagetools', 'create', '-t', name, ...sources);
    const { stdout } = await run('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${name}`]);
    assert.equal((JSON.parse(stdout) as { manifests: unknown[] }).manifests.length, 2);
    for (const architecture of ['amd64', 'arm64']) {
      const words = ['inspect', '--override-arch', architecture, '--tls-verify=false', `docker://${name}`];
      assert.equal(
        (JSON.parse((await run('skopeo', words)).stdout) as { Architecture: string }).Architecture,
        architecture,
      );
    }
  });
});

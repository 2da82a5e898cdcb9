import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { after, before, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Members, oldDockerArchive, sampleImage, sha256Hex, streamOf, tarOf } from './archive.ts';
import { NOTHING, TestImages } from './image-store.ts';

let store: TestImages;
before(async () => void (store = await TestImages.open()));
after(() => store[Symbol.asyncDispose]());
beforeEach(async () => assert.deepEqual(await store.contents(), NOTHING));

const sample = await sampleImage('x');

function manifest(entry: Record<string, unknown>): Members {
  const document = { Config: 'config.json', RepoTags: ['bad:1'], Layers: ['layer.tar'], ...entry };
  return { 'config.json': sample.config, 'layer.tar': sample.layer, 'manifest.json': JSON.stringify([document]) };
}

const layout = (members: Members): Members => ({ 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', ...members });

/** What is refused, with the code, and leaves nothing. */
const refused: Record<string, { archive: () => Promise<Uint8Array>; code: string; words?: RegExp }> = {
  'no archive at all': { archive: async () => Buffer.alloc(3000, 7), code: 'corrupt' },
  'an archive of something else': {
    archive: () => tarOf({ junk: 'x' }),
    code: 'invalid-argument',
    words: /manifest\.json/,
  },
  'an empty stream': { archive: async () => Buffer.alloc(0), code: 'invalid-argument' },
  'a manifest that is not JSON': { archive: () => tarOf({ 'manifest.json': '{' }), code: 'corrupt' },
  'a manifest of 170 MB': {
    archive: () => tarOf({ 'manifest.json': Buffer.alloc(170 << 20, 0x20) }),
    code: 'too-large',
    words: /manifest\.json/,
  },
  'a config outside of the archive': {
    archive: () => tarOf(manifest({ Config: '../../etc/passwd' })),
    code: 'corrupt',
  },
  'an absolute layer': { archive: () => tarOf(manifest({ Layers: ['/etc/passwd'] })), code: 'corrupt' },
  'a layer that is a symlink out of the archive': {
    archive: () => tarOf({ ...manifest({}), 'layer.tar': { symlink: '../../../../etc/passwd' } }),
    code: 'corrupt',
  },
  'symlinks in a circle': {
    archive: () => tarOf({ ...manifest({ Layers: ['a'] }), a: { symlink: 'b' }, b: { symlink: 'a' } }),
    code: 'corrupt',
  },
  'one layer listed 100,000 times': {
    archive: () => tarOf(manifest({ Layers: Array.from({ length: 100_000 }, () => 'layer.tar') })),
    code: 'corrupt',
    words: /invalid manifest, layers length mismatch: expected 100000, got 1/,
  },
  'a config with 100,000 layers': {
    archive: () => {
      const diff_ids = Array.from({ length: 40_000 }, () => sample.diffId);
      const config = JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids } });
      return tarOf({ ...manifest({}), 'config.json': config });
    },
    code: 'too-large',
    words: /max depth exceeded/,
  },
  'a layer that is not its diff id': {
    archive: async () => tarOf({ ...manifest({}), 'layer.tar': await tarOf({ other: 'y' }) }),
    code: 'corrupt',
    words: /invalid diffID for layer 0: expected "sha256:.*", got "sha256:/,
  },
  'an upper-case name': {
    archive: () => tarOf(manifest({ RepoTags: ['UPPER:1'] })),
    code: 'invalid-argument',
    words: /must be lowercase/,
  },
  'an image for windows': {
    archive: () => tarOf({ ...manifest({}), 'config.json': sample.config.replace('linux', 'windows') }),
    code: 'invalid-argument',
    words: /cannot load windows image on linux/,
  },
  'a blob that is not its digest': {
    archive: () => tarOf(layout({ [`blobs/sha256/${'0'.repeat(64)}`]: 'x', 'index.json': '{}' })),
    code: 'corrupt',
  },
  'an index that refers to what is not there': {
    archive: () => {
      const mediaType = 'application/vnd.oci.image.manifest.v1+json';
      const manifests = [{ mediaType, digest: `sha256:${'0'.repeat(64)}`, size: 1 }];
      return tarOf(layout({ 'index.json': JSON.stringify({ schemaVersion: 2, manifests }) }));
    },
    code: 'corrupt',
  },
  'a manifest that is an index as well': {
    archive: () => {
      const both = JSON.stringify({ schemaVersion: 2, config: {}, layers: [], manifests: [] });
      const descriptor = { digest: `sha256:${sha256Hex(both)}`, size: both.length };
      const manifests = [{ mediaType: 'application/vnd.oci.image.manifest.v1+json', ...descriptor }];
      return tarOf(
        layout({
          [`blobs/sha256/${sha256Hex(both)}`]: both,
          'index.json': JSON.stringify({ schemaVersion: 2, manifests }),
        }),
      );
    },
    code: 'corrupt',
    words: /both layers and manifests/,
  },
  'an index in an index, without end': {
    archive: () => {
      const mediaType = 'application/vnd.oci.image.index.v1+json';
      const members: Members = {};
      let inner = JSON.stringify({ schemaVersion: 2, manifests: [] });
      for (let depth = 0; depth < 10; depth++) {
        const digest = sha256Hex(inner);
        members[`blobs/sha256/${digest}`] = inner;
        inner = JSON.stringify({
          schemaVersion: 2,
          manifests: [{ mediaType, digest: `sha256:${digest}`, size: inner.length }],
        });
      }
      return tarOf(layout({ ...members, 'index.json': inner }));
    },
    code: 'too-large',
  },
  'an archive that ends too early': {
    archive: async () => (await oldDockerArchive('bad:1', 'short')).subarray(0, 4000),
    code: 'corrupt',
  },
  'gzip that ends too early': {
    archive: async () => gzipSync(await oldDockerArchive('bad:1', 'short')).subarray(0, -20),
    code: 'corrupt',
  },
};

for (const [what, { archive, code, words }] of Object.entries(refused)) {
  test(`${what} is refused and leaves nothing`, async () => {
    const bytes = await archive();
    await assert.rejects(store.images.load(streamOf(bytes)), (error: Error & { code?: string }) => {
      assert.equal(error.code, code, error.message);
      if (words) assert.match(error.message, words);
      return true;
    });
    assert.deepEqual(await store.contents(), NOTHING);
    assert.deepEqual(await store.images.list({ all: true }), []);
  });
}

test('one bad image in an archive refuses the good one with it', async () => {
  const entries = [
    { Config: 'config.json', RepoTags: ['good:1'], Layers: ['layer.tar'] },
    { Config: 'config.json', RepoTags: ['bad:1'], Layers: ['missing.tar'] },
  ];
  const archive = await tarOf({ ...manifest({}), 'manifest.json': JSON.stringify(entries) });
  await assert.rejects(store.images.load(streamOf(archive)), { code: 'corrupt' });
  assert.deepEqual(await store.contents(), NOTHING);
});

test('an abort in the middle leaves nothing', async () => {
  const abort = new AbortController();
  const archive = await oldDockerArchive('half:1', 'x');
  async function* half(): AsyncIterable<Uint8Array> {
    yield archive.subarray(0, 2048);
    abort.abort();
    yield archive.subarray(2048);
  }
  await assert.rejects(store.images.load(half(), { signal: abort.signal }));
  assert.deepEqual(await store.contents(), NOTHING);
});

test('a client that goes away in the middle leaves nothing', async () => {
  const archive = await oldDockerArchive('half:1', 'x');
  async function* broken(): AsyncIterable<Uint8Array> {
    yield archive.subarray(0, 3000);
    throw new Error('connection reset');
  }
  await assert.rejects(store.images.load(broken()), /connection reset/);
  assert.deepEqual(await store.contents(), NOTHING);
});

test('kill -9 in the middle of a load leaves nothing for the next start', async () => {
  const first = await TestImages.open();
  await first.close();
  const program = fileURLToPath(new URL('load-from-stdin.ts', import.meta.url));
  const archive = await oldDockerArchive('killed:1', 'x'.repeat(1 << 20));
  for (const share of [0.1, 0.5, 0.9, 1]) {
    const child = spawn(process.execPath, [program, first.root], { stdio: ['pipe', 'pipe', 'inherit'] });
    const exit = once(child, 'exit');
    child.stdin.on('error', () => undefined);
    child.stdin.write(archive.subarray(0, Math.floor(archive.byteLength * share)));
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await exit;
    const next = await TestImages.open({ root: first.root });
    assert.deepEqual(await next.contents(), NOTHING);
    assert.deepEqual(await next.images.list({ all: true }), []);
    await next.close();
  }
  await (await TestImages.open({ root: first.root }))[Symbol.asyncDispose]();
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { byteString } from '../base/byte-string.ts';
import { tarHeader } from '../content/tar/header.ts';
import { writeTar } from '../content/tar/writer.ts';
import { scanArchive } from './archive.ts';

type Files = Readonly<Record<string, string | Buffer>>;

async function tar(files: Files): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const entries = Object.entries(files).map(([name, content]) => {
    const bytes = Buffer.from(content);
    return { header: tarHeader({ type: 'file', name: byteString(name), size: bytes.length }), body: stream(bytes) };
  });
  for await (const part of writeTar(entries)) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

async function* stream(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}

const npm = (name: string): Files => ({
  [`app/node_modules/${name}/package.json`]: JSON.stringify({ name, version: '1.0.0' }),
});

async function saved(layers: readonly Buffer[]): Promise<Buffer> {
  const names = layers.map((_, index) => `blobs/sha256/${index}`);
  return tar({
    ...Object.fromEntries(names.map((name, index) => [name, layers[index]!])),
    'blobs/sha256/config': '{}',
    'manifest.json': JSON.stringify([{ Config: 'blobs/sha256/config', RepoTags: ['a:1'], Layers: names }]),
  });
}

async function namesIn(archive: Buffer): Promise<string[]> {
  return (await scanArchive(stream(archive))).packages.map(({ name }) => name);
}

test('layers are seen as they lie on each other: replaced, taken away, hidden; gzipped or not', async () => {
  const lower = await tar({
    ...npm('kept'),
    ...npm('gone'),
    ...npm('hidden'),
    'etc/os-release': 'ID=debian\nVERSION_ID="12"\n',
  });
  const upper = await tar({
    'app/node_modules/.wh.gone': '',
    'app/node_modules/hidden/.wh..wh..opq': '',
    'app/node_modules/hidden/other': '',
    ...npm('new'),
  });
  const inventory = await scanArchive(stream(await saved([lower, gzipSync(upper)])));
  assert.deepEqual(
    inventory.packages.map(({ name }) => name),
    ['kept', 'new'],
  );
  assert.deepEqual(inventory.os, { id: 'debian', version: '12', name: 'debian' });
});

test('a file in place of a directory takes what was in it', async () => {
  const lower = await tar(npm('gone'));
  assert.deepEqual(await namesIn(await saved([lower, await tar({ 'app/node_modules': 'a file' })])), []);
});

test('archives that are none, or of several images', async () => {
  await assert.rejects(scanArchive(stream(await tar({ x: 'y' }))), {
    code: 'invalid-argument',
    message: /no archive of an image/,
  });
  const two = await tar({ 'manifest.json': JSON.stringify([{ Layers: [] }, { Layers: [] }]) });
  await assert.rejects(scanArchive(stream(two)), { code: 'invalid-argument', message: /2 images/ });
  const lost = await tar({ 'manifest.json': JSON.stringify([{ Layers: ['blobs/sha256/none'] }]) });
  await assert.rejects(scanArchive(stream(lost)), { code: 'invalid-argument', message: /no layer/ });
});

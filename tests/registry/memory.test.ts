/** A large layer passes through an engine, it does not stay in it: `bench/transfer.ts` does the same with 4 GiB. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { createGzip } from 'node:zlib';
import { tarHeader } from '../../src/content/tar/header.ts';
import { encodeHeader, END_OF_ARCHIVE } from '../../src/content/tar/writer.ts';
import { MEDIA_TYPES } from '../../src/oci/descriptor.ts';
import { sha256 } from '../../src/oci/digest.ts';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';

const MIB = 1 << 20;
const SIZE = 192 * MIB;
/** MiB that are not pages of node and of libraries, which processes share. */
const LIMIT = 150;
const block = randomBytes(MIB);

function* tar(): Generator<Buffer> {
  yield encodeHeader(tarHeader({ type: 'file', name: 'large', size: SIZE }));
  for (let at = 0; at < SIZE; at += MIB) yield block;
  yield END_OF_ARCHIVE;
}

/** What comes out is stored, not compressed: the same bytes each time. */
function layer(): Readable {
  const gzip = createGzip({ level: 0, chunkSize: MIB });
  pipeline(Readable.from(tar()), gzip).catch(() => {});
  return gzip;
}

/** Most resident memory since the last call, and what of it is no file's, in MiB. */
function peak(pid: number): { all: number; own: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  const [all = NaN, files = NaN] = ['VmHWM', 'RssFile'].map(
    (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)![1]) / 1024,
  );
  return { all, own: all - files };
}

const skip = process.getuid?.() !== 0 && 'needs root';

test('a large layer is pulled and pushed in little memory', { skip }, async (t) => {
  const diffId = createHash('sha256');
  for (const part of tar()) diffId.update(part);
  const hash = createHash('sha256');
  let size = 0;
  for await (const part of layer() as AsyncIterable<Buffer>) {
    hash.update(part);
    size += part.length;
  }
  const digest = `sha256:${hash.digest('hex')}`;
  const rootfs = { type: 'layers', diff_ids: [`sha256:${diffId.digest('hex')}`] };
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs }));
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: { mediaType: MEDIA_TYPES.ociConfig, digest: sha256(config), size: config.length },
      layers: [{ mediaType: MEDIA_TYPES.ociLayerGzip, digest, size }],
    }),
  );
  let pushed = 0;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = request.url!;
    const isPush = path.includes('/copy/');
    if (path.includes('/uploads/') || (request.method === 'PUT' && isPush)) {
      request.on('data', (part: Buffer) => (pushed += part.length));
      request.once('end', () => {
        const status = request.method === 'PUT' ? 201 : 202;
        response.writeHead(status, { location: '/v2/copy/blobs/uploads/1' }).end();
      });
    } else if (isPush) response.writeHead(404).end();
    else if (path.includes(digest)) {
      response.writeHead(200, { 'content-length': size });
      if (request.method === 'HEAD') response.end();
      else pipeline(layer(), response).catch(() => {});
    } else {
      const bytes = path.includes('/manifests/')
        ? manifest
        : path.includes(sha256(config))
          ? config
          : Buffer.from('{}');
      response.setHeader('content-type', bytes === manifest ? MEDIA_TYPES.ociManifest : 'application/octet-stream');
      response.writeHead(200, { 'content-length': bytes.length });
      response.end(request.method === 'HEAD' ? undefined : bytes);
    }
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const directory = mkdtempSync(join(tmpdir(), 'gantry-memory-'));
  const daemon = new DaemonProcess({ directory });
  try {
    await daemon.start();
    const pid = Number(readFileSync(join(directory, 'run/engine.pid'), 'utf8'));
    const gantry = async (...words: string[]): Promise<void> => {
      const { code, stderr } = await runInProcess(words, { env: daemon.clientEnv });
      assert.equal(code, 0, stderr);
    };
    peak(pid);
    await gantry('pull', '-q', `${host}/app:1`);
    const pull = peak(pid);
    await gantry('tag', `${host}/app:1`, `${host}/copy:1`);
    await gantry('push', '-q', `${host}/copy:1`);
    const push = peak(pid);
    assert.ok(pushed > SIZE, `${pushed} bytes came`);
    for (const [what, { all, own }] of Object.entries({ pull, push })) {
      t.diagnostic(`${what}: at most ${all.toFixed(0)} MiB, ${own.toFixed(0)} of them its own`);
      assert.ok(own < LIMIT, `${what}: ${own} MiB`);
    }
    await gantry('rmi', `${host}/app:1`, `${host}/copy:1`);
  } finally {
    await daemon.stop();
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true, force: true });
  }
});

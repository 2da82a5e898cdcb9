import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fetchFile } from './http-source.ts';

const TEXT = 'hello\n';
const DIGEST = createHash('sha256').update(TEXT).digest('hex');
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url!, 'http://x');
  if (pathname === '/hangs') return;
  if (pathname === '/moved') return void response.writeHead(302, { Location: '/dir/file.txt' }).end();
  if (pathname === '/absent') return void response.writeHead(404).end('no');
  const headers: Record<string, string> = { 'Last-Modified': 'Thu, 01 Jan 2015 00:00:10 GMT' };
  if (pathname === '/named') headers['Content-Disposition'] = 'attachment; filename="../../up.bin"';
  response.writeHead(200, headers).end(TEXT);
});
let url: string;
let directory: string;

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  directory = await mkdtemp(join(tmpdir(), 'gantry-http-'));
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true });
});

let names = 0;
const get = (
  path: string,
  options: { checksum?: string; name?: string; signal?: AbortSignal } = {},
): ReturnType<typeof fetchFile> =>
  fetchFile(`${url}${path}`, join(directory, String(++names)), {
    checksum: options.checksum,
    name: options.name,
    signal: options.signal,
  });

test('fetchFile() keeps content and time, and gives nobody else a look', async () => {
  const { directory: at, name } = await get('/dir/file.txt?x=1', { checksum: `sha256:${DIGEST}` });
  assert.equal(name, 'file.txt');
  assert.equal(await readFile(join(at, name), 'utf8'), TEXT);
  const found = await stat(join(at, name));
  assert.equal(found.mode & 0o777, 0o600);
  assert.equal(found.mtime.toISOString(), '2015-01-01T00:00:10.000Z');
});

test('fetchFile() names the file after the destination, the server or the address', async () => {
  assert.equal((await get('/dir/', { name: 'given' })).name, 'given');
  assert.equal((await get('/named')).name, 'up.bin');
  assert.equal((await get('/a%20b')).name, 'a b');
  assert.equal((await get('/moved')).name, 'moved');
  await assert.rejects(get('/dir/'), /cannot determine filename/);
});

test('fetchFile() refuses what is not there, what is not as expected, and stops', async () => {
  await assert.rejects(get('/absent'), /invalid response status 404/);
  await assert.rejects(get('/x', { checksum: `sha256:${'0'.repeat(64)}` }), /digest mismatch sha256:5891b5b5/);
  await assert.rejects(get('/x', { checksum: 'md5:00' }), /invalid checksum/);
  await assert.rejects(
    fetchFile('http://127.0.0.1:1/x', directory, { checksum: undefined, name: 'x', signal: undefined }),
    /cannot fetch/,
  );
  await assert.rejects(get('/hangs', { signal: AbortSignal.timeout(50) }));
});

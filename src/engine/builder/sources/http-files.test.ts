import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type FetchedFile, HttpFiles } from './http-files.ts';

const TEXT = 'hello\n';
const DIGEST = createHash('sha256').update(TEXT).digest('hex');
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url!, 'http://x');
  asked.push(`${pathname} ${request.headers['if-none-match'] ?? '-'} ${request.headers.authorization ?? '-'}`);
  if (pathname === '/hangs') return;
  if (pathname === '/tagged') {
    if (request.headers['if-none-match'] === '"v1"') return void response.writeHead(304).end();
    return void response.writeHead(200, { ETag: '"v1"' }).end(TEXT);
  }
  if (pathname === '/moved') return void response.writeHead(302, { Location: '/dir/file.txt' }).end();
  if (pathname === '/elsewhere') return void response.writeHead(301, { Location: other }).end();
  if (pathname === '/round') return void response.writeHead(302, { Location: '/round' }).end();
  if (pathname === '/out') return void response.writeHead(302, { Location: 'file:///etc/passwd' }).end();
  if (pathname === '/absent') return void response.writeHead(404).end('no');
  const headers: Record<string, string> = { 'Last-Modified': 'Thu, 01 Jan 2015 00:00:10 GMT' };
  if (pathname === '/named') headers['Content-Disposition'] = 'attachment; filename="../../up.bin"';
  response.writeHead(200, headers).end(TEXT);
});
let url: string;
/** The same server by another name. */
let other = '';
let directory: string;
let files: HttpFiles;
const asked: string[] = [];

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  other = `${url.replace('127.0.0.1', 'localhost')}/dir/file.txt`;
  directory = await mkdtemp(join(tmpdir(), 'gantry-http-'));
  files = new HttpFiles(join(directory, 'kept'));
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
): Promise<FetchedFile> =>
  files.fetch(`${url}${path}`, join(directory, String(++names)), {
    checksum: options.checksum,
    name: options.name,
    signal: options.signal,
  });

test('fetch() keeps content and time, and gives nobody else a look', async () => {
  const { directory: at, name } = await get('/dir/file.txt?x=1', { checksum: `sha256:${DIGEST}` });
  assert.equal(name, 'file.txt');
  assert.equal(await readFile(join(at, name), 'utf8'), TEXT);
  const found = await stat(join(at, name));
  assert.equal(found.mode & 0o777, 0o600);
  assert.equal(found.mtime.toISOString(), '2015-01-01T00:00:10.000Z');
});

test('fetch() names the file after the destination, the server or the address', async () => {
  assert.equal((await get('/dir/', { name: 'given' })).name, 'given');
  assert.equal((await get('/named')).name, 'up.bin');
  assert.equal((await get('/a%20b')).name, 'a b');
  assert.equal((await get('/moved')).name, 'moved');
  await assert.rejects(get('/dir/'), /cannot determine filename/);
});

test('fetch() refuses what is not there, what is not as expected, and stops', async () => {
  await assert.rejects(get('/absent'), /invalid response status 404/);
  await assert.rejects(get('/round'), /stopped after 10 redirects/);
  await assert.rejects(get('/out'), /a redirect to file:/);
  await assert.rejects(get('/x', { checksum: `sha256:${'0'.repeat(64)}` }), /digest mismatch sha256:5891b5b5/);
  await assert.rejects(get('/x', { checksum: 'md5:00' }), /invalid checksum/);
  await assert.rejects(
    files.fetch('http://127.0.0.1:1/x', directory, { checksum: undefined, name: 'x', signal: undefined }),
    /cannot fetch http:\/\/127\.0\.0\.1:1\/x: connect ECONNREFUSED/,
  );
  await assert.rejects(get('/hangs', { signal: AbortSignal.timeout(50) }));
});

test('fetch() asks whether what it has is still the same, and not at all for what a checksum names', async () => {
  asked.length = 0;
  for (let n = 0; n < 2; n++) {
    const { directory: at, name } = await get('/tagged');
    assert.equal(await readFile(join(at, name), 'utf8'), TEXT);
  }
  await get('/tagged', { checksum: `sha256:${DIGEST}` });
  assert.deepEqual(asked, ['/tagged - -', '/tagged "v1" -']);
  const [kept] = (await files.list()).filter(({ name }) => name.endsWith('/tagged'));
  assert.equal(kept!.size, TEXT.length);
  await files.remove(kept!.id);
  await get('/tagged');
  assert.equal(asked.at(-1), '/tagged - -');
});

test("fetch() shows a client's token to the host that it is for, a password of the address to no message", async () => {
  asked.length = 0;
  const secrets = {
    secret: async (name: string) => (name === 'HTTP_AUTH_TOKEN_127.0.0.1' ? 'token\n' : undefined),
  };
  await files.fetch(`${url}/private`, join(directory, 'private'), {
    checksum: undefined,
    name: undefined,
    secrets,
    signal: undefined,
  });
  assert.deepEqual(asked, ['/private - Bearer token']);
  await files.fetch(`${url}/elsewhere`, join(directory, 'elsewhere'), {
    checksum: `sha256:${DIGEST}`,
    name: undefined,
    secrets,
    signal: undefined,
  });
  assert.deepEqual(asked.slice(1), ['/elsewhere - Bearer token', '/dir/file.txt - -'], 'nor where it is sent on to');
  const address = url.replace('//', '//user:hidden@');
  const fails = files.fetch(`${address}/absent`, join(directory, 'absent'), {
    checksum: undefined,
    name: undefined,
    signal: undefined,
  });
  await assert.rejects(fails, (error: Error) => !error.message.includes('hidden'));
  assert.equal(asked.at(-1), `/absent - Basic ${Buffer.from('user:hidden').toString('base64')}`);
});

/** The server of the dashboard before a real engine: who gets in, what is passed on, the terminal, files of volumes, builds. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import type { RecentBuildDocument, VolumeFilesDocument } from '../../src/api/gantry.ts';
import { Client } from '../../src/client/client.ts';
import { Dashboard } from '../../src/dashboard/server.ts';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-dashboard-'));
const daemon = new DaemonProcess({ directory });
const gantry = async (...words: string[]): Promise<string> => {
  const { code, stdout, stderr } = await runInProcess(words, { env: daemon.clientEnv });
  assert.equal(code, 0, stderr);
  return stdout;
};
let dashboard: Dashboard;
let client: Client;
let port: number;
let token: string;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

/** With whatever headers: `fetch` sets Host and Origin itself. */
function ask(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, path, method, headers: { host: `127.0.0.1:${port}`, ...headers } });
    call.once('error', reject);
    call.once('response', (response) => {
      let text = '';
      response.on('data', (chunk) => (text += String(chunk)));
      response.once('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }));
    });
    call.end();
  });
}

const cookie = (): Record<string, string> => ({ cookie: `gantry-dashboard-${port}=${token}` });

before(async () => {
  await daemon.start();
  const page = join(directory, 'page');
  mkdirSync(page);
  writeFileSync(join(page, 'index.html'), '<p>the page</p>');
  writeFileSync(join(directory, 'secret.html'), 'outside');
  client = new Client({ endpoint: { kind: 'unix', path: daemon.socket, url: daemon.host } });
  dashboard = await Dashboard.start({
    requester: client.requester,
    page,
    port: 0,
    repositories: async (host) => [{ name: host, tags: ['1'] }],
  });
  const url = new URL(dashboard.url);
  port = Number(url.port);
  token = url.searchParams.get('token')!;
});

after(async () => {
  await dashboard[Symbol.asyncDispose]();
  client.close();
  await daemon.stop();
  await nothingLeft(daemon);
});

test('only the address with the key opens it, once; then the cookie does', async () => {
  assert.equal((await ask('/')).status, 401);
  assert.equal((await ask('/api/info')).status, 401);
  assert.equal((await ask('/?token=wrong')).status, 401);
  const opened = await ask(`/?token=${token}`);
  assert.equal(opened.status, 303);
  assert.match(String(opened.headers['set-cookie']), /HttpOnly; SameSite=Strict/);
  const page = await ask('/', cookie());
  assert.equal(page.text, '<p>the page</p>');
  assert.match(String(page.headers['content-security-policy']), /default-src 'none'/);
});

test('other origins and names that lead here are refused, key or not', async () => {
  assert.equal((await ask('/api/info', { ...cookie(), origin: 'http://evil.example' })).status, 403);
  assert.equal((await ask('/api/info', { ...cookie(), host: `evil.example:${port}` })).status, 403);
  assert.equal((await ask('/api/info', { ...cookie(), origin: `http://127.0.0.1:${port}` })).status, 200);
});

test('files: of the page and none else', async () => {
  for (const path of ['/../secret.html', '/%2e%2e/secret.html', '/..%2fsecret.html', '/absent.js', '/index.html/']) {
    assert.equal((await ask(path, cookie())).status, 404, path);
  }
});

test("the engine's API is passed on, with its errors and its streams", async () => {
  assert.ok((JSON.parse((await ask('/api/info', cookie())).text) as { ID: string }).ID);
  const absent = await ask('/api/containers/none/json', cookie());
  assert.equal(absent.status, 404);
  assert.match(absent.text, /No such container: none/);
  const id = (await gantry('run', '-d', '--network', 'none', 'busybox', 'echo', 'hello')).trim();
  await gantry('wait', id);
  const logs = await ask(`/api/containers/${id}/logs?stdout=1`, cookie());
  assert.match(logs.text, /hello/);
  assert.equal((await ask(`/api/containers/${id}?force=1`, cookie(), 'DELETE')).status, 204);
});

test('the registry that is named', async () => {
  assert.equal((await ask('/registry/127.0.0.1%3A5000', cookie())).text, '[{"name":"127.0.0.1:5000","tags":["1"]}]');
});

test('a terminal over a WebSocket; not for other pages', async () => {
  const id = (await gantry('run', '-d', '--network', 'none', 'busybox', 'sleep', '600')).trim();
  const { Id: exec } = await client.requester.json<{ Id: string }>('POST', `/containers/${id}/exec`, {
    json: { AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: true, Cmd: ['sh'] },
  });
  const url = `ws://127.0.0.1:${port}/terminal/${exec}`;
  for (const headers of [
    cookie(),
    { ...cookie(), origin: 'http://evil.example' },
    { origin: `http://127.0.0.1:${port}` },
  ]) {
    const refused = await new Promise((resolve) => {
      const socket = new WebSocket(url, { headers });
      socket.once('error', (error) => resolve(error.message));
      socket.once('open', () => resolve('open'));
    });
    assert.equal(refused, 'Unexpected server response: 403');
  }
  const socket = new WebSocket(url, { headers: { ...cookie(), origin: `http://127.0.0.1:${port}` } });
  let shown = '';
  socket.on('message', (data: Buffer) => (shown += data.toString()));
  socket.once('open', () => socket.send(Buffer.from('echo $((40+2)); exit\n')));
  await new Promise((resolve) => socket.once('close', resolve));
  assert.match(shown, /42/);
  await gantry('rm', '-f', id);
});

test('files of a volume are shown and read, and nothing outside of it', async () => {
  const script =
    'mkdir /v/sub; echo content > /v/sub/file; ln -s /etc/passwd /v/leak; ln -s ../../../.. /v/up; mkfifo /v/pipe';
  await gantry('run', '--rm', '--network', 'none', '-v', 'files:/v', 'busybox', 'sh', '-c', script);
  const files = async (path: string): Promise<Answer> => ask(`/api/gantry/volumes/files/files?path=${path}`, cookie());
  const { Files } = JSON.parse((await files('')).text) as VolumeFilesDocument;
  assert.deepEqual(
    Files.map(({ Name, Kind, Target }) => [Name, Kind, Target]),
    [
      ['leak', 'symlink', '/etc/passwd'],
      ['pipe', 'fifo', undefined],
      ['sub', 'directory', undefined],
      ['up', 'symlink', '../../../..'],
    ],
  );
  const read = (path: string): Promise<Answer> => ask(`/api/gantry/volumes/files/file?path=${path}`, cookie());
  assert.equal((await read('sub/file')).text, 'content\n');
  assert.equal((await read('leak')).status, 404, 'the link is resolved inside the volume');
  assert.equal((await read('../../../../etc/passwd')).status, 404);
  assert.equal((await read('pipe')).status, 400);
  assert.equal((await read('sub')).status, 400);
  const up = JSON.parse((await files('up')).text) as VolumeFilesDocument;
  assert.deepEqual(up.Files, Files, 'the root of a volume has nothing above it');
  assert.equal((await files('sub/file')).status, 400);
  assert.equal((await files('none')).status, 404);
  await gantry('volume', 'rm', 'files');
});

test('builds are told of, with their steps and output', async () => {
  const context = join(directory, 'context');
  mkdirSync(context);
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM busybox AS one\nRUN echo words && touch /x\nFROM busybox\nCOPY --from=one /x /\n',
  );
  await gantry('build', '-t', 'watched', context);
  writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nRUN exit 3\n');
  assert.notEqual((await runInProcess(['build', context], { env: daemon.clientEnv })).code, 0);
  const [failed, done] = JSON.parse((await ask('/api/gantry/builds', cookie())).text) as RecentBuildDocument[];
  assert.equal(failed?.State, 'failed');
  assert.equal(failed.Steps.at(-1)?.State, 'failed');
  assert.equal(done?.State, 'done');
  assert.match(done.Tags.join(' '), /watched/);
  assert.deepEqual(new Set(done.Steps.map(({ Text }) => Text.split(' ')[0])), new Set(['COPY', 'FROM', 'RUN']));
  const whole = JSON.parse((await ask(`/api/gantry/builds/${done.Id}`, cookie())).text) as RecentBuildDocument;
  assert.match(whole.Output ?? '', /words/);
  assert.equal((await ask('/api/gantry/builds/none', cookie())).status, 404);
});

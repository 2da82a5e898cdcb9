import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inheritedSockets } from './inherited-sockets.ts';
import { listen, type ListenOptions, refuseLiveSockets } from './listen.ts';
import { createLogger } from './log.ts';
import { routeTable } from './routes/table.ts';
import { ApiServer } from './server.ts';
import { fakeEngine } from './testing/fake-engine.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-listen-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

const log = createLogger({ level: 'fatal' });
const options: ListenOptions = { tls: undefined, allowPlainTcp: false, group: undefined, log, inherited: [] };

function api(): ApiServer & AsyncDisposable {
  const server = new ApiServer({ routes: routeTable(fakeEngine()), product: 'Gantry/test (linux)', log });
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.close(100) });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('a unix socket is nobody else’s; a stale one is replaced, a live one refused with its holder', async () => {
  const path = join(directory, 'a.sock');
  // What a killed daemon leaves: a socket without a listener.
  const script = 'require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))';
  spawnSync(process.execPath, ['-e', script, path]);
  assert.ok(statSync(path).isSocket());
  await using first = api();
  await listen(first, [{ kind: 'unix', path }], options);
  assert.equal(statSync(path).mode & 0o777, 0o660);
  await using second = api();
  const held = { code: 'conflict', message: new RegExp(`^${path} is in use by process ${process.pid} \\(.+\\): stop`) };
  await assert.rejects(listen(second, [{ kind: 'unix', path }], options), held);
  await assert.rejects(refuseLiveSockets([{ kind: 'unix', path }]), held);
  const file = join(directory, 'file');
  writeFileSync(file, 'mine');
  await assert.rejects(listen(second, [{ kind: 'unix', path: file }], options), /exists and is no socket/);
  assert.equal(readFileSync(file, 'utf8'), 'mine');
  await assert.rejects(
    listen(second, [{ kind: 'unix', path: `/${'x'.repeat(108)}` }], options),
    /longer than 107 bytes/,
  );
});

test('TCP without TLS: refused off loopback, unless said in so many words; a port in use is told', async () => {
  const port = await freePort();
  await using server = api();
  const everywhere = { kind: 'tcp', host: '0.0.0.0', port } as const;
  await assert.rejects(listen(server, [everywhere], options), {
    message: /^refusing to listen on tcp:\/\/0\.0\.0\.0:\d+ without TLS: .* --tls=false/,
  });
  await listen(server, [{ ...everywhere, host: '127.0.0.1' }], { ...options, allowPlainTcp: true });
  await using second = api();
  await assert.rejects(listen(second, [{ ...everywhere, host: '127.0.0.1' }], options), {
    code: 'conflict',
    message: `cannot listen on tcp://127.0.0.1:${port}: the address is in use`,
  });
});

function certificates(): (name: string) => string {
  const file = (name: string): string => join(directory, name);
  const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout'];
  openssl(
    'req',
    '-x509',
    ...curve,
    'self.key',
    '-out',
    'self.pem',
    '-days',
    '2',
    '-subj',
    '/CN=x',
    '-addext',
    'subjectAltName=IP:127.0.0.1',
  );
  return file;
}

test(
  'TLS without certificates of clients: for tokens of scopes alone, unless anyone is let in by so many words',
  { skip: spawnSync('openssl', ['version']).status === 0 ? false : 'no openssl' },
  async () => {
    const file = certificates();
    const tls = { certificateFile: file('self.pem'), keyFile: file('self.key'), clientCaFile: undefined };
    const ping = (port: number, headers: Record<string, string> = {}): Promise<number> =>
      new Promise((resolve, reject) => {
        get(
          { port, host: '127.0.0.1', path: '/_ping', ca: readFileSync(file('self.pem')), agent: false, headers },
          (answer) => {
            answer.resume();
            resolve(answer.statusCode ?? 0);
          },
        ).on('error', reject);
      });
    for (const [host, allowAnyTls, status] of [
      ['0.0.0.0', false, 401],
      ['0.0.0.0', true, 200],
      ['127.0.0.1', false, 200],
    ] as const) {
      const port = await freePort();
      await using server = api();
      await listen(server, [{ kind: 'tcp', host, port }], { ...options, tls, allowAnyTls });
      assert.equal(await ping(port), status, `${host} ${allowAnyTls}`);
      assert.equal(await ping(port, { authorization: 'Basic eDp5' }), status);
      assert.equal(await ping(port, { origin: 'https://page.example' }), 403);
    }
  },
);

test(
  'TLS verifies its clients',
  { skip: spawnSync('openssl', ['version']).status === 0 ? false : 'no openssl' },
  async () => {
    const file = (name: string): string => join(directory, name);
    const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });
    const key = (name: string): string[] => [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      name,
    ];
    openssl('req', '-x509', ...key('ca.key'), '-out', 'ca.pem', '-days', '2', '-subj', '/CN=ca');
    writeFileSync(file('san'), 'subjectAltName=IP:127.0.0.1');
    for (const name of ['server', 'client']) {
      openssl('req', ...key(`${name}.key`), '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      openssl(
        ...`x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out ${name}.pem`.split(
          ' ',
        ),
      );
    }
    const port = await freePort();
    await using server = api();
    await listen(server, [{ kind: 'tcp', host: '127.0.0.1', port }], {
      ...options,
      tls: { certificateFile: file('server.pem'), keyFile: file('server.key'), clientCaFile: file('ca.pem') },
    });
    const ping = (credentials: { cert?: Buffer; key?: Buffer }): Promise<number> =>
      new Promise((resolve, reject) => {
        get(
          { port, host: '127.0.0.1', path: '/_ping', ca: readFileSync(file('ca.pem')), agent: false, ...credentials },
          (answer) => {
            answer.resume();
            resolve(answer.statusCode ?? 0);
          },
        ).on('error', reject);
      });
    assert.equal(await ping({ cert: readFileSync(file('client.pem')), key: readFileSync(file('client.key')) }), 200);
    await assert.rejects(ping({}), /certificate required|ECONNRESET|EPIPE/);
  },
);

test('inherited sockets are ours only with our pid', () => {
  const env = { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'api:admin' };
  assert.deepEqual(inheritedSockets(env, 7), [
    { fd: 3, name: 'api' },
    { fd: 4, name: 'admin' },
  ]);
  assert.deepEqual(inheritedSockets(env, 8), []);
  assert.deepEqual(inheritedSockets({}, 7), []);
});

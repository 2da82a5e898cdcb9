import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { sha256 } from '../../src/oci/digest.ts';
import type { RegistryServerOptions } from '../../src/registry/server/registry-server.ts';
import { TestRegistry } from './test-registry.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const PASSWORD = 'pass-word-that-is-secret';
const basic = (name: string, password = PASSWORD): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;

interface Line {
  readonly time: string;
  readonly from: string;
  readonly subject: string | null;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly digest?: string;
}

/** A registry with one user, and the lines that it wrote. */
async function audited(
  options: Partial<Omit<RegistryServerOptions, 'access'>> = {},
): Promise<{ registry: TestRegistry; raw: string[]; lines: () => string[] }> {
  const raw: string[] = [];
  const registry = await TestRegistry.open({
    ...options,
    access: {
      users: new Map(['ann', 'b\u009b\u202eob'].map((name) => [name, hashSync(PASSWORD, 4)])),
      rules: [
        { repositories: ['team/**'], users: ['@users'], actions: ['pull', 'push', 'delete'] },
        { repositories: ['public/**'], users: ['*'], actions: ['pull'] },
      ],
      tokens: { service: 'test', issuer: 'test', secret: Buffer.alloc(32, 1) },
    },
    audit: (line) => raw.push(line),
  });
  const lines = (): string[] =>
    raw.splice(0).map((line) => {
      const { time, from, subject, method, path, status, digest, ...more } = JSON.parse(line) as Line;
      assert.deepEqual(more, {});
      assert.ok(Math.abs(Date.parse(time) - Date.now()) < 120_000, time);
      assert.match(from, /^(::ffff:)?127\.0\.0\.1$/);
      return `${subject ?? '-'} ${method} ${path} ${status}${digest === undefined ? '' : ` ${digest}`}`;
    });
  return { registry, raw, lines };
}

test('who did what, from where, with which result: a line for each change and each refusal', async () => {
  const { registry, raw, lines } = await audited();
  await using _registry = registry;
  const call = async (
    method: string,
    path: string,
    authorization?: string,
    body?: string,
    type = MANIFEST,
  ): Promise<Response> =>
    fetch(`http://${registry.host}${path}`, {
      method,
      headers: { 'content-type': type, ...(authorization !== undefined && { authorization }) },
      ...(body !== undefined && { body }),
    });
  const ann = basic('ann');
  const digest = sha256('hello');
  const secrets: string[] = [PASSWORD, ann.slice('Basic '.length)];

  await call('POST', `/v2/team/app/blobs/uploads/?digest=${digest}`, ann, 'hello');
  assert.deepEqual(lines(), [`ann POST /v2/team/app/blobs/uploads/ 201 ${digest}`]);
  const blob = { mediaType: 'text/plain', digest, size: 5 };
  const body = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: blob, layers: [blob] });
  await call('PUT', '/v2/team/app/manifests/1', ann, body);
  await call('PUT', '/v2/team/app/manifests/2', ann, '{}');
  assert.deepEqual(lines(), [
    `ann PUT /v2/team/app/manifests/1 201 ${sha256(body)}`,
    'ann PUT /v2/team/app/manifests/2 400',
  ]);
  // An upload from its beginning to its cancellation.
  const begun = await call('POST', '/v2/team/app/blobs/uploads/', ann);
  const location = begun.headers.get('location')!;
  await call('PATCH', location, ann, 'part', 'application/octet-stream');
  await call('DELETE', location, ann);
  const [path] = location.split('?');
  assert.deepEqual(lines(), [
    'ann POST /v2/team/app/blobs/uploads/ 202',
    `ann PATCH ${path} 202`,
    `ann DELETE ${path} 204`,
  ]);
  // Reads are only told of when they were refused.
  assert.equal((await call('GET', '/v2/team/app/manifests/1', ann)).status, 200);
  assert.equal((await call('GET', '/v2/team/nothing/manifests/1', ann)).status, 404);
  assert.deepEqual(lines(), []);
  await call('GET', '/v2/team/app/manifests/1');
  await call('GET', '/v2/team/app/manifests/1', basic('ann', 'wrong'));
  await call('GET', '/v2/other/manifests/1', ann);
  await call('PUT', '/v2/public/app/manifests/1', undefined, body);
  assert.deepEqual(lines(), [
    '- GET /v2/team/app/manifests/1 401',
    '- GET /v2/team/app/manifests/1 401',
    'ann GET /v2/other/manifests/1 403',
    '- PUT /v2/public/app/manifests/1 401',
  ]);
  // Tokens: who got one, who did not, and what was done with it.
  const query = 'service=test&scope=repository:team/app:pull,push,delete&account=ann';
  const { token } = (await (await call('GET', `/token?${query}`, ann)).json()) as { token: string };
  secrets.push(token, token.split('.')[2]!);
  const form = new URLSearchParams({ grant_type: 'password', username: 'ann', password: 'not-the-password' });
  await call('POST', '/token', undefined, form.toString(), 'application/x-www-form-urlencoded');
  secrets.push('not-the-password');
  await call('DELETE', '/v2/team/app/manifests/1', `Bearer ${token}`);
  await call('DELETE', '/v2/team/app/manifests/1', `Bearer ${token}x`);
  const said = raw.join('\n');
  assert.deepEqual(lines(), [
    'ann GET /token 200',
    '- POST /token 401',
    'ann DELETE /v2/team/app/manifests/1 202',
    '- DELETE /v2/team/app/manifests/1 401',
  ]);
  for (const secret of secrets) assert.ok(!said.includes(secret));
  // And whoever guesses.
  for (let guesses = 0; guesses < 25; guesses++) await call('GET', '/v2/team/app/tags/list', basic('ann', 'guess'));
  assert.equal(lines().at(-1), '- GET /v2/team/app/tags/list 429');
});

test('reads too, where that is asked for', async () => {
  const { registry, lines } = await audited({ auditReads: true });
  await using _registry = registry;
  const headers = { authorization: basic('ann') };
  await fetch(`http://${registry.host}/v2/`, { headers });
  await fetch(`http://${registry.host}/v2/team/app/tags/list`, { headers });
  await fetch(`http://${registry.host}/v2/team/app/tags/list`, { headers, method: 'HEAD' });
  assert.deepEqual(lines(), [
    'ann GET /v2/ 200',
    'ann GET /v2/team/app/tags/list 404',
    'ann HEAD /v2/team/app/tags/list 404',
  ]);
});

test('what is named to look like a line, or to move a terminal’s cursor, is written out', async () => {
  const { registry, raw } = await audited();
  await using _registry = registry;
  const [hostname, port] = registry.host.split(':');
  const send = async (head: string): Promise<string> => {
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.write(Buffer.from(`${head}host: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`, 'latin1'));
    return Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>)).toString('latin1');
  };
  await send(`PUT /v2/%0a{"subject":"ann"}%0d/manifests/1 HTTP/1.1\r\n`);
  await send(`PUT /v2/a"},\\u0000/manifests/1 HTTP/1.1\r\n`);
  await send(`PUT /v2/\u009b31m\u0085/manifests/${'x'.repeat(3000)} HTTP/1.1\r\n`);
  await send(`DELETE /v2/team/x/manifests/1 HTTP/1.1\r\nauthorization: ${basic('b\u009b\u202eob')}\r\n`);
  assert.ok(raw.length >= 3, raw.join('\n'));
  for (const line of raw) {
    assert.match(line, /^[ -~]+$/);
    assert.ok(line.length < 2000);
    assert.equal((JSON.parse(line) as Line).from.endsWith('127.0.0.1'), true);
  }
  assert.deepEqual(
    raw.map((line) => (JSON.parse(line) as Line).subject).filter((subject) => subject !== null),
    ['b\u009b\u202eob'],
  );
});

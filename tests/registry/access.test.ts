import assert from 'node:assert/strict';
import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import type { AccessRule } from '../../src/registry/server/access-rules.ts';
import { TokenVerifier } from '../../src/registry/server/tokens.ts';
import { streamOf, tarOf } from '../images/archive.ts';
import { TestImages } from '../images/image-store.ts';
import { TestRegistry } from './test-registry.ts';

const USERS = new Map(['ann', 'bob', 'eve'].map((name) => [name, hashSync(`${name}'s`, 4)]));
const GROUPS = { devs: ['ann', 'bob'] };
const RULES: readonly AccessRule[] = [
  { repositories: ['public/**'], users: ['*'], actions: ['pull'] },
  { repositories: ['team/*'], users: ['@devs'], actions: ['pull', 'push'] },
  { repositories: ['**'], users: ['ann'], actions: ['pull', 'push', 'delete'] },
  { repositories: ['shared/app'], users: ['@users'], actions: ['pull'] },
];

function basic(name: string): Record<string, string> {
  return name === 'nobody' ? {} : { authorization: `Basic ${btoa(`${name}:${name}'s`)}` };
}

const DIGEST = `sha256:${'0'.repeat(64)}`;
const VERBS = {
  pull: ['GET', `manifests/x`],
  push: ['POST', 'blobs/uploads/'],
  delete: ['DELETE', `blobs/${DIGEST}`],
} as const;

/** What each may do where: a letter for a verb. */
const MATRIX: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'public/a/b': { nobody: 'pull', eve: 'pull', bob: 'pull', ann: 'pull push delete' },
  'team/app': { nobody: '', eve: '', bob: 'pull push', ann: 'pull push delete' },
  'team/app/deep': { nobody: '', eve: '', bob: '', ann: 'pull push delete' },
  teamx: { nobody: '', eve: '', bob: '', ann: 'pull push delete' },
  'shared/app': { nobody: '', eve: 'pull', bob: 'pull', ann: 'pull push delete' },
};

for (const withTokens of [false, true]) {
  test(`rules: each verb of each user on each repository${withTokens ? ', by tokens' : ''}`, async () => {
    const tokens = withTokens ? { service: 's', issuer: 'i' } : undefined;
    await using registry = await TestRegistry.open({ access: { users: USERS, groups: GROUPS, rules: RULES, tokens } });
    const base = `http://${registry.host}`;
    for (const [repository, expected] of Object.entries(MATRIX)) {
      for (const [user, allowed] of Object.entries(expected)) {
        for (const [verb, [method, path]] of Object.entries(VERBS)) {
          let headers = basic(user);
          if (withTokens) {
            const url = `${base}/token?service=s&scope=repository:${repository}:pull,push,delete`;
            const { token } = (await (await fetch(url, { headers })).json()) as { token: string };
            headers = { authorization: `Bearer ${token}` };
          }
          const { status } = await fetch(`${base}/v2/${repository}/${path}`, { method, headers });
          const refused = status === 401 || status === 403;
          assert.equal(!refused, allowed.split(' ').includes(verb), `${user} ${verb} ${repository}: ${status}`);
        }
      }
    }
  });
}

test('a layer of a repository that one may not read is not mounted, and not seen', async () => {
  await using registry = await TestRegistry.open({ access: { users: USERS, groups: GROUPS, rules: RULES } });
  const base = `http://${registry.host}/v2`;
  const body = 'secret layer';
  const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
  const pushed = await fetch(`${base}/private/app/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    headers: basic('ann'),
    body,
  });
  assert.equal(pushed.status, 201);
  const mount = `${base}/team/app/blobs/uploads/?mount=${digest}&from=private/app`;
  assert.equal((await fetch(mount, { method: 'POST', headers: basic('bob') })).status, 202);
  assert.equal((await fetch(`${base}/team/app/blobs/${digest}`, { headers: basic('bob') })).status, 404);
  assert.equal((await fetch(mount, { method: 'POST', headers: basic('ann') })).status, 201);
  const catalog = async (user: string): Promise<unknown> =>
    ((await (await fetch(`${base}/_catalog`, { headers: basic(user) })).json()) as { repositories: unknown })
      .repositories;
  assert.deepEqual([await catalog('ann'), await catalog('bob')], [['private/app', 'team/app'], ['team/app']]);
});

test('login, push, pull by our own tokens; anonymous pulls beside pushes that need a login', async () => {
  const tokens = { service: 's', issuer: 'i', secret: Buffer.alloc(32, 7) };
  await using registry = await TestRegistry.open({ access: { users: USERS, anonymousPull: true, tokens } });
  const client = new RegistryClient({ retryDelayMs: 1 });
  const remote = new RemoteImages(client);
  await using images = await TestImages.open({ registry: remote });
  const auth = { username: 'ann', password: "ann's" };
  const name = `${registry.host}/app:1`;
  await images.images.import(streamOf(await tarOf({ file: 'x' })), { repository: `${registry.host}/app`, tag: '1' });
  await assert.rejects(images.images.push(name), { code: 'unauthorized' });
  await images.images.push(name, { auth });
  await images.images.pull(name);
  const login = await remote.login({ ...auth, serveraddress: registry.host });
  assert.equal(login.Status, 'Login Succeeded');
  await assert.rejects(remote.login({ ...auth, password: 'no', serveraddress: registry.host }), {
    code: 'unauthorized',
  });

  const post = (form: Record<string, string>): Promise<Response> =>
    fetch(`http://${registry.host}/token`, { method: 'POST', body: new URLSearchParams({ service: 's', ...form }) });
  const password = { grant_type: 'password', username: 'ann', password: "ann's", access_type: 'offline' };
  const { refresh_token: refresh } = (await (await post(password)).json()) as { refresh_token: string };
  const scope = 'repository:app:pull,push';
  const again = await post({ grant_type: 'refresh_token', refresh_token: refresh, scope });
  assert.equal(again.status, 200);
  // It gets tokens and is none.
  const uploads = `http://${registry.host}/v2/app/blobs/uploads/`;
  const upload = (token: string): Promise<Response> =>
    fetch(uploads, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
  assert.equal((await upload(((await again.json()) as { access_token: string }).access_token)).status, 202);
  assert.equal((await upload(refresh)).status, 401);
  assert.equal((await post({ grant_type: 'refresh_token', refresh_token: `${refresh}x` })).status, 401);
  assert.equal((await post({ ...password, password: 'no' })).status, 401);
  assert.equal((await post({ ...password, service: 'another' })).status, 400);
  client.close();
});

test('tokens that were made up, are old, or for something else', async () => {
  const users = new Map(USERS);
  const secret = Buffer.alloc(32, 1);
  const tokens = { service: 's', issuer: 'i', secret };
  await using registry = await TestRegistry.open({ access: { users: () => new Map(users), tokens } });
  const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const soon = Math.floor(Date.now() / 1000) + 100;
  const access = [{ type: 'repository', name: 'app', actions: ['pull', 'push'] }];
  const good = { iss: 'i', sub: 'ann', aud: 's', exp: soon, access };
  const header = { alg: 'HS256', typ: 'JWT' };
  const make = (claims: unknown, head: unknown = header, key: Buffer = secret): string => {
    const text = `${base64(head)}.${base64(claims)}`;
    return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
  };
  const status = async (token: string, repository = 'app'): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`http://${registry.host}/v2/${repository}/manifests/x`, { headers })).status;
  };
  assert.equal(await status(make(good)), 404);
  assert.equal(await status(make(good), 'other'), 401);
  const bad = {
    'without a signature': `${base64({ alg: 'none' })}.${base64(good)}.`,
    'with none and a signature': make(good, { alg: 'none', typ: 'JWT' }),
    'of another key': make(good, header, Buffer.alloc(32, 2)),
    'that brings its key': make(good, { ...header, jwk: { kty: 'oct', k: secret.toString('base64url') } }),
    expired: make({ ...good, exp: soon - 1000 }),
    'of another issuer': make({ ...good, iss: 'x' }),
    'for another service': make({ ...good, aud: 'x' }),
    'not valid yet': make({ ...good, nbf: soon + 1000 }),
    'of nobody': make({ ...good, sub: 'mallory' }),
    'without access': make({ ...good, access: 'all' }),
    empty: '',
    long: 'a.'.repeat(6000),
  };
  for (const [what, token] of Object.entries(bad)) assert.equal(await status(token), 401, what);
  // Who is no user any more is out, whatever tokens there are.
  users.delete('ann');
  assert.equal(await status(make(good)), 401);
});

test('tokens of a service elsewhere, by its public keys', async () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const keys = JSON.stringify({
    keys: [
      { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'one' },
      { ...ec.publicKey.export({ format: 'jwk' }), kid: 'two' },
    ],
  });
  const tokens = { service: 's', issuer: 'i', realm: 'https://auth.example/token', verifier: new TokenVerifier(keys) };
  await using registry = await TestRegistry.open({ access: { tokens } });
  const url = `http://${registry.host}/v2/app/manifests/x`;
  const challenge = (await fetch(url)).headers.get('www-authenticate');
  assert.equal(challenge, 'Bearer realm="https://auth.example/token",service="s",scope="repository:app:pull"');
  assert.equal((await fetch(`http://${registry.host}/token`)).status, 404);
  assert.equal((await fetch(`http://${registry.host}/v2/app/blobs/uploads/`, { method: 'POST' })).status, 401);
  const make = (alg: string, kid: string, key: typeof rsa.privateKey, more: object = {}): string => {
    const claims = {
      iss: 'i',
      sub: 'ann',
      aud: ['s'],
      exp: Math.floor(Date.now() / 1000) + 100,
      access: [{ type: 'repository', name: 'app', actions: ['pull'] }],
    };
    const text = [{ alg, kid, ...more }, claims]
      .map((one) => Buffer.from(JSON.stringify(one)).toString('base64url'))
      .join('.');
    return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  const status = async (token: string): Promise<number> =>
    (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status;
  assert.equal(await status(make('RS256', 'one', rsa.privateKey)), 404);
  assert.equal(await status(make('ES256', 'two', ec.privateKey)), 404);
  assert.equal(await status(make('RS256', 'two', rsa.privateKey)), 401);
  assert.equal(await status(make('RS256', 'one', stranger.privateKey)), 401);
  const jwk = stranger.publicKey.export({ format: 'jwk' });
  assert.equal(await status(make('RS256', 'one', stranger.privateKey, { jwk })), 401);
  // The public key as the secret of a MAC.
  const text = make('HS256', 'one', rsa.privateKey).split('.').slice(0, 2).join('.');
  const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' });
  assert.equal(await status(`${text}.${createHmac('sha256', pem).update(text).digest('base64url')}`), 401);
});

test('whoever guesses is slowed down', async () => {
  await using registry = await TestRegistry.open({ access: { users: USERS } });
  const headers = { authorization: `Basic ${btoa('ann:wrong')}` };
  const statuses = new Set<number>();
  for (let tries = 0; tries < 25; tries++)
    statuses.add((await fetch(`http://${registry.host}/v2/`, { headers })).status);
  assert.deepEqual([...statuses], [401, 429]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mayTrust } from './authorizer.ts';
import { parseChallenges } from './challenge.ts';

const read = (header: string): unknown =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

test('challenges are read as RFC 9110 writes them', () => {
  assert.deepEqual(read('Bearer realm="https://auth.example/token",service="a b",scope="repository:x:pull,push"'), [
    ['bearer', { realm: 'https://auth.example/token', service: 'a b', scope: 'repository:x:pull,push' }],
  ]);
  assert.deepEqual(read('Basic realm="a \\"b\\", c" , BEARER realm = x'), [
    ['basic', { realm: 'a "b", c' }],
    ['bearer', { realm: 'x' }],
  ]);
  assert.deepEqual(read('Negotiate, Basic realm=""'), [
    ['negotiate', {}],
    ['basic', { realm: '' }],
  ]);
});

test('what is no challenge ends in time and without one that was not there', () => {
  for (const junk of ['', '"', '=', ',,,', 'Bearer realm="open', ' '.repeat(10_000), '"'.repeat(10_000)]) {
    assert.deepEqual(
      parseChallenges(junk).filter(({ parameters }) => parameters.has('service')),
      [],
    );
  }
  assert.deepEqual(parseChallenges('a'.repeat(20_000)), []);
});

test('a password goes to the registry and its own kin alone', () => {
  const trusted = (origin: string, realm: string): boolean => mayTrust(new URL(origin), new URL(realm));
  assert.ok(trusted('https://registry-1.docker.io', 'https://auth.docker.io/token'));
  assert.ok(trusted('https://registry.gitlab.com', 'https://gitlab.com/jwt/auth'));
  assert.ok(trusted('https://ghcr.io', 'https://ghcr.io/token'));
  assert.ok(trusted('http://127.0.0.1:5000', 'http://127.0.0.1:5001/auth'));
  for (const [origin, realm] of [
    ['https://registry.example.com', 'https://evil.com/token'],
    ['https://registry.example.com', 'http://auth.example.com/token'],
    ['https://registry.example.com', 'https://auth.example.com:8443/token'],
    ['https://registry.co.uk', 'https://evil.co.uk/token'],
    ['https://ghcr.io', 'https://evil.io/token'],
    ['https://10.0.0.1', 'https://10.0.0.2/token'],
    ['http://127.0.0.1:5000', 'http://127.0.0.2:5000/token'],
  ] as const) {
    assert.ok(!trusted(origin, realm), realm);
  }
});

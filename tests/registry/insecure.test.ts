import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RegistryHosts } from '../../src/registry/client/hosts.ts';

test('without TLS, or with any certificate, only where that is allowed', async () => {
  const hosts = new RegistryHosts({ insecure: ['plain.lan', 'one.lan:5000', '10.9.0.0/16', 'fd00:9::/32'] });
  const insecure = [
    'localhost:5000',
    '127.0.0.1:5000',
    '127.9.9.9',
    '[::1]:5000',
    'plain.lan',
    'plain.lan:5000',
    'one.lan:5000',
    '10.9.1.2:80',
    '[fd00:9::1]:5000',
  ];
  const secure = [
    'one.lan',
    'one.lan:5001',
    'notplain.lan',
    'plain.lan.example.com',
    '10.10.0.1',
    '[fd00:a::1]:5000',
    'docker.io',
    '127.0.0.1.example.com',
  ];
  for (const domain of [...insecure, ...secure]) {
    const ways = await hosts.origins(domain);
    const found = ways.map(({ base, trust }) => `${base.protocol} ${trust.verify}`);
    // TLS is tried first all the same.
    const expected = insecure.includes(domain) ? ['https: false', 'http: false'] : ['https: true'];
    assert.deepEqual(found, expected, domain);
  }
});

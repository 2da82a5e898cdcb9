import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { FileContentStore } from '../../src/content/file-content-store.ts';
import { DirectoryFiles } from '../../src/registry/server/directory-files.ts';
import { FileLinks } from '../../src/registry/server/file-links.ts';
import { Repositories } from '../../src/registry/server/repositories.ts';
import { serveRegistry } from '../../src/registry/server/serve.ts';
import { readRegistrySettings } from '../../src/registry/server/settings.ts';
import { has } from '../images/archive.ts';

interface Asked {
  readonly status: number;
  readonly challenge: string | undefined;
}

test(
  'over TLS: by password, by certificate, and by neither',
  { skip: !has('openssl') && 'openssl is not installed' },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'gantry-registry-tls-'));
    const file = (name: string): string => join(directory, name);
    const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
    try {
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
      for (const [name, extensions] of [
        ['server', ['-addext', 'subjectAltName=IP:127.0.0.1']],
        ['ca', []],
      ] as const) {
        openssl(
          'req',
          '-x509',
          ...key,
          '-days',
          '2',
          '-subj',
          `/CN=${name}`,
          ...extensions,
          '-keyout',
          `${name}.key`,
          '-out',
          `${name}.pem`,
        );
      }
      openssl('req', ...key, '-subj', '/CN=ann', '-keyout', 'ann.key', '-out', 'ann.csr');
      openssl(
        'x509',
        '-req',
        '-in',
        'ann.csr',
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-days',
        '2',
        '-out',
        'ann.pem',
      );
      await writeFile(file('users'), `bob:${hashSync('secret', 4)}\n`);
      const settings = {
        addr: '127.0.0.1:0',
        tls: { cert: file('server.pem'), key: file('server.key'), clientCa: file('ca.pem') },
        auth: {
          htpasswd: file('users'),
          rules: [{ repositories: ['team/*'], users: ['ann', 'bob'], actions: ['pull'] }],
          token: { service: 'registry.test' },
        },
      };
      await writeFile(file('settings.json'), JSON.stringify(settings));
      const content = await FileContentStore.open(directory);
      const repositories = new Repositories(content, new FileLinks(new DirectoryFiles(file('repositories'))));
      const read = { ...settings, ...readRegistrySettings(file('settings.json')) } as Parameters<
        typeof serveRegistry
      >[0];
      await using served = await serveRegistry(read, { repositories, report: () => {} });
      const ca = await readFile(file('server.pem'), 'utf8');
      const ask = async (path: string, options: { auth?: string; as?: string } = {}): Promise<Asked> => {
        const { auth, as } = options;
        const certificate = as && { cert: await readFile(file(`${as}.pem`)), key: await readFile(file(`${as}.key`)) };
        return new Promise((resolve, reject) => {
          const message = request(
            `https://${served.address}${path}`,
            { ca, auth, agent: false, ...certificate },
            (response) => {
              const { statusCode, headers } = response.resume();
              response.once('end', () => resolve({ status: statusCode!, challenge: headers['www-authenticate'] }));
            },
          );
          message.once('error', reject).end();
        });
      };
      const path = '/v2/team/app/manifests/1';
      const nobody = await ask(path);
      assert.equal(nobody.status, 401);
      const realm = `https://${served.address}/token`;
      assert.equal(
        nobody.challenge,
        `Bearer realm="${realm}",service="registry.test",scope="repository:team/app:pull"`,
      );
      assert.equal((await ask(path, { as: 'ann' })).status, 404);
      assert.equal((await ask('/v2/other/manifests/1', { as: 'ann' })).status, 403);
      assert.equal((await ask(path, { auth: 'bob:secret' })).status, 404);
      // A certificate that the authority did not sign lets nobody in.
      assert.equal((await ask(path, { as: 'server' })).status, 401);

      // Who is taken out of the file is out, without a restart.
      await writeFile(file('users'), `eve:${hashSync('secret', 4)}\n`);
      while ((await ask(path, { auth: 'bob:secret' })).status !== 401)
        await new Promise((resolve) => setTimeout(resolve, 100));
    } finally {
      await rm(directory, { recursive: true });
    }
  },
);

test('settings that cannot be are refused by name', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-registry-settings-'));
  try {
    const path = join(directory, 'settings.json');
    const bad: Readonly<Record<string, RegExp>> = {
      '{': /registry configuration .*settings\.json: /,
      '[]': /must be an object/,
      '{"adr":":5000"}': /adr is no setting; there are addr, /,
      '{"addr":5000}': /addr must be a text/,
      '{"tls":{"cert":"x"}}': /tls\.key is missing/,
      '{"auth":{"rules":[{"repositories":["a"],"users":["b"],"actions":["read"]}]}}':
        /auth\.rules\[0\]\.actions\[0\] must be one of pull,/,
      '{"webhooks":[{"url":"file:///etc/passwd"}]}': /webhooks\[0\]\.url must be an http or https URL/,
      '{"quotas":[{"repositories":["a"],"maxBytes":-1}]}': /quotas\[0\]\.maxBytes must be a whole number/,
      '{"__proto__":{"addr":1}}': /__proto__ is no setting/,
    };
    for (const [text, words] of Object.entries(bad)) {
      await writeFile(path, text);
      assert.throws(() => readRegistrySettings(path), words, text);
    }
  } finally {
    await rm(directory, { recursive: true });
  }
});

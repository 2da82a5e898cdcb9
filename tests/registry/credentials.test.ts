import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createPlainServer } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { Cli } from '../../src/cli/cli.ts';
import { credentialsFor } from '../../src/cli/credentials.ts';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { gantryWords } from '../cli/command.ts';
import { TestImages } from '../images/image-store.ts';
import { has } from '../images/archive.ts';
import { MisbehavingRegistry } from './misbehaving-registry.ts';

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

describe('tokens', () => {
  /** A registry that wants tokens of its own `/token`; what was asked of that is kept. */
  async function open(life: number): Promise<{
    registry: MisbehavingRegistry & AsyncDisposable;
    asked: { method: string; authorization: string | undefined; text: string }[];
    /** Tokens up to this one are no longer good. */
    readonly revoke: () => void;
  }> {
    const registry = await MisbehavingRegistry.open();
    const asked: { method: string; authorization: string | undefined; text: string }[] = [];
    let revoked = 0;
    registry.answer = (request, response) => {
      const url = new URL(request.url!, `http://${registry.host}`);
      if (url.pathname === '/token') {
        const parts: Buffer[] = [];
        request.on('data', (part: Buffer) => parts.push(part));
        request.on('end', () => {
          const { method, headers } = request;
          asked.push({
            method: method!,
            authorization: headers.authorization,
            text: `${url.search}${Buffer.concat(parts).toString()}`,
          });
          const offline = url.searchParams.get('offline_token') === 'true';
          const token = { access_token: `t${asked.length}`, expires_in: life, ...(offline && { refresh_token: 'r1' }) };
          response.end(JSON.stringify(token));
        });
        return true;
      }
      const number = Number(/^Bearer t(\d+)$/.exec(request.headers.authorization ?? '')?.[1] ?? 0);
      if (number > revoked) return false;
      const realm = `http://${registry.host}/token`;
      response.writeHead(401, {
        'www-authenticate': `Bearer realm="${realm}",service="svc",scope="repository:app:pull"`,
      });
      response.end();
      return true;
    };
    return { registry, asked, revoke: () => void (revoked = asked.length) };
  }

  test('a login asks for an identity token, and a pull trades it for access by POST', async () => {
    const { registry, asked } = await open(300);
    await using _registry = registry;
    const client = new RegistryClient({ retryDelayMs: 1 });
    const remote = new RemoteImages(client);
    const answer = await remote.login({ username: 'u', password: 'p', serveraddress: registry.host });
    assert.deepEqual(answer, { Status: 'Login Succeeded', IdentityToken: 'r1' });
    assert.equal(asked[0]!.authorization, basic('u:p'));
    asked.length = 0;
    await using images = await TestImages.open({ registry: remote });
    await images.images.pull(`${registry.host}/app:1`, { auth: { username: '<token>', identitytoken: 'r1' } });
    assert.equal(asked.length, 1);
    const [{ method, authorization, text }] = asked as [(typeof asked)[0]];
    assert.deepEqual([method, authorization], ['POST', undefined]);
    const form = new URLSearchParams(text);
    assert.deepEqual(
      ['grant_type', 'refresh_token', 'service', 'scope'].map((name) => form.get(name)),
      ['refresh_token', 'r1', 'svc', 'repository:app:pull'],
    );
    client.close();
  });

  test('a token that the registry no longer takes is asked for anew', async () => {
    const { registry, asked, revoke } = await open(300);
    await using _registry = registry;
    const client = new RegistryClient({ retryDelayMs: 1 });
    await using images = await TestImages.open({ registry: new RemoteImages(client) });
    await images.images.pull(`${registry.host}/app:1`);
    assert.equal(asked.length, 1);
    assert.deepEqual([asked[0]!.method, asked[0]!.authorization], ['GET', undefined]);
    revoke();
    await images.images.pull(`${registry.host}/app:1`);
    assert.equal(asked.length, 2);
    client.close();
  });

  test('wrong credentials: docker’s words, and no secret in them', async () => {
    await using registry = await MisbehavingRegistry.open();
    registry.answer = (_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"', 'content-type': 'application/json' });
      response.end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}');
      return true;
    };
    const client = new RegistryClient({ retryDelayMs: 1 });
    await using images = await TestImages.open({ registry: new RemoteImages(client) });
    const auth = { username: 'someone', password: 'S3cret' };
    const error = await images.images
      .pull(`${registry.host}/app:1`, { auth, onProgress: images.onProgress })
      .catch((reason: Error) => reason);
    assert.ok(error instanceof Error);
    assert.match(
      error.message,
      /^pull access denied for .*\/app, repository does not exist or may require 'docker login'/,
    );
    assert.doesNotMatch(`${error.stack} ${images.said.join(' ')}`, /S3cret|U29tZW9uZTpTM2NyZXQ/i);
    assert.doesNotMatch(`${error.stack}`, new RegExp(Buffer.from('someone:S3cret').toString('base64')));
    client.close();
  });
});

describe('TLS', () => {
  /** A TLS server in front of a registry, with a certificate of its own authority; asks clients for theirs when told to. */
  async function open(
    registry: MisbehavingRegistry,
    requestCert: boolean,
  ): Promise<{ directory: string; host: string; peers: string[]; server: Server } & AsyncDisposable> {
    const directory = await mkdtemp(join(tmpdir(), 'gantry-tls-'));
    const openssl = (...words: string[]): void =>
      void execFileSync('openssl', words, { cwd: directory, stdio: 'ignore' });
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    openssl('req', '-x509', ...curve, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=authority');
    await writeFile(join(directory, 'names'), 'subjectAltName=IP:127.0.0.1\n');
    for (const name of ['server', 'client']) {
      openssl('req', ...curve.slice(0, 5), '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names'];
      openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.crt`, ...signed);
    }
    const read = (name: string): Promise<Buffer> => readFile(join(directory, name));
    const tls = { cert: await read('server.crt'), key: await read('server.key'), ca: await read('ca.crt') };
    const peers: string[] = [];
    const server = createServer({ ...tls, requestCert, rejectUnauthorized: requestCert }, (request, response) => {
      peers.push(String((request.socket as TLSSocket).getPeerCertificate()?.subject?.CN ?? ''));
      registry.handle(request, response);
    });
    await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    return {
      directory,
      host,
      peers,
      server,
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections();
        server.close();
        await rm(directory, { recursive: true });
      },
    };
  }

  async function pull(directory: string, toml: string): Promise<void> {
    await mkdir(join(directory, 'r.invalid'), { recursive: true });
    await writeFile(join(directory, 'r.invalid', 'hosts.toml'), toml);
    const client = new RegistryClient({ retryDelayMs: 1, certificateDirectories: [directory] });
    await using images = await TestImages.open({ registry: new RemoteImages(client) });
    try {
      await images.images.pull('r.invalid/app:1');
    } finally {
      client.close();
    }
  }

  test('an authority of a hosts file is trusted, another is not, and a client certificate is shown', async () => {
    await using registry = await MisbehavingRegistry.open();
    await using tls = await open(registry, true);
    const server = `server = "https://${tls.host}"\n`;
    await pull(tls.directory, `${server}ca = "../ca.crt"\nclient = [["../client.crt", "../client.key"]]\n`);
    assert.ok(tls.peers.length > 2 && tls.peers.every((name) => name === 'client'));
    tls.peers.length = 0;
    await assert.rejects(pull(tls.directory, `${server}ca = "../client.crt"\n`), {
      code: 'unavailable',
      message: /tls: failed to verify certificate/,
    });
    assert.deepEqual(tls.peers, []);
  });

  test('certificates of certs.d, as docker has them, are shown too', async () => {
    await using registry = await MisbehavingRegistry.open();
    await using tls = await open(registry, true);
    const folder = join(tls.directory, tls.host);
    await mkdir(folder);
    for (const [from, to] of [
      ['ca.crt', 'ca.crt'],
      ['client.crt', 'client.cert'],
      ['client.key', 'client.key'],
    ]) {
      await writeFile(join(folder, to!), await readFile(join(tls.directory, from!)));
    }
    const client = new RegistryClient({ retryDelayMs: 1, certificateDirectories: [tls.directory] });
    await using images = await TestImages.open({ registry: new RemoteImages(client) });
    await images.images.pull(`${tls.host}/app:1`);
    assert.ok(tls.peers.every((name) => name === 'client'));
    client.close();
  });

  test('a registry that has TLS is never spoken to without', async () => {
    const heard: string[] = [];
    const plain = createPlainServer((request, response) => {
      heard.push(request.url!);
      response.end('{}');
    });
    await new Promise<void>((resolve) => plain.listen({ host: '127.0.0.1', port: 0 }, resolve));
    const host = `127.0.0.1:${(plain.address() as AddressInfo).port}`;
    const directory = await mkdtemp(join(tmpdir(), 'gantry-plain-'));
    await assert.rejects(pull(directory, `server = "https://${host}"\n`), {
      code: 'unavailable',
      message: /HTTPS client/,
    });
    assert.deepEqual(heard, []);
    plain.closeAllConnections();
    plain.close();
    await rm(directory, { recursive: true });
  });
});

describe('credential helpers', () => {
  test('ours and docker’s login are each other’s, in a store and for one registry', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'gantry-helper-'));
    await using registry = await MisbehavingRegistry.open();
    registry.answer = (request, response) => {
      if (request.headers.authorization === basic('u:p')) return false;
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      return true;
    };
    try {
      // A helper that keeps what it is given in a file, as the protocol says.
      const helper = join(directory, 'docker-credential-lab');
      const kept = join(directory, 'kept.json');
      await writeFile(
        helper,
        `#!/bin/sh
case $1 in
  store) cat >'${kept}' ;;
  get) cat >/dev/null; if [ -f '${kept}' ]; then cat '${kept}'; else echo 'credentials not found in native keychain'; exit 1; fi ;;
  erase) cat >/dev/null; rm -f '${kept}' ;;
  list) echo '{}' ;;
esac
`,
        { mode: 0o755 },
      );
      const client = new RegistryClient({ retryDelayMs: 1 });
      const remote = new RemoteImages(client);
      // The engine's part of a login.
      const engine = createPlainServer((request, response) => {
        const parts: Buffer[] = [];
        request.on('data', (part: Buffer) => parts.push(part));
        request.on('end', () => {
          response.setHeader('api-version', '1.44');
          if (!request.url!.endsWith('/auth')) return void response.end('OK');
          remote.login(JSON.parse(Buffer.concat(parts).toString()) as object).then(
            (answer) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer)),
            (error: Error) => response.writeHead(401).end(JSON.stringify({ message: error.message })),
          );
        });
      });
      const socket = join(directory, 'd.sock');
      await new Promise<void>((resolve) => engine.listen(socket, resolve));
      const host = `unix://${socket}`;
      const env = {
        ...process.env,
        PATH: `${directory}:${process.env['PATH']}`,
        DOCKER_CONFIG: directory,
        DOCKER_HOST: host,
        GANTRY_HOST: host,
      };
      const login = async (program: string, ...before: string[]): Promise<void> => {
        const child = promisify(execFile)(program, [...before, 'login', '-u', 'u', '--password-stdin', registry.host], {
          env,
        });
        child.child.stdin!.end('p');
        await child;
      };
      const clients: [string, ...string[]][] = [[process.execPath, ...gantryWords]];
      if (has('docker')) clients.push(['docker']);
      for (const config of [{ credsStore: 'lab' }, { credHelpers: { [registry.host]: 'lab' } }]) {
        for (const one of clients) {
          await rm(kept, { force: true });
          await writeFile(join(directory, 'config.json'), JSON.stringify(config));
          await login(...(one as [string]));
          assert.deepEqual(JSON.parse(await readFile(kept, 'utf8')), {
            ServerURL: registry.host,
            Username: 'u',
            Secret: 'p',
          });
          assert.doesNotMatch(await readFile(join(directory, 'config.json'), 'utf8'), /"auth":/);
          // The other one finds it, and needs no password.
          for (const other of clients) {
            const [program, ...words] = other;
            const { stdout } = await promisify(execFile)(program, [...words, 'login', registry.host], { env });
            assert.match(stdout, /Login Succeeded/);
          }
        }
      }
      const [program, ...words] = clients[0]!;
      await promisify(execFile)(program, [...words, 'logout', registry.host], { env });
      await assert.rejects(readFile(kept), { code: 'ENOENT' });
      engine.closeAllConnections();
      engine.close();
      client.close();
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

test('credentialsFor() goes on without a helper that is not here, with what the file has', async () => {
  const told: string[] = [];
  const auths = { 'one.test': { auth: Buffer.from('u:p').toString('base64') } };
  const cli = { config: { document: { credsStore: 'not-here', auths } }, warn: (line: string) => told.push(line) };
  assert.deepEqual(await credentialsFor(cli as unknown as Cli, 'two.test'), {});
  assert.match(told.join(), /^WARNING: .*"docker-credential-not-here": executable file not found in \$PATH: going on/);
  assert.equal((await credentialsFor(cli as unknown as Cli, 'one.test')).password, 'p');
});

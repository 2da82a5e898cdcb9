import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { parseHostsFile } from '../../src/registry/client/hosts-file.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { TestImages } from '../images/image-store.ts';
import { MisbehavingRegistry } from './misbehaving-registry.ts';

/** An engine's images with a folder of `hosts.toml` files of its own. */
async function open(files: Record<string, string>): Promise<TestImages & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-hosts-'));
  for (const [folder, text] of Object.entries(files)) {
    await mkdir(join(directory, folder));
    await writeFile(join(directory, folder, 'hosts.toml'), text);
  }
  const client = new RegistryClient({ retryDelayMs: 1, certificateDirectories: [directory] });
  const images = await TestImages.open({ registry: new RemoteImages(client) });
  const close = images.close.bind(images);
  images.close = async () => {
    client.close();
    await close();
    await rm(directory, { recursive: true });
  };
  return images;
}

test('a mirror of any registry is asked first, told for whom, and named', async () => {
  await using mirror = await MisbehavingRegistry.open();
  const host = `registry.invalid:5000`;
  await using images = await open({
    'registry.invalid_5000_': `[host."http://${mirror.host}"]\ncapabilities = ["pull", "resolve"]\n[host."http://${mirror.host}".header]\nx-team = ["a"]\n`,
  });
  await images.images.pull(`${host}/app:1`, { auth: { username: 'u', password: 'p' }, onProgress: images.onProgress });
  assert.ok(images.said.includes(`Served by the mirror http://${mirror.host}`));
  const content = mirror.requests.filter(({ path }) => path !== '/v2/');
  assert.ok(content.length >= 3);
  for (const { path, headers } of content) {
    assert.match(path, /[?&]ns=registry\.invalid%3A5000$/);
    assert.equal(headers['x-team'], 'a');
    assert.equal(headers.authorization, undefined);
  }
  assert.deepEqual((await images.images.list())[0]!.RepoTags, [`${host}/app:1`]);
});

test('what a mirror cannot give comes from the next, a layer from where the first one broke off', async () => {
  const content = { file: randomBytes(200_000).toString('base64') };
  await using broken = await MisbehavingRegistry.open(content);
  await using registry = await MisbehavingRegistry.open(content);
  let cut = false;
  broken.answer = (request, response) => {
    if (!request.url!.includes(broken.layerDigest)) return false;
    if (cut) return void response.writeHead(404).end();
    cut = true;
    response.writeHead(200, { 'content-length': broken.layer.length });
    response.write(broken.layer.subarray(0, 50_000), () => setImmediate(() => response.destroy()));
    return true;
  };
  await using images = await open({
    [registry.host]: `[host."http://127.0.0.1:1"]\n[host."http://${broken.host}"]\n`,
  });
  await images.images.pull(`${registry.host}/app:1`, { onProgress: images.onProgress });
  assert.ok(images.said.some((line) => /^The mirror http:\/\/127\.0\.0\.1:1 is passed over: .*refused/.test(line)));
  assert.ok(images.said.some((line) => line.startsWith(`The mirror http://${broken.host} fails: `)));
  const [asked] = registry.layerRequests;
  assert.match(asked!.headers.range!, /^bytes=[1-9]\d*-$/);
  assert.equal(registry.layerRequests.length, 1);
});

test('a mirror without the image is passed over; the default file is for those without their own', async () => {
  await using empty = await MisbehavingRegistry.open();
  await using registry = await MisbehavingRegistry.open();
  empty.answer = (request, response) => request.url !== '/v2/' && (response.writeHead(404).end(), true);
  await using images = await open({ _default: `[host."${`http://${empty.host}`}"]\n` });
  await images.images.pull(`${registry.host}/app:1`, { onProgress: images.onProgress });
  assert.ok(images.said.some((line) => line.startsWith(`The mirror http://${empty.host} is passed over: `)));
  assert.ok(registry.layerRequests.length === 1);
});

test('a server of another name, with a prefix of its own, stands in for the registry', async () => {
  await using server = await MisbehavingRegistry.open();
  server.answer = (request, response) => {
    if (request.url === '/deep/prefix/') return void response.end('{}');
    if (request.url!.startsWith('/deep/prefix/app/')) {
      request.url = request.url!.replace('/deep/prefix/', '/v2/');
      return false;
    }
    response.writeHead(500).end();
    return true;
  };
  // The path is rewritten for the stand-in's own routes.
  const url = `http://${server.host}/deep/prefix`;
  await using images = await open({ 'r.invalid': `server = "${url}"\noverride_path = true\n` });
  await images.images.pull('r.invalid/app:1');
  assert.equal((await images.images.list()).length, 1);
});

test('a file that cannot be read as meant is refused with its name and what is wrong', async () => {
  const wrong = async (text: string): Promise<string> => {
    const error = await parseHostsFile(text, '/etc/x', '/etc/x/hosts.toml').catch((reason: Error) => reason);
    assert.ok(error instanceof Error, text);
    return error.message;
  };
  assert.match(await wrong('server ='), /^\/etc\/x\/hosts\.toml: /);
  assert.match(await wrong('[host."ftp://a"]'), /"ftp:\/\/a" is no http or https URL/);
  assert.match(await wrong('[host."a"]\ncapabilities = ["all"]'), /unknown capability "all"/);
  assert.match(await wrong('[host."a"]\nskip_verfiy = true'), /skip_verfiy is not known/);
  assert.match(await wrong('[host."a"]\n[host."a".header]\n"x y" = "1"'), /header x y is not valid/);
  assert.match(await wrong('[host."a"]\ndial_timeout = 3'), /dial_timeout must be a duration/);
  const { hosts, server } = await parseHostsFile(
    'server = "https://r"\n[host."m.lan:5000"]\nca = "ca.pem"\nclient = [["c.pem", "/k.pem"]]\ndial_timeout = "1.5s"\n',
    '/etc/x',
    '/etc/x/hosts.toml',
  );
  assert.equal(server!.url.href, 'https://r/');
  assert.deepEqual(hosts[0]!.ca, ['/etc/x/ca.pem']);
  assert.deepEqual(hosts[0]!.client, [['/etc/x/c.pem', '/k.pem']]);
  assert.equal(hosts[0]!.timeoutMs, 1500);
  assert.equal(hosts[0]!.url.href, 'https://m.lan:5000/');
});

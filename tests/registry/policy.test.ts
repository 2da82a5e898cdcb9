import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { RemoteImages } from '../../src/engine/images/remote-images.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { runInProcess } from '../cli/in-process.ts';
import { streamOf, tarOf } from '../images/archive.ts';
import { NOTHING, TestImages } from '../images/image-store.ts';
import { MisbehavingRegistry } from './misbehaving-registry.ts';
import { TestRegistry } from './test-registry.ts';

describe('the image policy', () => {
  let directory: string;
  let registry: TestRegistry;
  let name: string;
  let digest: string;
  let policyFile: string;
  const client = new RegistryClient({ retryDelayMs: 1 });
  const gantry = (...words: string[]): ReturnType<typeof runInProcess> =>
    runInProcess(words, {
      env: { DOCKER_CONFIG: directory, HOME: directory, GANTRY_TRUST_PASSWORD: 'S3cret' },
    });
  const open = (): Promise<TestImages> => TestImages.open({ registry: new RemoteImages(client), policyFile });
  const set = (policy: unknown): Promise<void> => writeFile(policyFile, JSON.stringify(policy));

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-policy-'));
    policyFile = join(directory, 'policy.json');
    registry = await TestRegistry.open();
    name = `${registry.host}/team/app`;
    await using images = await open();
    await images.images.import(streamOf(await tarOf({ file: 'text' })), { repository: name, tag: '1' });
    await images.images.push(`${name}:1`);
    digest = (await images.images.inspect(`${name}:1`)).RepoDigests[0]!.split('@')[1]!;
    for (const key of ['team', 'other']) {
      const made = await gantry('trust', 'keygen', '--dir', directory, key);
      assert.equal(made.code, 0, made.stderr);
    }
  });
  beforeEach(() => rm(policyFile, { force: true }));
  after(async () => {
    client.close();
    await registry[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  test('without a file everything goes, with a broken one nothing does', async () => {
    await using images = await open();
    await images.images.pull(`${name}:1`);
    await images.images.resolve(`${name}:1`);
    await writeFile(policyFile, '{"registries": "x"}');
    const broken = { code: 'invalid-argument', message: /policy\.json: registries must be a list/ };
    await assert.rejects(images.images.resolve(`${name}:1`), broken);
    await assert.rejects(images.images.pull(`${name}:1`), broken);
  });

  test('only allowed registries, at pull and at run; what was made here is nobody else’s', async () => {
    await using images = await open();
    await images.images.pull(`${name}:1`);
    await images.images.import(streamOf(await tarOf({ own: 'x' })), { repository: 'own' });
    await set({ registries: ['registry.example.com'] });
    const refused = { code: 'forbidden', message: /comes from none of the registries registry\.example\.com/ };
    await assert.rejects(images.images.pull(`${name}:1`), refused);
    await assert.rejects(images.images.resolve(`${name}:1`), refused);
    // Another name does not change where it came from.
    await images.images.tag(`${name}:1`, 'own', '2');
    await assert.rejects(images.images.resolve('own:2'), refused);
    await images.images.resolve('own');
    await set({ registries: [`${registry.host}/team`] });
    await images.images.resolve('own:2');
    await images.images.pull(`${name}:1`);
  });

  test('images named by digest alone, where that is asked for', async () => {
    await using images = await open();
    await set({ requireDigest: [registry.host] });
    await assert.rejects(images.images.pull(`${name}:1`), { code: 'forbidden', message: /by its digest/ });
    await images.images.pull(`${name}:1@${digest}`);
    await images.images.resolve(`${name}@${digest}`);
    const { Id } = await images.images.inspect(`${name}@${digest}`);
    await images.images.resolve(Id);
    await images.images.tag(Id, 'alias');
    await assert.rejects(images.images.resolve('alias'), {
      code: 'forbidden',
      message: new RegExp(`must be named by its digest: alias:latest@${digest}`),
    });
  });

  test('signed with a key that is trusted, or not at all: at pull, and at every run by what was kept', async () => {
    await set({ signatures: [{ images: `${registry.host}/team`, keys: ['team.pub'] }] });
    {
      await using images = await open();
      await assert.rejects(images.images.pull(`${name}:1`), { code: 'forbidden', message: /has no signature/ });
      assert.deepEqual(await images.contents(), NOTHING);
      const wrong = await gantry('trust', 'sign', '--key', join(directory, 'other.key'), `${name}:1`);
      assert.equal(wrong.stdout, `Signed ${name}@${digest}\n`, wrong.stderr);
      await assert.rejects(images.images.pull(`${name}:1`), { code: 'forbidden', message: /none of a key/ });
      const good = await gantry('trust', 'sign', '-a', 'by=ci', '--key', join(directory, 'team.key'), `${name}:1`);
      assert.equal(good.code, 0, good.stderr);
      await images.images.pull(`${name}:1`);
      await images.images.resolve(`${name}:1`);
      // Offline, and with the keys of now.
      await set({ signatures: [{ images: registry.host, keys: ['other.pub'] }] });
      await assert.rejects(images.images.resolve(`${name}:1`), { code: 'forbidden', message: /none of a key/ });
    }
    const verified = await gantry('trust', 'verify', '--key', join(directory, 'team.pub'), `${name}:1`);
    const [statement] = JSON.parse(verified.stdout) as { critical: { image: unknown }; optional: unknown }[];
    assert.deepEqual(statement!.critical.image, { 'docker-manifest-digest': digest });
    assert.deepEqual(statement!.optional, { by: 'ci' });
    const shown = await gantry('trust', 'inspect', `${name}:1`);
    assert.equal((JSON.parse(shown.stdout) as { Signatures: unknown[] }[])[0]!.Signatures.length, 2);
    // Both ways of keeping them are used.
    const referrers = (await (await fetch(`http://${registry.host}/v2/team/app/referrers/${digest}`)).json()) as {
      manifests: unknown[];
    };
    assert.equal(referrers.manifests.length, 2);
    await gantry('trust', 'keygen', '--dir', directory, 'third');
    const none = await gantry('trust', 'verify', '--key', join(directory, 'third.pub'), `${name}:1`);
    assert.equal(none.code, 1);
    assert.match(none.stderr, /no matching signatures .* it has 2, none of these keys/);
  });

  test('a signature of another image is none of this one', async () => {
    await using images = await open();
    await images.images.import(streamOf(await tarOf({ file: 'other' })), { repository: name, tag: 'other' });
    await images.images.push(`${name}:other`);
    const other = (await images.images.inspect(`${name}:other`)).RepoDigests[0]!.split('@')[1]!;
    await gantry('trust', 'sign', '--key', join(directory, 'team.key'), `${name}:1`);
    const tagOf = (of: string): string => `http://${registry.host}/v2/team/app/manifests/${of.replace(':', '-')}.sig`;
    const stolen = await (await fetch(tagOf(digest))).text();
    const type = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
    assert.equal((await fetch(tagOf(other), { method: 'PUT', headers: type, body: stolen })).status, 201);
    await set({ signatures: [{ images: '*', keys: ['team.pub'] }] });
    await using fresh = await open();
    await assert.rejects(fresh.images.pull(`${name}:other`), { code: 'forbidden', message: /none of a key/ });
    await assert.rejects(fresh.images.pull(`${name}@${other}`), { code: 'forbidden' });
  });

  test('keys: encrypted, private, not overwritten', async () => {
    assert.match(await readFile(join(directory, 'team.key'), 'utf8'), /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
    const again = await gantry('trust', 'keygen', '--dir', directory, 'team');
    assert.match(again.stderr, /team\.key exists/);
    const wrong = await runInProcess(['trust', 'sign', '--key', join(directory, 'team.key'), `${name}:1`], {
      env: { DOCKER_CONFIG: directory, HOME: directory, GANTRY_TRUST_PASSWORD: 'wrong' },
    });
    assert.match(wrong.stderr, /the password is wrong/);
    assert.doesNotMatch(wrong.stderr, /wrong'|S3cret/);
  });

  test('a slip in an official name is told, and refused where that is asked for', async () => {
    await using hub = await MisbehavingRegistry.open();
    hub.answer = (request, response) => {
      if (request.url === '/v2/') return false;
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
      return true;
    };
    const hosts = join(directory, 'hosts');
    const { mkdir } = await import('node:fs/promises');
    await mkdir(join(hosts, 'docker.io'), { recursive: true });
    await writeFile(join(hosts, 'docker.io', 'hosts.toml'), `server = "http://${hub.host}"\n`);
    const own = new RegistryClient({ retryDelayMs: 1, certificateDirectories: [hosts] });
    await using images = await TestImages.open({ registry: new RemoteImages(own), policyFile });
    const pull = (): Promise<void> => images.images.pull('pytohn:3.12', { onProgress: images.onProgress });
    await assert.rejects(pull(), { code: 'not-found', message: /not found.*\. Did you mean python\?$/ });
    assert.ok(images.said.includes('WARNING: pytohn:3.12 is no official image. Did you mean python?'));
    const asked = hub.requests.length;
    await set({ typos: 'refuse' });
    await assert.rejects(pull(), { code: 'forbidden', message: /did you mean python/ });
    assert.equal(hub.requests.length, asked);
    own.close();
  });
});

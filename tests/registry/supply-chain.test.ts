import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { gantryWords } from '../cli/command.ts';
import { has } from '../images/archive.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { TestRegistry } from './test-registry.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : !has('docker') && 'the docker CLI is not installed';
/** A cosign of version 3, which no stable Debian has: these tests check its recorded bundle otherwise (signature/bundle.test.ts). */
const cosign = process.env['GANTRY_TEST_COSIGN'] ?? 'cosign';
const noCosign = spawnSync(cosign, ['version']).status !== 0 && 'cosign is not installed';

interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('where images come from', { skip, concurrency: 1 }, () => {
  let directory = '';
  let policy = '';
  let name = '';
  let registry: TestRegistry;
  let daemon: DaemonProcess;

  const run = async (program: string, words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Said> => {
    try {
      const options = { env: { ...daemon.clientEnv, ...env }, cwd: directory };
      return { code: 0, ...(await promisify(execFile)(program, words, options)) };
    } catch (error) {
      return error as Said;
    }
  };
  const gantry = (...words: string[]): Promise<Said> =>
    run(process.execPath, [...gantryWords, ...words], { GANTRY_TRUST_PASSWORD: 'secret' });
  const ok = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await gantry(...words);
    assert.equal(code, 0, `${words.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  /** A new image of a name in the registry, and in the engine no more; gives its digest. */
  const publish = async (image: string, word: string): Promise<string> => {
    await writeFile(join(directory, 'Base'), `FROM busybox\nRUN echo ${word} > /word\n`);
    await ok('build', '-q', '--network', 'none', '-t', image, '-f', join(directory, 'Base'), directory);
    const pushed = await ok('push', image);
    await ok('rmi', '-f', image);
    return /digest: (sha256:[0-9a-f]{64})/.exec(pushed)![1]!;
  };
  const setPolicy = (document: unknown): Promise<void> => writeFile(policy, JSON.stringify(document));

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-supply-'));
    policy = join(directory, 'policy.json');
    registry = await TestRegistry.open();
    name = `${registry.host}/team/app`;
    await mkdir(join(directory, 'engine'));
    daemon = new DaemonProcess({ directory: join(directory, 'engine'), args: ['--image-policy', policy] });
    await daemon.start();
    await daemon.importBusybox();
    await ok('trust', 'keygen', 'team');
    await ok('trust', 'keygen', 'other');
  });

  after(async () => {
    await daemon.stop();
    await registry[Symbol.asyncDispose]();
    const { directory: own, bridge, cgroupParent } = daemon;
    assert.deepEqual(await leftBehind({ directory: own, bridge, cgroupParent }), []);
    await rm(directory, { recursive: true, force: true });
  });

  test('a signature is asked for at pull, run and build, in either form, of a key of the moment', async () => {
    const digest = await publish(`${name}:1`, 'first');
    await setPolicy({ signatures: [{ images: `${registry.host}/team`, keys: ['team.pub'] }] });
    const unsigned = await gantry('pull', `${name}:1`);
    assert.equal(unsigned.code, 1);
    assert.match(unsigned.stderr, /refused by the image policy .*: .*team\/app:1 has no signature/);
    assert.match((await gantry('trust', 'verify', '--key', 'team.pub', `${name}:1`)).stderr, /it has no signature/);

    await ok('trust', 'sign', '--key', 'other.key', `${name}:1`);
    assert.match((await gantry('pull', `${name}:1`)).stderr, /has 2 signatures, none of a key that is trusted for it/);
    assert.equal(
      await ok('trust', 'sign', '--key', 'team.key', '-a', 'by=ann', `${name}:1`),
      `Signed ${name}@${digest}\n`,
    );
    const [claim, ...more] = JSON.parse(await ok('trust', 'verify', '--key', 'team.pub', `${name}:1`)) as {
      critical: { image: Record<string, string>; identity: Record<string, string> };
      optional: Record<string, string>;
    }[];
    assert.equal(more.length, 0);
    assert.equal(claim!.critical.image['docker-manifest-digest'], digest);
    assert.equal(claim!.critical.identity['docker-reference'], name);
    assert.deepEqual(claim!.optional, { by: 'ann' });

    await ok('pull', `${name}:1`);
    await ok('run', '--rm', '--network', 'none', `${name}:1`, 'true');
    await writeFile(join(directory, 'Dockerfile'), `FROM ${name}:1\nCMD ["cat", "/word"]\n`);
    await ok('build', '-q', '--network', 'none', '-t', 'own', '-f', join(directory, 'Dockerfile'), directory);
    // With another key neither goes any more, and the network is not asked.
    await setPolicy({ signatures: [{ images: '*', keys: ['gone.pub'] }] });
    assert.match((await gantry('run', '--rm', `${name}:1`, 'true')).stderr, /gone\.pub/);
    await ok('trust', 'keygen', 'third');
    await setPolicy({ signatures: [{ images: '*', keys: ['third.pub'] }] });
    const ran = await gantry('run', '--rm', '--network', 'none', `${name}:1`, 'true');
    assert.equal(ran.code, 125);
    assert.match(ran.stderr, /none of a key that is trusted for it/);
    const built = await gantry(
      'build',
      '--no-cache',
      '--network',
      'none',
      '-t',
      'none',
      '-f',
      join(directory, 'Dockerfile'),
      directory,
    );
    assert.equal(built.code, 1);
    assert.match(`${built.stdout}${built.stderr}`, /none of a key that is trusted for it/);
    // What was made here came from no registry.
    await ok('run', '--rm', '--network', 'none', 'own', 'true');

    // Each form alone is enough: by the bundle, and by what older versions read.
    const referrers = (await (await fetch(`http://${registry.host}/v2/team/app/referrers/${digest}`)).json()) as {
      manifests: { digest: string; artifactType: string; annotations?: Record<string, string> }[];
    };
    const bundles = referrers.manifests.filter(({ artifactType }) => artifactType.includes('sigstore.bundle.v0.3'));
    assert.equal(bundles.length, 2);
    assert.equal(bundles[0]!.annotations!['dev.sigstore.bundle.predicateType'], 'https://sigstore.dev/cosign/sign/v1');
    const others = referrers.manifests.filter((one) => !bundles.includes(one));
    const remove = async (reference: string): Promise<void> => {
      const { status } = await fetch(`http://${registry.host}/v2/team/app/manifests/${reference}`, {
        method: 'DELETE',
      });
      assert.equal(status, 202, reference);
    };
    for (const one of others) await remove(one.digest);
    const tag = `http://${registry.host}/v2/team/app/manifests/${digest.replace(':', '-')}.sig`;
    await remove((await fetch(tag)).headers.get('docker-content-digest')!);
    await ok('trust', 'verify', '--key', 'team.pub', `${name}:1`);
    await setPolicy({ signatures: [{ images: '*', keys: ['team.pub'] }] });
    await ok('rmi', '-f', `${name}:1`);
    await ok('pull', `${name}:1`);
    for (const one of bundles) await remove(one.digest);
    assert.equal((await gantry('trust', 'verify', '--key', 'team.pub', `${name}:1`)).code, 1);
    await ok('rmi', '-f', `${name}:1`);
    await setPolicy({});
  });

  test('names by digest, where the policy wants that; names that are slips are told or refused', async () => {
    const digest = await publish(`${name}:pinned`, 'pinned');
    await ok('pull', `${name}:pinned`);
    await setPolicy({ requireDigest: [registry.host] });
    const ran = await gantry('run', '--rm', '--network', 'none', `${name}:pinned`, 'true');
    assert.equal(ran.code, 125);
    assert.match(ran.stderr, new RegExp(`must be named by its digest: ${name}:pinned@${digest}`));
    assert.equal((await gantry('pull', `${name}:pinned`)).code, 1);
    await ok('pull', `${name}@${digest}`);
    await ok('run', '--rm', '--network', 'none', `${name}@${digest}`, 'true');

    await setPolicy({ typos: 'refuse' });
    const refused = await gantry('pull', 'pytohn:3.12');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /refused by the image policy .*did you mean python\?/);
    await setPolicy({});
    const told = await gantry('pull', 'pytohn:3.12');
    assert.match(`${told.stdout}${told.stderr}`, /WARNING: pytohn:3\.12 is no official image\. Did you mean python\?/);
    await writeFile(policy, '{"registries": 1}');
    assert.match((await gantry('pull', `${name}:pinned`)).stderr, /policy\.json/);
    await setPolicy({});
  });

  test('what comes from another registry is not pulled, run nor built upon, and a build needs digests too', async () => {
    const digest = await publish(`${name}:elsewhere`, 'elsewhere');
    await ok('pull', `${name}:elsewhere`);
    const build = async (from: string): Promise<{ code: number | null; said: string }> => {
      await writeFile(join(directory, 'Dockerfile'), `FROM ${from}\nLABEL a=b\n`);
      const words = ['-q', '--no-cache', '-t', 'made', '-f', join(directory, 'Dockerfile'), directory];
      const { code, stdout, stderr } = await gantry('build', ...words);
      return { code, said: `${stdout}${stderr}` };
    };
    await setPolicy({ registries: ['registry.example.com'] });
    const words = /refused by the image policy .* comes from none of the registries registry\.example\.com/;
    const pulled = await gantry('pull', `${name}:elsewhere`);
    assert.deepEqual([pulled.code, words.test(pulled.stderr)], [1, true], pulled.stderr);
    const ran = await gantry('run', '--rm', '--network', 'none', `${name}:elsewhere`, 'true');
    assert.deepEqual([ran.code, words.test(ran.stderr)], [125, true], ran.stderr);
    const built = await build(`${name}:elsewhere`);
    assert.deepEqual([built.code, words.test(built.said)], [1, true], built.said);

    await setPolicy({ registries: [`${registry.host}/team`], requireDigest: true });
    const pin = new RegExp(`must be named by its digest: ${name}:elsewhere@${digest}`);
    const unpinned = await build(`${name}:elsewhere`);
    assert.deepEqual([unpinned.code, pin.test(unpinned.said)], [1, true], unpinned.said);
    await ok('pull', `${name}@${digest}`);
    assert.equal((await build(`${name}@${digest}`)).code, 0);
    await ok('run', '--rm', '--network', 'none', `${name}@${digest}`, 'true');
    await setPolicy({});
    await ok('rmi', '-f', 'made', `${name}:elsewhere`);
  });

  test('a key that is not there, is locked or of another kind is refused with what to do', async () => {
    const sign = (...words: string[]): Promise<Said> => gantry('trust', 'sign', ...words);
    assert.match((await sign(`${name}:1`)).stderr, /name the private key: --key FILE/);
    assert.match((await sign('--key', 'none.key', `${name}:1`)).stderr, /cannot read the key none\.key/);
    await writeFile(join(directory, 'cosign.key'), '-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n');
    assert.match((await sign('--key', 'cosign.key', `${name}:1`)).stderr, /in a form that only cosign reads/);
    const wrong = await run(process.execPath, [...gantryWords, 'trust', 'sign', '--key', 'team.key', `${name}:1`], {
      GANTRY_TRUST_PASSWORD: 'wrong',
    });
    assert.match(wrong.stderr, /the password is wrong/);
    assert.match((await gantry('trust', 'keygen', 'team')).stderr, /team\.key exists/);
    assert.match(await readFile(join(directory, 'team.key'), 'utf8'), /ENCRYPTED/);
  });

  test('cosign verifies what we signed, and we what cosign signed', { skip: noCosign }, async () => {
    const image = `${name}:cosign`;
    await publish(image, 'cosign');
    const env = { COSIGN_PASSWORD: 'x', HOME: directory };
    await ok('trust', 'sign', '--key', 'team.key', image);
    const how = ['--insecure-ignore-tlog=true', '--allow-insecure-registry'];
    const verified = await run(cosign, ['verify', '--key', 'team.pub', ...how, image], env);
    assert.equal(verified.code, 0, verified.stderr);
    const old = await run(cosign, ['verify', '--new-bundle-format=false', '--key', 'team.pub', ...how, image], env);
    assert.equal(old.code, 0, old.stderr);
    assert.notEqual((await run(cosign, ['verify', '--key', 'other.pub', ...how, image], env)).code, 0);
    await run(cosign, ['generate-key-pair', '--output-key-prefix', 'theirs'], env);
    const signing = ['sign', '--key', 'theirs.key', '--tlog-upload=false', '--use-signing-config=false', '-y'];
    const signed = await run(cosign, [...signing, '--allow-insecure-registry', image], env);
    assert.equal(signed.code, 0, signed.stderr);
    await ok('trust', 'verify', '--key', 'theirs.pub', image);
    await setPolicy({ signatures: [{ images: '*', keys: ['theirs.pub'] }] });
    await ok('pull', image);
    await ok('run', '--rm', '--network', 'none', image, 'true');
    await setPolicy({});
  });
});

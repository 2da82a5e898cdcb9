import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { gantryWords } from '../cli/command.ts';
import { has } from '../images/archive.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { TestRegistry } from './test-registry.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : !has('docker') && 'the docker CLI is not installed';

test('what is locked is built, pulled and composed, whatever the tags mean since', { skip }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-lock-'));
  const policy = join(directory, 'policy.json');
  const daemon = new DaemonProcess({ directory: join(directory, 'engine'), args: ['--image-policy', policy] });
  await using registry = await TestRegistry.open();
  const app = join(directory, 'app');
  await mkdir(app);
  const gantry = async (...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> => {
    try {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [...gantryWords, ...words], {
        env: daemon.clientEnv,
        cwd: app,
      });
      return { code: 0, stdout, stderr };
    } catch (error) {
      return error as { code: number; stdout: string; stderr: string };
    }
  };
  const ok = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await gantry(...words);
    assert.equal(code, 0, `${words.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  const base = `${registry.host}/team/base:1`;
  /** A new base under the same tag; gives its digest. Nothing of it stays in the engine. */
  const publish = async (word: string): Promise<string> => {
    await writeFile(join(directory, 'Base'), `FROM busybox\nRUN echo ${word} > /word\n`);
    await ok('build', '-q', '--network', 'none', '-t', base, '-f', join(directory, 'Base'), app);
    const pushed = await ok('push', base);
    await ok('rmi', '-f', base);
    return /digest: (sha256:[0-9a-f]{64})/.exec(pushed)![1]!;
  };
  try {
    await daemon.start();
    await daemon.importBusybox();
    const first = await publish('first');
    await writeFile(
      join(app, 'Dockerfile'),
      `ARG VERSION=1\nFROM ${base.slice(0, -1)}\${VERSION} AS base\nFROM base\nCMD ["cat", "/word"]\n`,
    );
    const services = { app: { build: { context: app } }, base: { image: base } };
    await writeFile(join(app, 'compose.yaml'), JSON.stringify({ name: 'locked', services }));

    const none = await gantry('build', '--locked', '.');
    assert.match(none.stderr, /there is no lock Dockerfile\.lock: `gantry lock` writes it/);
    assert.equal((await gantry('lock', '--check')).code, 1);
    assert.equal(await ok('lock'), `compose.lock:\n+ ${base} ${first}\nDockerfile.lock:\n+ ${base} ${first}\n`);
    assert.deepEqual(JSON.parse(await readFile(join(app, 'Dockerfile.lock'), 'utf8')), {
      lockVersion: 1,
      images: { [base]: first },
    });
    await ok('lock', '--check');

    const second = await publish('second');
    assert.notEqual(second, first);
    await ok('build', '-q', '--locked', '-t', 'locked-app', '.');
    assert.equal(await ok('run', '--rm', '--network', 'none', 'locked-app'), 'first\n');
    await ok('build', '-q', '-t', 'free-app', '.');
    assert.equal(await ok('run', '--rm', '--network', 'none', 'free-app'), 'second\n');
    const config = await ok('compose', '--locked', 'config', '--images');
    assert.ok(config.includes(`${base}@${first}`), config);
    await ok('compose', '--locked', 'build', '-q', 'app');
    assert.equal(await ok('run', '--rm', '--network', 'none', 'locked-app'), 'first\n');
    await ok('pull', '--locked', base);
    assert.equal(await ok('run', '--rm', '--network', 'none', base, 'cat', '/word'), 'first\n');

    // A name that the lock does not have.
    await writeFile(join(app, 'Dockerfile.other'), `FROM ${base}\nCOPY --from=other:1 /a /b\n`);
    await writeFile(join(app, 'Dockerfile.other.lock'), await readFile(join(app, 'Dockerfile.lock')));
    const other = await gantry('build', '--locked', '-f', 'Dockerfile.other', '.');
    assert.match(other.stderr, /other:1 is not in Dockerfile\.other\.lock/);
    assert.match((await gantry('pull', '--locked', 'nginx')).stderr, /no lock in this directory has nginx:latest/);

    const stale = await gantry('lock', 'update', '--check', 'Dockerfile');
    assert.equal(stale.code, 1);
    assert.equal(stale.stdout, `Dockerfile.lock:\n- ${base} ${first}\n+ ${base} ${second}\n`);
    await ok('lock', 'update');
    assert.match(await readFile(join(app, 'compose.lock'), 'utf8'), new RegExp(second));
    assert.match(await ok('lock', 'update'), /1 images, nothing changed/);
    await writeFile(join(app, 'Dockerfile.lock'), '{"lockVersion": 2}');
    assert.match((await gantry('lock')).stderr, /Dockerfile\.lock is no lock file: lock version 2 is not known/);
    // The policy is the engine's: for what is run and what is built upon.
    await ok('pull', base);
    await writeFile(policy, '{"registries": ["registry.example.com"]}');
    const refused = /refused by the image policy .*: .* comes from none of the registries registry\.example\.com/;
    const ran = await gantry('run', '--rm', '--network', 'none', base, 'true');
    assert.deepEqual([ran.code, refused.test(ran.stderr)], [125, true], ran.stderr);
    const built = await gantry('build', '-t', 'refused', '--no-cache', '.');
    assert.equal(built.code, 1);
    assert.match(`${built.stdout}${built.stderr}`, refused);
    const pulled = await gantry('pull', base);
    assert.deepEqual([pulled.code, refused.test(pulled.stderr)], [1, true], pulled.stderr);
    assert.equal(await ok('run', '--rm', '--network', 'none', 'busybox', 'echo', 'own'), 'own\n');
    await daemon.stop();
    const { directory: own, bridge, cgroupParent } = daemon;
    assert.deepEqual(await leftBehind({ directory: own, bridge, cgroupParent }), []);
  } finally {
    await daemon.stop();
    await rm(directory, { recursive: true, force: true });
  }
});

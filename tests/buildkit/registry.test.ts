/** What leaves the machine by buildx: pushes, indexes, attestations, caches; checked in the registry, and in a second engine's place. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestRegistry } from '../registry/test-registry.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { pluginDirectory } from './plugins.ts';

interface Index {
  readonly manifests: readonly {
    readonly digest: string;
    readonly platform?: { readonly os: string; readonly architecture: string };
    readonly annotations?: Readonly<Record<string, string>>;
  }[];
}

const directory = mkdtempSync(join(tmpdir(), 'gantry-push-'));
const daemon = new DaemonProcess({ directory, args: ['--insecure-registry', '127.0.0.0/8'] });
const plugins = pluginDirectory();
const context = join(directory, 'context');
let registry: TestRegistry;

const buildx = (...args: readonly string[]): Promise<string> => docker('buildx', ...args);
const compose = (...args: readonly string[]): Promise<string> => docker('compose', '-p', 'registry-test', ...args);

function docker(...args: readonly string[]): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn('docker', args, {
    cwd: context,
    env: { ...daemon.clientEnv, DOCKER_CONFIG: join(directory, 'docker'), BUILDX_GIT_INFO: 'false' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.once('close', (code) => {
    const text = Buffer.concat(chunks).toString();
    if (code === 0) resolve(text);
    else reject(new Error(`docker ${args.join(' ')}: ${code}\n${text}`));
  });
  return promise;
}

const build = (...args: readonly string[]): Promise<string> => buildx('build', '--progress=plain', ...args, '.');

async function manifest(name: string): Promise<unknown> {
  const [repository, tag] = name.split(':');
  const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json';
  const answer = await fetch(`http://${registry.host}/v2/${repository}/manifests/${tag}`, { headers: { accept } });
  assert.equal(answer.status, 200, name);
  return answer.json();
}

describe(
  'buildx and registries',
  { skip: plugins === undefined ? 'buildx could not be had: see tools/setup-tests.sh' : false, concurrency: 1 },
  () => {
    before(async () => {
      mkdirSync(context);
      mkdirSync(join(directory, 'docker'));
      writeFileSync(join(directory, 'docker/config.json'), JSON.stringify({ cliPluginsExtraDirs: [plugins] }));
      writeFileSync(join(context, 'a.txt'), 'hello\n');
      writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nCOPY a.txt /a\nRUN cat /a >/b\n');
      registry = await TestRegistry.open();
      await daemon.start();
      await daemon.importBusybox();
    });
    after(async () => {
      await daemon.stop();
      await registry[Symbol.asyncDispose]();
      await nothingLeft(daemon);
    });

    test('--push brings the image and says which', async () => {
      const name = `${registry.host}/app:1`;
      await build('-t', name, '--push', '--provenance=false');
      assert.match(JSON.stringify(await manifest('app:1')), /"layers":/);
      assert.match(await buildx('imagetools', 'inspect', name), /Digest:\s+sha256:/);
    });

    test('two platforms become an index of two', async () => {
      writeFileSync(join(context, 'Many'), 'FROM scratch\nCOPY a.txt /\n');
      const platforms = ['--platform', 'linux/amd64,linux/arm64', '--provenance=false'];
      await build('-f', 'Many', ...platforms, '-t', `${registry.host}/many:1`, '--push');
      const { manifests } = (await manifest('many:1')) as Index;
      assert.deepEqual(new Set(manifests.map(({ platform }) => platform?.architecture)), new Set(['amd64', 'arm64']));
    });

    test('an SBOM and provenance stand beside the image', async () => {
      const name = `${registry.host}/said:1`;
      await build('--sbom=true', '--provenance=mode=max', '-t', name, '--push');
      const { manifests } = (await manifest('said:1')) as Index;
      const said = manifests.filter(
        ({ annotations }) => annotations?.['vnd.docker.reference.type'] === 'attestation-manifest',
      );
      assert.equal(said.length, 1);
      assert.match(await buildx('imagetools', 'inspect', name, '--format', '{{ json .SBOM }}'), /SPDXRef-DOCUMENT/);
      assert.match(
        await buildx('imagetools', 'inspect', name, '--format', '{{ json .Provenance }}'),
        /buildDefinition/,
      );
    });

    test('caches in a registry and in a directory of the client are written, and read where nothing else is known', async () => {
      const cache = `${registry.host}/cache:1`;
      const local = join(directory, 'cache');
      await build('--cache-to', `type=registry,ref=${cache},mode=max`);
      await build('-o', 'type=cacheonly', '--cache-to', `type=local,dest=${local},mode=max`);
      assert.deepEqual(readdirSync(local).includes('index.json'), true);
      for (const source of [`type=registry,ref=${cache}`, `type=local,src=${local}`]) {
        await buildx('prune', '-af');
        const printed = await build('--cache-from', source, '-t', 'cached');
        assert.equal(printed.match(/^#\d+ CACHED$/gm)?.length, 3, `${source}\n${printed}`);
      }
    });

    test('indexes are made of what is there', async () => {
      const [one, all] = [`${registry.host}/parts:1`, `${registry.host}/parts:all`];
      await build('-t', one, '--push', '--provenance=false');
      await buildx('imagetools', 'create', '-t', all, one);
      const { manifests } = (await manifest('parts:all')) as Index;
      assert.equal(manifests.length, 1);
      assert.match(await buildx('imagetools', 'inspect', '--raw', all), /"manifests"/);
    });

    test('Compose pushes and pulls', async () => {
      const image = `${registry.host}/composed:1`;
      const project = `services:\n  web:\n    image: ${image}\n    build: .\n`;
      writeFileSync(join(context, 'compose.yaml'), project);
      await compose('build');
      await compose('push');
      assert.match(JSON.stringify(await manifest('composed:1')), /"layers":/);
      await docker('rmi', image);
      await compose('pull');
      assert.match(await docker('image', 'inspect', '-f', '{{.Id}}', image), /^sha256:/);
    });

    test('a cache within the image is found where nothing else is known', async () => {
      const name = `${registry.host}/inline:1`;
      await build('-t', name, '--cache-to', 'type=inline', '--push', '--provenance=false');
      await buildx('prune', '-af');
      const printed = await build('--cache-from', `type=registry,ref=${name}`, '-t', 'inlined');
      assert.equal(printed.match(/^#\d+ CACHED$/gm)?.length, 3, printed);
    });

    test('several outputs of one build: the store, a registry, files, archives of both forms', async () => {
      const place = mkdtempSync(join(directory, 'outputs-'));
      const out = (type: string, attributes: string): string[] => ['-o', `type=${type},${attributes}`];
      await build(
        '--provenance=false',
        ...out('image', 'name=several:1'),
        ...out('image', `name=${registry.host}/several:1,push=true`),
        ...out('local', `dest=${place}/files`),
        ...out('tar', `dest=${place}/files.tar`),
        ...out('oci', `dest=${place}/oci.tar,name=several:oci`),
        ...out('docker', `dest=${place}/docker.tar,name=several:docker`),
      );
      assert.match(await docker('image', 'inspect', '-f', '{{.Id}}', 'several:1'), /^sha256:/);
      assert.match(JSON.stringify(await manifest('several:1')), /"layers":/);
      assert.equal(readFileSync(join(place, 'files/b'), 'utf8'), 'hello\n');
      const list = (name: string): string => execFileSync('tar', ['-tf', join(place, name)], { encoding: 'utf8' });
      assert.match(list('files.tar'), /^(\.\/)?b$/m);
      assert.match(list('oci.tar'), /^index\.json$/m);
      assert.match(list('docker.tar'), /^manifest\.json$/m);
      await docker('rmi', 'several:1');
      for (const form of ['oci', 'docker']) {
        await docker('load', '-i', join(place, `${form}.tar`));
        assert.match(await docker('run', '--rm', '--network=none', `several:${form}`, 'cat', '/b'), /^hello/);
      }
    });

    test('a step has the keys of a real ssh agent, and no other has', async () => {
      const socket = join(directory, 'agent');
      const key = join(directory, 'key');
      const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
      try {
        while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 20));
        execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'of-the-test', '-f', key]);
        execFileSync('ssh-add', ['-q', key], { env: { ...process.env, SSH_AUTH_SOCK: socket } });
        // The image has no program that speaks to an agent: the host's own, with what it needs.
        const libraries = execFileSync('ldd', ['/usr/bin/ssh-add'], { encoding: 'utf8' });
        const files = ['/usr/bin/ssh-add', ...[...libraries.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path!)];
        execFileSync('tar', ['-chf', join(context, 'ssh.tar'), ...files], { stdio: 'ignore' });
        writeFileSync(
          join(context, 'Ssh'),
          'FROM busybox\nADD ssh.tar /\nRUN --mount=type=ssh,required=true ssh-add -l\nRUN test -z "$SSH_AUTH_SOCK"\n',
        );
        const printed = await build('-f', 'Ssh', '--ssh', `default=${socket}`);
        assert.match(printed, /256 SHA256:\S+ of-the-test \(ED25519\)/);
      } finally {
        agent.kill();
      }
      await assert.rejects(build('-f', 'Ssh', '--no-cache', '--ssh', `default=${join(directory, 'nosuch')}`));
    });

    test('a registry that is not there fails the build with its address', async () => {
      await assert.rejects(build('-t', '127.0.0.1:1/x:1', '--push'), /failed to solve.*127\.0\.0\.1:1/s);
    });
  },
);

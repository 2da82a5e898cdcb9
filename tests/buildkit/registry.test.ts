/** What leaves the machine by buildx: pushes, indexes, attestations, caches; checked in the registry, and in a second engine's place. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestRegistry } from '../registry/test-registry.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
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
      const left = await leftBehind(daemon);
      rmSync(directory, { recursive: true, force: true });
      assert.deepEqual(left, []);
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
      await build('--cache-to', `type=local,dest=${local},mode=max`);
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

    test('a registry that is not there fails the build with its address', async () => {
      await assert.rejects(build('-t', '127.0.0.1:1/x:1', '--push'), /failed to solve.*127\.0\.0\.1:1/s);
    });
  },
);

/** Projects as artifacts in a registry: published, read back, run, and exchanged with Docker's Compose. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { sha256 } from '../../src/oci/digest.ts';
import { runInProcess } from '../cli/in-process.ts';
import { pluginDirectory } from '../buildkit/plugins.ts';
import { TestRegistry } from '../registry/test-registry.ts';
import { has } from '../images/archive.ts';
import { ComposeBench, OBEYS, Running, type TestProject } from './support.ts';

const bench = new ComposeBench();
let registry: TestRegistry;
before(async () => {
  await bench.start();
  registry = await TestRegistry.open();
});
after(async () => {
  await registry[Symbol.asyncDispose]();
  await bench.close();
});

interface Layer {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations: Readonly<Record<string, string>>;
}

async function manifestOf(name: string): Promise<{ artifactType?: string; config: Layer; layers: Layer[] }> {
  const answer = await fetch(`http://${registry.host}/v2/${name.replace(':', '/manifests/')}`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  });
  return (await answer.json()) as { artifactType?: string; config: Layer; layers: Layer[] };
}

async function contentOf(repository: string, { digest }: Layer): Promise<string> {
  return (await fetch(`http://${registry.host}/v2/${repository}/blobs/${digest}`)).text();
}

/** Two files that are merged, one that is extended and extends a third, env files beside each: named in every form. */
const SHOP = {
  'compose.yaml': `name: shop
x-env: &env
  env_file: web.env # of everybody
services:
  web:
    <<: *env
    image: busybox
    command: [echo, "\${GREETING:-hello}"]
    extends: {file: "base/service.yaml", service: web}
  db:
    image: busybox
    env_file:
      - path: ./\${KIND:-db}.env
      - {path: absent.env, required: false}
`,
  'more.yaml': `services:\n  web:\n    labels: {over: "1"}\n`,
  'base/service.yaml': `services:
  web:
    extends:
      service: root
      file: root.yaml
    env_file: base.env
`,
  'base/root.yaml': `services: {root: {image: none, labels: {root: "1"}}}\n`,
  'base/base.env': 'BASE=1\n',
  'web.env': 'WEB=1\n',
  'db.env': 'DB=1\n',
};

async function configOf(project: TestProject, ...words: string[]): Promise<string> {
  return model((await project.run(...words, 'config')).stdout);
}

/** Without extensions: what is called otherwise in an artifact is so there, too. */
function model(text: string): string {
  return text.replace(/^x-env:\n(?: .*\n)*/m, '');
}

/** The model of an artifact, read where there is no project. */
async function configOfArtifact(address: string): Promise<string> {
  const ended = await runInProcess(['compose', '-f', address, 'config'], { env: bench.env });
  assert.equal(ended.code, 0, ended.stderr);
  return model(ended.stdout);
}

test('what was published is the same project, wherever it is read', async () => {
  const shop = bench.project('shop', SHOP);
  const files = ['-f', join(shop.directory, 'compose.yaml'), '-f', join(shop.directory, 'more.yaml')];
  const { stdout } = await shop.run(...files, 'publish', '-y', '--with-env', `${registry.host}/shop:1`);
  assert.match(stdout, /^sha256:[0-9a-f]{64}\n$/);
  const { artifactType, config, layers } = await manifestOf('shop:1');
  assert.equal(artifactType, 'application/vnd.docker.compose.project');
  assert.equal(config.mediaType, 'application/vnd.oci.empty.v1+json');
  const kinds = layers.map(({ mediaType, annotations }) => [
    mediaType.replace('application/vnd.docker.compose.', ''),
    annotations['com.docker.compose.extends'] ?? '',
    String(Object.keys(annotations).length),
  ]);
  assert.deepEqual(kinds.map((kind) => kind.join(' ')).sort(), [
    'envfile  2',
    'envfile  2',
    'envfile  2',
    'file+yaml  2',
    'file+yaml  2',
    'file+yaml true 3',
    'file+yaml true 3',
  ]);
  // All else is as it is written, comments too.
  const first = layers.find(({ annotations }) => annotations['com.docker.compose.file'] === 'compose.yaml')!;
  assert.match(
    await contentOf('shop', first),
    /^name: shop\nx-env: &env\n {2}env_file: [0-9a-f]{64}\.env # of everybody\nservices:[^]*\{file: [0-9a-f]{64}\.yaml, service: web\}/,
  );

  const elsewhere = bench.project('elsewhere', { 'compose.yaml': `include: ["oci://${registry.host}/shop:1"]\n` });
  const wanted = await configOf(shop, ...files);
  assert.equal(await configOfArtifact(`oci://${registry.host}/shop:1`), wanted);
  // Included, the project is the including one's.
  assert.equal(await configOf(elsewhere), wanted.replaceAll('shop', 'elsewhere'));
  // By its digest it needs no registry any more.
  assert.equal(await configOfArtifact(`oci://localhost:1/shop@${stdout.trim()}`), wanted);

  await shop.run('publish', '-y', '--with-env', '--oci-version', '1.0', `${registry.host}/shop:old`);
  const old = await manifestOf('shop:old');
  assert.equal(old.artifactType, undefined);
  assert.equal(old.config.mediaType, 'application/vnd.docker.compose.config.empty.v1+json');
  assert.match(await configOfArtifact(`oci://${registry.host}/shop:old`), /^name: shop/);
});

test('nothing is published that must not be, or that nobody agreed to', async () => {
  const project = bench.project('shy', {
    'compose.yaml': `services:
  a: {image: busybox, environment: {PASSWORD: hunter2}, volumes: ["./data:/data"]}
`,
    'keys.yaml': `services: {a: {image: busybox, command: [echo, "AKIAIOSFODNN7EXAMPLE"]}}\n`,
    'built.yaml': `services: {a: {build: .}}\n`,
    'including.yaml': `include: [keys.yaml]\n`,
  });
  const publish = async (stdin: string, ...words: string[]): Promise<{ code: number; stderr: string }> => {
    return runInProcess(['compose', '--project-directory', project.directory, ...words], { env: bench.env, stdin });
  };
  const target = `${registry.host}/shy:1`;
  const file = (name: string): string[] => ['-f', join(project.directory, name)];
  for (const [stdin, words, code, says] of [
    ['', ['publish', '-y', target], 1, /service "a" has environment variable\(s\) declared[^]*--with-env/],
    ['', ['publish', '--with-env', target], 0, /PASSWORD=hunter2\nnothing was published/],
    ['', [...file('keys.yaml'), 'publish', target], 0, /keys\.yaml:1: an access key of AWS\nnothing was published/],
    ['', [...file('built.yaml'), 'publish', '-y', target], 1, /give the services a an image/],
    ['', [...file('including.yaml'), 'publish', '-y', target], 1, /includes local ones/],
    ['', ['publish', '-y', '--with-env', '--oci-version', '3', target], 1, /unsupported OCI version "3"/],
    ['', ['publish', '-y', '--with-env', 'Not A Name'], 1, /invalid reference format/],
    ['', ['--dry-run', 'publish', '-y', '--with-env', target], 0, /DRY-RUN MODE -  Project .*shy:1  Publishing/],
  ] as const) {
    const ended = await publish(stdin, ...words);
    assert.equal(ended.code, code, `${words.join(' ')}: ${ended.stderr}`);
    assert.match(ended.stderr, says, words.join(' '));
  }
  assert.equal((await fetch(`http://${registry.host}/v2/shy/manifests/1`)).status, 404);
});

test('an artifact of images runs with the images that it was published with', async () => {
  const image = `${registry.host}/app:1`;
  await bench.docker('tag', 'busybox', image);
  await bench.docker('push', image);
  const project = bench.project('whole', {
    'compose.yaml': `name: whole\nservices:\n  a: {image: "${image}", network_mode: none, command: [sh, -c, "${OBEYS}"]}\n  b: {image: "${image}", network_mode: none, scale: 0}\n`,
  });
  const { stdout: locked } = await project.run('config', '--lock-image-digests');
  assert.match(locked, new RegExp(`^services:\n  a:\n    image: ${image}@sha256:[0-9a-f]{64}\n  b:\n    image: .*\n$`));
  const pinned = /app:1@sha256:[0-9a-f]{64}/.exec(locked)![0];
  assert.match(await configOf(project), /image: .*app:1\n/);
  assert.ok((await project.run('config', '--resolve-image-digests')).stdout.includes(pinned));
  const { stdout: digest } = await project.run('publish', '--app', `${registry.host}/whole:1`);
  const referrers = await fetch(`http://${registry.host}/v2/whole/referrers/${digest.trim()}`);
  assert.equal(((await referrers.json()) as { manifests: object[] }).manifests.length, 1);
  const there = await fetch(`http://${registry.host}/v2/whole/manifests/${pinned.split('@')[1]}`);
  assert.equal(there.status, 200, 'its image is beside it');

  const address = `oci://${registry.host}/whole:1`;
  await project.run('-f', address, 'up', '-d');
  const { stdout } = await project.run('-f', address, 'ps', '--format', 'json');
  assert.ok(stdout.includes(pinned), stdout);
  await project.run('-f', address, 'down', '-t', '2');
});

test('an artifact that is none, or that would write elsewhere, is refused', async () => {
  const project = bench.project('wary', { 'compose.yaml': 'services: {a: {image: busybox}}\n' });
  const refused = async (name: string, says: RegExp): Promise<void> => {
    const ended = await project.try(['-f', `oci://${registry.host}/${name}`, 'config']);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, says);
  };
  await registry.pushArtifact('text', '1', 'no project');
  await refused('text:1', /is not a compose project, but text\/plain/);
  await refused('nothing:1', /cannot fetch oci:\/\/.*\/nothing:1: manifest unknown/);
  const put = async (name: string, layers: object[]): Promise<void> => {
    const type = 'application/vnd.oci.image.manifest.v1+json';
    const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256('{}'), size: 2 };
    for (const blob of ['{}', 'services: {}'])
      await fetch(`http://${registry.host}/v2/${name}/blobs/uploads/?digest=${sha256(blob)}`, {
        method: 'POST',
        body: blob,
      });
    const answer = await fetch(`http://${registry.host}/v2/${name}/manifests/1`, {
      method: 'PUT',
      headers: { 'content-type': type },
      body: JSON.stringify({
        schemaVersion: 2,
        mediaType: type,
        artifactType: 'application/vnd.docker.compose.project',
        config,
        layers,
      }),
    });
    assert.equal(answer.status, 201, await answer.text());
  };
  const layer = (type: string, annotations: object): object => ({
    mediaType: `application/vnd.docker.compose.${type}`,
    digest: sha256('services: {}'),
    size: 12,
    annotations,
  });
  const extended = { 'com.docker.compose.extends': 'true' };
  for (const name of ['../../outside', '/etc/outside', 'a/b', '..', '', '.env', 'compose.yaml'])
    for (const one of [
      layer('envfile', { 'com.docker.compose.envfile': name }),
      layer('file+yaml', { ...extended, 'com.docker.compose.file': name }),
    ]) {
      await put('hostile', [layer('file+yaml', { 'com.docker.compose.file': 'compose.yaml' }), one]);
      await refused('hostile:1', /has a file of the name ".*", which none may have/);
    }
  // What is of this machine is not an artifact's to read.
  writeFileSync(join(bench.directory, 'outside.yaml'), 'services: {a: {image: busybox}}\n');
  for (const [text, says] of [
    [
      'services: {a: {image: busybox, env_file: /etc/passwd}}',
      /compose\.yaml:1:\d+: services\.a\.env_file: .*outside of/,
    ],
    ['services: {a: {image: busybox, label_file: [../../x]}}', /services\.a\.label_file: .* is outside of/],
    ['services: {a: {image: x, build: /etc}}', /services\.a\.build\.context: \/etc is outside of/],
    ['services: {a: {build: {context: ., dockerfile: /etc/x}}}', /services\.a\.build\.dockerfile: \/etc\/x is outside/],
    [
      'services: {a: {image: busybox}}\nsecrets: {s: {file: /etc/shadow}}',
      /secrets\.s\.file: \/etc\/shadow is outside of/,
    ],
    ['services: {a: {image: busybox}}\nconfigs: {s: {file: ../x}}', /configs\.s\.file: .* is outside of/],
    [
      `include: [${join(bench.directory, 'outside.yaml')}]`,
      /compose\.yaml:1:\d+: what is included or extended: .* is outside/,
    ],
    [
      `services: {a: {extends: {file: ../../../../outside.yaml, service: a}}}`,
      /what is included or extended: .* is outside/,
    ],
  ] as const) {
    const upload = `http://${registry.host}/v2/hostile/blobs/uploads/?digest=${sha256(text)}`;
    await fetch(upload, { method: 'POST', body: text });
    await put('hostile', [
      {
        mediaType: 'application/vnd.docker.compose.file+yaml',
        digest: sha256(text),
        size: text.length,
        annotations: { 'com.docker.compose.file': 'compose.yaml' },
      },
    ]);
    await refused('hostile:1', says);
  }
  await put('empty', [layer('envfile', { 'com.docker.compose.envfile': 'a.env' })]);
  await refused('empty:1', /has no Compose file/);
  assert.ok(!existsSync(join(bench.directory, '.cache', 'outside')));
});

test(
  "Docker's Compose reads what ours published, and ours what Docker's did",
  { skip: (!has('openssl') && 'openssl is not installed') || (!pluginDirectory() && 'Docker Compose is not there') },
  async () => {
    const file = (name: string): string => join(bench.directory, name);
    execFileSync(
      'openssl',
      // prettier-ignore
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=registry',
        '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', file('tls.key'), '-out', file('tls.pem')],
      { stdio: 'pipe' },
    );
    await using secure = await TestRegistry.open({
      tls: { cert: readFileSync(file('tls.pem'), 'utf8'), key: readFileSync(file('tls.key'), 'utf8') },
    });
    const shop = bench.project('exchange', SHOP);
    const theirs = async (...words: string[]): Promise<string> => {
      const running = new Running(
        spawn(join(pluginDirectory()!, 'docker-compose'), words, {
          cwd: shop.directory,
          env: {
            PATH: process.env['PATH'],
            HOME: bench.directory,
            SSL_CERT_FILE: file('tls.pem'),
            DOCKER_HOST: bench.daemon.host,
          },
          stdio: ['ignore', 'pipe', 'pipe'],
        }),
      );
      assert.equal(await running.ended, 0, running.stderr);
      return running.stdout;
    };
    await shop.run('publish', '-y', '--with-env', `${secure.host}/shop:ours`);
    const wanted = await configOf(shop);
    assert.equal(model(await theirs('-f', `oci://${secure.host}/shop:ours`, 'config')), wanted);

    // Its publication takes other forms of `extends` apart wrongly, and env files of extended files.
    shop.write(
      'compose.yaml',
      `name: shop
services:
  web:
    image: busybox
    command: [echo, "\${GREETING:-hello}"]
    env_file: web.env
    extends:
      service: web
      file: base/plain.yaml
`,
    );
    shop.write('base/plain.yaml', 'services: {web: {labels: {root: "1"}}}\n');
    const plain = await configOf(shop);
    assert.equal(await theirs('config'), plain);
    await theirs('publish', '-y', '--with-env', `${secure.host}/shop:theirs`);
    assert.equal(await configOfArtifact(`oci://${secure.host}/shop:theirs`), plain);
  },
);

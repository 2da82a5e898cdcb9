/**
 * How scanners (Trivy, Grype, Syft, …) get at an image: through the engine's socket, and out of an archive. None of them
 * is a package of Debian, so their requests are made here, and what they get is held against what it says of itself.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { type Ended, runInProcess } from '../cli/in-process.ts';
import { has } from './archive.ts';

interface Inspected {
  readonly Id: string;
  readonly RepoTags: readonly string[];
  readonly Architecture: string;
  readonly Os: string;
  readonly Size: number;
  readonly Config: { readonly Env: readonly string[]; readonly Labels: Readonly<Record<string, string>> };
  readonly RootFS: { readonly Type: string; readonly Layers: readonly string[] };
}

interface ImageConfig {
  readonly architecture: string;
  readonly config: { readonly Labels: Readonly<Record<string, string>> };
  readonly rootfs: { readonly diff_ids: readonly string[] };
  readonly history: readonly { readonly created_by?: string; readonly empty_layer?: boolean }[];
}

const NAME = 'scanned/app:1.0';
const directory = mkdtempSync(join(tmpdir(), 'gantry-scanners-'));
const daemon = new DaemonProcess({ directory });
const archive = join(directory, 'saved.tar');
const gantry = (...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });
const run = async (program: string, ...words: string[]): Promise<string> =>
  (await promisify(execFile)(program, words, { env: daemon.clientEnv, maxBuffer: 64 << 20 })).stdout;
const python = ['/usr/bin/python3', 'python3'].find((one) => spawnSync(one, ['-c', 'import docker']).status === 0);

let inspected: Inspected;

before(async () => {
  await daemon.start();
  const context = join(directory, 'context');
  mkdirSync(context);
  const status = 'Package: openssl\nStatus: install ok installed\nVersion: 3.0.1-1\nArchitecture: amd64\n\n';
  writeFileSync(join(context, 'status'), status);
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM busybox\nLABEL team=blue\nCOPY status /var/lib/dpkg/status\nENV A=1\nRUN echo 12 >/etc/debian_version\n',
  );
  const built = await gantry('build', '--network', 'none', '-t', NAME, context);
  assert.equal(built.code, 0, built.stderr);
  assert.equal((await gantry('save', '-o', archive, NAME)).code, 0);
  [inspected] = JSON.parse((await gantry('image', 'inspect', NAME)).stdout) as [Inspected];
});

after(async () => {
  await daemon.stop();
  await nothingLeft(daemon);
});

function get(path: string): Promise<{ readonly status: number; readonly body: Buffer }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath: daemon.socket, path, headers: { host: 'docker' } }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('end', () => resolve({ status: response.statusCode!, body: Buffer.concat(chunks) }));
      response.once('error', reject);
    });
    sent.once('error', reject).end();
  });
}

/** Reads an archive as the Go libraries of scanners do: by its manifest.json, every layer held against its diff id. */
async function checkArchive(path: string, tags: readonly string[] | null): Promise<void> {
  const place = mkdtempSync(join(directory, 'archive-'));
  await run('tar', '-x', '-C', place, '-f', path);
  const read = (name: string): Buffer => readFileSync(join(place, name));
  const manifest = JSON.parse(read('manifest.json').toString()) as {
    Config: string;
    RepoTags: string[] | null;
    Layers: string[];
  }[];
  assert.equal(manifest.length, 1);
  const [{ Config, RepoTags, Layers }] = manifest as [(typeof manifest)[number]];
  assert.deepEqual(RepoTags ?? [], tags ?? []);
  const sha256 = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  assert.equal(sha256(read(Config)), inspected.Id);
  const config = JSON.parse(read(Config).toString()) as ImageConfig;
  assert.equal(config.architecture, inspected.Architecture);
  assert.equal(config.config.Labels['team'], 'blue');
  assert.deepEqual(config.rootfs.diff_ids, inspected.RootFS.Layers);
  const layers = Layers.map((name) => {
    const bytes = read(name);
    return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
  });
  assert.deepEqual(layers.map(sha256), inspected.RootFS.Layers);
  // A scanner tells of each finding in which layer it is, and which instruction made that.
  const made = config.history.filter(({ empty_layer }) => !empty_layer);
  assert.equal(made.length, layers.length);
  const holds = layers.findIndex((bytes) => bytes.includes('Package: openssl'));
  assert.match(made[holds]?.created_by ?? '', /COPY status/);
}

test('an archive of `save` has what it says', async () => checkArchive(archive, [NAME]));

test('the requests of a scanner: ping, the image by name, its history, the whole by id and by name', async () => {
  assert.equal((await get('/_ping')).status, 200);
  const { Id } = JSON.parse((await get(`/v1.41/images/${NAME}/json`)).body.toString()) as Inspected;
  assert.equal(Id, inspected.Id);
  for (const field of ['Architecture', 'Os', 'Size', 'Config', 'RootFS', 'RepoTags'] as const)
    assert.ok(inspected[field] !== undefined, field);
  const history = JSON.parse((await get(`/v1.41/images/${encodeURIComponent(NAME)}/history`)).body.toString()) as {
    readonly Id: string;
    readonly CreatedBy: string;
    readonly Size: number;
  }[];
  assert.equal(history[0]?.Id, Id);
  assert.ok(history.some(({ CreatedBy, Size }) => /COPY status/.test(CreatedBy) && Size > 0));
  for (const [path, tags] of [
    [`/v1.41/images/get?names=${encodeURIComponent(Id)}`, null],
    [`/v1.41/images/${Id}/get`, null],
    [`/v1.41/images/get?names=${encodeURIComponent(NAME)}`, [NAME]],
    [`/v1.41/images/${NAME}/get`, [NAME]],
  ] as const) {
    const { status, body } = await get(path);
    assert.equal(status, 200, path);
    const file = join(directory, 'got.tar');
    writeFileSync(file, body);
    await checkArchive(file, tags);
  }
  const absent = await get('/v1.41/images/nosuch%3A1/json');
  assert.deepEqual([absent.status, JSON.parse(absent.body.toString())], [404, { message: 'No such image: nosuch:1' }]);
});

test(
  'skopeo: from the socket, from archives of both kinds, all the same image',
  { skip: !has('skopeo') && 'skopeo is not installed' },
  async () => {
    const skopeo = (...words: string[]): Promise<string> => run('skopeo', '--insecure-policy', ...words);
    const configOf = async (...from: string[]): Promise<ImageConfig> =>
      JSON.parse(await skopeo('inspect', '--config', ...from)) as ImageConfig;
    const socket = ['--daemon-host', daemon.host, `docker-daemon:${NAME}`];
    assert.deepEqual((await configOf(...socket)).rootfs.diff_ids, inspected.RootFS.Layers);
    assert.deepEqual((await configOf(`docker-archive:${archive}`)).rootfs.diff_ids, inspected.RootFS.Layers);
    assert.deepEqual((await configOf(`oci-archive:${archive}`)).rootfs.diff_ids, inspected.RootFS.Layers);
    const layout = `oci:${join(directory, 'layout')}:1`;
    await skopeo('copy', '-q', '--src-daemon-host', daemon.host, `docker-daemon:${NAME}`, layout);
    assert.deepEqual((await configOf(layout)).rootfs.diff_ids, inspected.RootFS.Layers);
    // And back into the engine, under a name of its own.
    await skopeo('copy', '-q', '--dest-daemon-host', daemon.host, layout, 'docker-daemon:scanned/back:1');
    const back = JSON.parse((await get('/images/scanned%2Fback:1/json')).body.toString()) as Inspected;
    assert.deepEqual(back.RootFS, inspected.RootFS);
  },
);

test('podman loads it', { skip: !has('podman') && 'podman is not installed' }, async () => {
  const podman = (...words: string[]): Promise<string> => {
    const place = ['--root', join(directory, 'podman'), '--runroot', join(directory, 'podman-run')];
    return run('podman', ...place, '--storage-driver', 'vfs', ...words);
  };
  assert.match(await podman('load', '-q', '-i', archive), /scanned\/app:1\.0/);
  const [loaded] = JSON.parse(await podman('image', 'inspect', `docker.io/${NAME}`)) as [Inspected];
  assert.deepEqual(loaded.RootFS.Layers, inspected.RootFS.Layers);
  assert.equal(loaded.Id.replace(/^(sha256:)?/, 'sha256:'), inspected.Id);
});

test('umoci unpacks it', { skip: !has('umoci') && 'umoci is not installed' }, async () => {
  const layout = join(directory, 'umoci');
  mkdirSync(layout);
  await run('tar', '-x', '-C', layout, '-f', archive);
  const [tag] = (await run('umoci', 'list', '--layout', layout)).trim().split('\n');
  await run('umoci', 'unpack', '--image', `${layout}:${tag}`, join(directory, 'bundle'));
  assert.match(readFileSync(join(directory, 'bundle/rootfs/var/lib/dpkg/status'), 'utf8'), /Package: openssl/);
});

test(
  'the docker package of Python: get, history, save',
  { skip: python === undefined && 'python3-docker is not installed' },
  async () => {
    const file = join(directory, 'python.tar');
    const script = `
import docker, sys
image = docker.from_env().images.get(sys.argv[1])
with open(sys.argv[2], 'wb') as out:
    for chunk in image.save(named=True): out.write(chunk)
print(image.id, len(image.history()), image.labels['team'])`;
    const said = await run(python!, '-c', script, NAME, file);
    assert.match(said, new RegExp(`^${inspected.Id} [5-9]\\d* blue\\n$`));
    await checkArchive(file, [NAME]);
  },
);

test('our own scan of the archive and of the engine find the same package', async () => {
  const words = ['sbom', '--format', 'json'];
  const { stdout } = await gantry(...words, NAME);
  assert.match(stdout, /"name": ?"openssl"/);
  assert.equal((await gantry(...words, '-i', archive)).stdout, stdout);
});

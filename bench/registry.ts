/**
 * Our registry beside Debian's docker-registry (`--control PATH`, left out where it is not there), both running, measured
 * in turns: manifests and small blobs a second over 16 connections, small uploads, downloads and uploads of large blobs.
 * `--large GIB` also sends one blob of that size through ours, and prints the most memory that the server had.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Connection, requestHead } from './http-load.ts';
import { record } from './measure.ts';

/** Smallest ratios to docker-registry's rates that are aimed at. */
const GOALS: Readonly<Record<string, number>> = {
  manifests: 2,
  'small blobs': 2,
  '1 KiB uploads': 1,
  '100 MiB upload': 1,
  'large download': 0.9,
};

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONNECTIONS = 16;
const MIB = 1 << 20;

const { values } = parseArgs({
  options: {
    control: { type: 'string', default: 'docker-registry' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    large: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

class Target implements AsyncDisposable {
  readonly name: string;
  readonly port: number;
  readonly child: ChildProcess;
  readonly results = new Map<string, number[]>();

  constructor(name: string, port: number, child: ChildProcess) {
    this.name = name;
    this.port = port;
    this.child = child;
  }

  async ready(): Promise<this> {
    for (let tries = 0; tries < 400; tries++) {
      try {
        const connection = await Connection.open(this.port);
        const { status } = await connection.send(requestHead('GET', '/v2/'));
        connection.close();
        if (status === 200) return this;
      } catch {
        // It is not up yet.
      }
      await sleep(50);
    }
    throw new Error(`${this.name} does not answer`);
  }

  async upload(connection: Connection, body: Buffer, digest = digestOf(body)): Promise<string> {
    const begun = await connection.send(requestHead('POST', '/v2/bench/blobs/uploads/', { 'content-length': 0 }));
    const location = /\r\nlocation: *([^\r]+)/i.exec(begun.headers)![1]!;
    const { pathname, search } = new URL(location, 'http://bench');
    const path = `${pathname}${search === '' ? '?' : `${search}&`}digest=${digest}`;
    const put = requestHead('PUT', path, { 'content-type': 'application/octet-stream', 'content-length': body.length });
    const { status } = await connection.send(put, body);
    if (status !== 201) throw new Error(`${this.name}: an upload was answered with ${status}`);
    return digest;
  }

  record(what: string, value: number): void {
    this.results.set(what, [...(this.results.get(what) ?? []), value]);
  }

  /** The median. */
  result(what: string): number {
    const all = (this.results.get(what) ?? []).toSorted((a, b) => a - b);
    return all[Math.floor(all.length / 2)] ?? NaN;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    await ended;
  }
}

/** A second's count of what `work` does, over all connections. */
async function rate(
  connections: readonly Connection[],
  work: (connection: Connection) => Promise<unknown>,
): Promise<number> {
  const begin = performance.now();
  const end = begin + seconds * 1000;
  let done = 0;
  await Promise.all(
    connections.map(async (connection) => {
      for (; performance.now() < end; done++) await work(connection);
    }),
  );
  return (done * 1000) / (performance.now() - begin);
}

async function measure(target: Target): Promise<void> {
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => Connection.open(target.port)));
  const [first] = connections;
  try {
    const small = randomBytes(135);
    const digest = await target.upload(first!, small);
    const blob = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: small.length };
    const manifest = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: blob, layers: [blob] }),
    );
    const put = requestHead('PUT', '/v2/bench/manifests/1', {
      'content-type': MANIFEST,
      'content-length': manifest.length,
    });
    await first!.send(put, manifest);
    const get = (path: string): Buffer => requestHead('GET', path, { accept: MANIFEST });
    const [manifests, blobs] = [get('/v2/bench/manifests/1'), get(`/v2/bench/blobs/${digest}`)];
    const good = async (connection: Connection, request: Buffer): Promise<void> => {
      const { status } = await connection.send(request);
      if (status !== 200) throw new Error(`${target.name} answered ${status}`);
    };
    target.record('manifests/s', await rate(connections, (connection) => good(connection, manifests)));
    target.record('small blobs/s', await rate(connections, (connection) => good(connection, blobs)));
    target.record(
      '1 KiB uploads/s',
      await rate(connections.slice(0, 4), (connection) => target.upload(connection, randomBytes(1024))),
    );
    const large = randomBytes(100 * MIB);
    const largeDigest = digestOf(large);
    const uploading = performance.now();
    await target.upload(first!, large, largeDigest);
    target.record('100 MiB upload MB/s', large.length / 1e3 / (performance.now() - uploading));
    const request = get(`/v2/bench/blobs/${largeDigest}`);
    const large4 = connections.slice(0, 4);
    target.record(
      'large download MB/s',
      (await rate(large4, (connection) => good(connection, request))) * (large.length / 1e6),
    );
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** One blob of many GiB up and down. */
async function measureLarge(target: Target, gib: number): Promise<void> {
  const chunk = randomBytes(8 * MIB);
  const chunks = gib * 128;
  const hash = createHash('sha256');
  for (let count = 0; count < chunks; count++) hash.update(chunk);
  const connection = await Connection.open(target.port);
  const begun = performance.now();
  let { headers } = await connection.send(requestHead('POST', '/v2/bench/blobs/uploads/', { 'content-length': 0 }));
  for (let count = 0; count < chunks; count++) {
    const path = new URL(/\r\nlocation: *([^\r]+)/i.exec(headers)![1]!, 'http://bench').pathname;
    ({ headers } = await connection.send(requestHead('PATCH', path, { 'content-length': chunk.length }), chunk));
  }
  const path = new URL(/\r\nlocation: *([^\r]+)/i.exec(headers)![1]!, 'http://bench').pathname;
  const digest = `sha256:${hash.digest('hex')}`;
  const { status } = await connection.send(requestHead('PUT', `${path}?digest=${digest}`, { 'content-length': 0 }));
  const uploaded = performance.now();
  const { size } = await connection.send(requestHead('GET', `/v2/bench/blobs/${digest}`));
  const downloaded = performance.now();
  connection.close();
  const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${target.child.pid}/status`, 'utf8'))![1];
  console.log(
    `${gib} GiB blob: ${status}, up ${(size / 1e3 / (uploaded - begun)).toFixed(0)} MB/s, down ${(size / 1e3 / (downloaded - uploaded)).toFixed(0)} MB/s, server at most ${(Number(peak) / 1024).toFixed(0)} MiB`,
  );
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

const root = await mkdtemp(join(tmpdir(), 'gantry-bench-registry-'));
try {
  await using stack = new AsyncDisposableStack();
  const ourPort = await freePort();
  const launcher = new URL('../dist/registry/main.js', import.meta.url).pathname;
  const serve = [launcher, '--addr', `127.0.0.1:${ourPort}`, '--root', `${root}/ours`];
  const ours = stack.use(new Target('gantry', ourPort, spawn(process.execPath, serve, { stdio: 'ignore' })));
  const targets = [await ours.ready()];
  if (spawnSync(values.control, ['--version']).status === 0) {
    const port = await freePort();
    const config = join(root, 'control.yml');
    await writeFile(
      config,
      `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${root}/control}}\nhttp: {addr: 127.0.0.1:${port}}\n`,
    );
    const control = new Target('docker-registry', port, spawn(values.control, ['serve', config], { stdio: 'ignore' }));
    targets.push(await stack.use(control).ready());
  }
  // Unmeasured, so that nothing is compiled or made for the first time afterwards.
  for (const target of targets) await measure(target);
  for (const target of targets) target.results.clear();
  for (let round = 0; round < rounds; round++) for (const target of targets) await measure(target);
  for (const what of ours.results.keys()) {
    const name = what.replace(/(\/s| MB\/s)$/, '');
    const unit = what.slice(name.length).trim();
    const figures = Object.fromEntries(targets.map((target) => [target.name, target.result(what)]));
    const goal = GOALS[name];
    record({ name, unit, values: figures, ours: 'gantry', moreIsBetter: true, ...(goal !== undefined && { goal }) });
  }
  if (values.large !== undefined) await measureLarge(ours, Number(values.large));
} finally {
  await rm(root, { recursive: true });
}

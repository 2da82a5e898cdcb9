/**
 * Our registry beside Debian's docker-registry (`--control PATH`, left out where it is not there): manifests and small
 * blobs a second over 16 connections, and uploads and downloads of a large blob. One run of each, after a warm-up.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const CONNECTIONS = 16;
const SECONDS = 3;
const LARGE_BYTES = 100 << 20;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

interface Target {
  readonly name: string;
  readonly port: number;
  readonly program: string;
  readonly args: readonly string[];
}

const { values } = parseArgs({ options: { control: { type: 'string', default: 'docker-registry' } } });
const root = await mkdtemp(join(tmpdir(), 'gantry-bench-registry-'));
try {
  const config = join(root, 'control.yml');
  await writeFile(
    config,
    `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${root}/control}}\nhttp: {addr: 127.0.0.1:5982}\n`,
  );
  const main = new URL('../src/registry/main.ts', import.meta.url).pathname;
  const serve = [main, '--addr', '127.0.0.1:5981', '--root', `${root}/ours`];
  const targets: Target[] = [{ name: 'gantry', port: 5981, program: process.execPath, args: serve }];
  if (spawnSync(values.control, ['--version']).status === 0) {
    targets.push({ name: 'docker-registry', port: 5982, program: values.control, args: ['serve', config] });
  }
  for (const target of targets) console.log(target.name, await measure(target));
} finally {
  await rm(root, { recursive: true });
}

async function measure({ port, program, args }: Target): Promise<Record<string, string>> {
  const child = spawn(program, args, { stdio: 'ignore' });
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const call = (method: string, path: string, body?: Buffer, type = 'application/octet-stream'): Promise<Answer> =>
    send(agent, port, { method, path, body, type });
  try {
    for (let tries = 0; tries < 200; tries++) {
      const up = await call('GET', '/v2/').catch(() => undefined);
      if (up?.status === 200) break;
      await sleep(50);
    }
    const upload = async (body: Buffer): Promise<string> => {
      const digest = digestOf(body);
      const begun = await call('POST', '/v2/bench/blobs/uploads/');
      const { pathname, search } = new URL(begun.location, `http://127.0.0.1:${port}`);
      const { status } = await call('PUT', `${pathname}${search === '' ? '?' : `${search}&`}digest=${digest}`, body);
      if (status !== 201) throw new Error(`upload: ${status}`);
      return digest;
    };
    const small = randomBytes(1024);
    const digest = await upload(small);
    const blob = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: small.length };
    const manifest = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: blob, layers: [blob] }),
    );
    await call('PUT', '/v2/bench/manifests/1', manifest, MANIFEST);
    const large = randomBytes(LARGE_BYTES);
    const uploadMs = await timed(() => upload(large));
    const downloadMs = await timed(() => call('GET', `/v2/bench/blobs/${digestOf(large)}`));
    return {
      'manifest GETs/s': await rate(() => call('GET', '/v2/bench/manifests/1')),
      'small blob GETs/s': await rate(() => call('GET', `/v2/bench/blobs/${digest}`)),
      '1 KiB uploads/s': await rate(() => upload(randomBytes(1024))),
      '100 MiB upload': `${(LARGE_BYTES / 1e3 / uploadMs).toFixed(0)} MB/s`,
      '100 MiB download': `${(LARGE_BYTES / 1e3 / downloadMs).toFixed(0)} MB/s`,
    };
  } finally {
    agent.destroy();
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }
}

interface Answer {
  readonly status: number;
  readonly location: string;
}

function send(
  agent: Agent,
  port: number,
  { method, path, body, type }: { method: string; path: string; body: Buffer | undefined; type: string },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': type, accept: MANIFEST, 'content-length': body?.length ?? 0 };
    const message = request({ agent, host: '127.0.0.1', port, method, path, headers }, (response) => {
      response.once('end', () => resolve({ status: response.statusCode!, location: response.headers.location ?? '' }));
      response.once('error', reject).resume();
    });
    message.once('error', reject).end(body);
  });
}

async function rate(work: () => Promise<unknown>): Promise<string> {
  for (let count = 0; count < 200; count++) await work();
  const end = Date.now() + SECONDS * 1000;
  let done = 0;
  const loop = async (): Promise<void> => {
    for (; Date.now() < end; done++) await work();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, loop));
  return (done / SECONDS).toFixed(0);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

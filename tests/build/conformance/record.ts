/**
 * Records what BuildKit makes of every case: `node tests/build/conformance/record.ts unix:///run/docker.sock [name part]`.
 * `docker buildx` must be there, and the image `gantry-base:1` in that engine: the busybox of this one. Writes expected.json.
 */
import { randomUUID } from 'node:crypto';
import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ImageRunConfig } from '../../../src/oci/image.ts';
import { BASE, type BuildCase, standsOnBase, writeContext } from './case.ts';
import { CASES } from './cases.ts';
import { type BuildResult, changedFiles, describeConfig, describeFiles, errorClass } from './result.ts';

const [host, only] = process.argv.slice(2);
if (!host) throw new Error('usage: node record.ts HOST [NAME PART]');
const file = new URL('expected.json', import.meta.url);
const environment = { ...process.env, DOCKER_HOST: host };
const base = await rootFiles(`FROM ${BASE}\n`);
const expected: Record<string, BuildResult> = only ? (JSON.parse(await readFile(file, 'utf8')) as typeof expected) : {};
const waiting = Object.entries(CASES).filter(([name]) => !only || name.includes(only));
await Promise.all(Array.from({ length: 3 }, work));

async function work(): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const [name, one] = next;
    expected[name] = await record(one);
    console.log(`${name}: ${expected[name].error ?? 'built'}`);
    const sorted = Object.fromEntries(Object.keys(CASES).map((key) => [key, expected[key]]));
    await writeFile(file, `${JSON.stringify(sorted, null, 1)}\n`);
  }
}

async function record(one: BuildCase): Promise<BuildResult> {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-record-'));
  const tag = `gantry-conformance:${randomUUID()}`;
  const tar = `${directory}.tar`;
  try {
    await writeContext(directory, one);
    const failure =
      (await build(directory, one, ['-o', `type=tar,dest=${tar}`])) ?? (await build(directory, one, ['-t', tag]));
    if (failure !== undefined) return { error: errorClass(failure) };
    const files = changedFiles(await describeFiles(createReadStream(tar)), standsOnBase(one) ? base : new Map());
    const inspected = await docker(['image', 'inspect', '-f', '{{json .Config}}', tag]);
    await docker(['rmi', '-f', tag]);
    return { files, config: describeConfig(JSON.parse(inspected) as ImageRunConfig) };
  } finally {
    await rm(directory, { recursive: true });
    await rm(tar, { force: true });
  }
}

async function build(directory: string, one: BuildCase, more: readonly string[]): Promise<string | undefined> {
  const args = Object.entries(one.args ?? {}).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
  const labels = Object.entries(one.labels ?? {}).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
  const target = one.target === undefined ? [] : ['--target', one.target];
  try {
    await docker(['buildx', 'build', '--progress=plain', ...args, ...labels, ...target, ...more, directory]);
    return undefined;
  } catch (error) {
    const { stderr } = error as { stderr: string };
    return stderr.split('\n').findLast((line) => line.startsWith('ERROR')) ?? stderr.slice(-300);
  }
}

async function docker(args: readonly string[]): Promise<string> {
  return (await promisify(execFile)('docker', args, { env: environment, maxBuffer: 64 << 20 })).stdout;
}

async function rootFiles(dockerfile: string): Promise<Map<string, string>> {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-record-'));
  await writeFile(join(directory, 'Dockerfile'), dockerfile);
  const failure = await build(directory, { dockerfile }, ['-o', `type=tar,dest=${join(directory, 'root.tar')}`]);
  if (failure !== undefined) throw new Error(failure);
  const files = await describeFiles(createReadStream(join(directory, 'root.tar')));
  await rm(directory, { recursive: true });
  return files;
}

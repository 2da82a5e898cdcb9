import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { tarHeader } from '../../src/content/tar/header.ts';
import { type TarSource, writeTar } from '../../src/content/tar/writer.ts';

/** Members of an archive by name: text, bytes, or where a symlink points to. */
export type Members = Record<string, string | Uint8Array | { readonly symlink: string }>;

export async function tarOf(members: Members): Promise<Buffer> {
  const entries = Object.entries(members).map(([name, content]): TarSource => {
    if (typeof content === 'object' && 'symlink' in content) {
      return { header: tarHeader({ type: 'symlink', name, linkName: content.symlink }) };
    }
    const body = Buffer.from(content as string);
    return { header: tarHeader({ type: 'file', name, size: body.byteLength }), body: [body] };
  });
  return Buffer.concat(await Array.fromAsync(writeTar(entries)));
}

export function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** An image of one layer with one file, as its parts. */
export async function sampleImage(
  text: string,
): Promise<{ config: string; id: string; layer: Buffer; diffId: string }> {
  const layer = await tarOf({ 'hello.txt': text });
  const diffId = `sha256:${sha256Hex(layer)}`;
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    created: '2026-01-02T03:04:05Z',
    config: { Cmd: ['/hello'], Labels: { text } },
    history: [{ created: '2026-01-02T03:04:05Z', created_by: 'test' }],
    rootfs: { type: 'layers', diff_ids: [diffId] },
  });
  return { config, id: `sha256:${sha256Hex(config)}`, layer, diffId };
}

/** As `docker save` wrote it until 25: a directory for each layer. */
export async function oldDockerArchive(
  name: string,
  text: string,
  options: { gzipLayer?: boolean } = {},
): Promise<Buffer> {
  const { config, id, layer } = await sampleImage(text);
  const file = `${id.slice(7)}.json`;
  const top = 'a'.repeat(64);
  return tarOf({
    [`${top}/VERSION`]: '1.0',
    [`${top}/json`]: '{}',
    [`${top}/layer.tar`]: { symlink: '../layers/one.tar' },
    'layers/one.tar': options.gzipLayer ? gzipSync(layer) : layer,
    [file]: config,
    'manifest.json': JSON.stringify([{ Config: file, RepoTags: [name], Layers: [`${top}/layer.tar`] }]),
    repositories: '{}',
  });
}

export async function* streamOf(bytes: Uint8Array, chunk = 64 * 1024): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += chunk) yield bytes.subarray(at, at + chunk);
}

/** Runs a program of the host; throws with its words when it fails. */
export function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr || stdout}`);
  return stdout;
}

export function has(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/** Unpacks a small archive of ours into a directory, for tools that want one. */
export function unpack(archive: string, directory: string): void {
  run('tar', '-xf', archive, '-C', directory);
}

/** Every file below a directory by its path, without times. */
export async function filesBelow(directory: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(path.slice(directory.length + 1), await readFile(path));
  }
  return files;
}

export async function writeFiles(directory: string, files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), content);
  }
}

export async function emptied(directory: string): Promise<string> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  return directory;
}

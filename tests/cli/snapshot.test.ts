/** The launcher starts from a snapshot, and nobody can tell but by the time. Needs no engine: the one here only records. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { RehearsalEngine } from '../../src/cli/snapshot/rehearsal-engine.ts';

const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'gantry-snapshot-'));
const socket = join(folder, 's');
const engine = new RehearsalEngine();
await engine.listen(socket);
after(async () => {
  await engine.close();
  rmSync(folder, { recursive: true });
});

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}
interface Options {
  readonly env?: Record<string, string>;
  readonly input?: string;
  readonly cwd?: string;
  readonly launcher?: string;
}

function gantry(
  words: readonly string[],
  { env = {}, input = '', cwd = folder, launcher }: Options = {},
): Promise<Ended> {
  const child = spawn(launcher ?? join(root, 'gantry'), words, {
    cwd,
    env: { PATH: process.env['PATH'], HOME: folder, GANTRY_HOST: `unix://${socket}`, ...env },
  });
  child.stdin.on('error', () => {}).end(input);
  const ended: Ended = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => (ended.stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (ended.stderr += data.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ ...ended, code }));
  });
}

/** Node is told to do what it does anyway: then the launcher takes no snapshot. */
const plainly = { NODE_OPTIONS: '--no-warnings' };

test('the bundle has its snapshots, and the launcher takes them', async () => {
  for (const role of ['command', 'compose'])
    for (const file of ['blob', 'js', 'js.cache', 'seldom.js', 'seldom.js.cache'].map((end) => `${role}.${end}`))
      assert.ok(existsSync(join(root, 'dist/cli', file)), file);
  assert.equal(await nodeFlags(), '--no-rehash-snapshot');
  assert.equal(await nodeFlags(plainly), '--');
});

test('a project whose model was kept is acted on without the code that reads YAML', () => {
  const has = (file: string): boolean =>
    /resolveBlockScalar\b/.test(readFileSync(join(root, 'dist/cli', file), 'latin1'));
  assert.deepEqual([has('compose.js'), has('compose.seldom.js')], [false, true]);
});

/** The first word that Node was started with, which is there to read as long as a command runs. */
async function nodeFlags(env: Record<string, string> = {}): Promise<string> {
  const tree = copyOfTheTree();
  rmSync(join(tree, '.gantry/node'));
  writeFileSync(join(tree, '.gantry/node'), '#!/bin/sh\necho "$1"\n', { mode: 0o755 });
  rmSync(join(tree, 'dist/cli/node'), { force: true });
  linkSync(join(tree, '.gantry/node'), join(tree, 'dist/cli/node'));
  return (await gantry(['ps'], { env, launcher: join(tree, 'gantry') })).stdout.trim();
}

let trees = 0;
/** A checkout with the same bundle and a node of its own. */
function copyOfTheTree(): string {
  const tree = join(folder, `tree${trees++}`);
  mkdirSync(join(tree, '.gantry'), { recursive: true });
  mkdirSync(join(tree, 'src'));
  writeFileSync(join(tree, 'package-lock.json'), '{}');
  cpSync(join(root, 'gantry'), join(tree, 'gantry'));
  cpSync(join(root, 'package.json'), join(tree, 'package.json'));
  cpSync(realpathSync(join(root, 'dist')), join(tree, 'dist'), {
    recursive: true,
    filter: (path) => !path.endsWith('.map') && !path.endsWith('/cli/node'),
  });
  writeFileSync(join(tree, 'dist/stamp'), '');
  symlinkSync(process.execPath, join(tree, '.gantry/node'));
  return tree;
}

test('what commands print is the same with it and without', async () => {
  const compose = join(folder, 'compose.yaml');
  writeFileSync(compose, 'services: {a: {image: busybox, environment: {A: "${A:-none}"}}}\n');
  const lines: [words: string[], options?: Options][] = [
    [['--version']],
    [['version']],
    [['--help']],
    [['run', '--help']],
    [['nothing']],
    [['run', '--nothing', 'busybox']],
    [['images']],
    [['ps', '-a', '--format', 'json']],
    [['run', '--rm', 'busybox', 'true']],
    [['run', '--rm', '--env-file', join(folder, 'absent'), 'busybox']],
    [['kube', 'convert', '--help']],
    [['compose', '-f', compose, 'config'], { env: { A: 'some' } }],
    [['compose', 'config'], { cwd: folder }],
    [['compose', '-f', '-', 'config', '--services'], { input: 'services: {fromstdin: {image: x}}' }],
    [['-H', 'tcp://127.0.0.1:1', 'ps']],
    [['--tlsverify', '-H', 'tcp://127.0.0.1:1', 'ps']],
    [['registry', 'ls', '--help']],
  ];
  for (const [words, options = {}] of lines) {
    const [with_, without] = await Promise.all([
      gantry(words, options),
      gantry(words, { ...options, env: { ...options.env, ...plainly } }),
    ]);
    assert.deepEqual(with_, without, words.join(' '));
  }
  assert.match((await gantry(['compose', 'config'], { cwd: folder })).stdout, /A: none/);
});

test('a command sees the time zone, the directory and the environment that it was started with', async () => {
  const at = { env: { TZ: 'Asia/Tokyo' } };
  const [here, there] = await Promise.all([
    gantry(['images', '--format', '{{.CreatedAt}}']),
    gantry(['images', '--format', '{{.CreatedAt}}'], at),
  ]);
  assert.match(there.stdout, /^1970-01-01 09:00:01 \+0900/);
  assert.notEqual(here.stdout, there.stdout);
  const project = join(folder, 'elsewhere');
  mkdirSync(project);
  writeFileSync(join(project, 'compose.yaml'), 'services: {a: {image: busybox, volumes: ["./data:/data"]}}\n');
  const config = await gantry(['compose', 'config'], { cwd: project });
  assert.match(config.stdout, /^name: elsewhere\n/);
  assert.ok(config.stdout.includes(join(project, 'data')), config.stdout);
});

test('what must differ between processes does', async () => {
  const words = ['compose', '-f', join(folder, 'compose.yaml'), 'run', '--rm', '-d', 'a'];
  const names = await Promise.all([gantry(words), gantry(words), gantry(words)]);
  for (const { code, stderr } of names) assert.equal(code, 0, stderr);
  assert.equal(new Set(names.map(({ stdout }) => stdout)).size, 3);
});

test('with another node, or where files are missing, the command starts all the same', async () => {
  const tree = copyOfTheTree();
  const launcher = join(tree, 'gantry');
  const expected = await gantry(['images']);
  assert.equal(expected.code, 0, expected.stderr);
  assert.deepEqual(await gantry(['images'], { launcher }), expected, 'no link to a node');
  writeFileSync(join(tree, 'dist/cli/node'), '');
  assert.deepEqual(await gantry(['images'], { launcher }), expected, 'a link to another');
  rmSync(join(tree, 'dist/cli/node'));
  try {
    linkSync(process.execPath, join(tree, 'dist/cli/node'));
  } catch {
    return; // the node lies on another filesystem
  }
  assert.deepEqual(await gantry(['images'], { launcher }), expected, 'moved');
  rmSync(join(tree, 'dist/cli/command.js.cache'));
  assert.deepEqual(await gantry(['images'], { launcher }), expected, 'nothing compiled');
  writeFileSync(join(tree, 'dist/cli/command.js.cache'), 'not what it should be');
  assert.deepEqual(await gantry(['images'], { launcher }), expected, 'compiled by a stranger');
  rmSync(join(tree, 'dist/cli/command.blob'));
  assert.deepEqual(await gantry(['images'], { launcher }), expected, 'no snapshot');
});

import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { copySelection, type CopySelection, digestSelection } from './copy-files.ts';

function tree(): { root: string; to: string; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-copy-'));
  const root = join(directory, 'from');
  const to = join(directory, 'to');
  mkdirSync(join(root, 'src/deep'), { recursive: true });
  mkdirSync(to);
  writeFileSync(join(root, 'a.txt'), 'a');
  writeFileSync(join(root, 'b.txt'), 'b');
  writeFileSync(join(root, 'src/server.js'), 'code');
  writeFileSync(join(root, 'src/deep/x.log'), 'log');
  chmodSync(join(root, 'src/server.js'), 0o755);
  symlinkSync('server.js', join(root, 'src/link'));
  symlinkSync('/etc', join(root, 'outside'));
  return { root, to, remove: () => rmSync(directory, { recursive: true }) };
}

const select = (root: string, sources: string[], more: Partial<CopySelection> = {}): CopySelection => ({
  root,
  sources,
  ignore: [],
  exclude: [],
  parents: false,
  unpack: false,
  keepOwner: false,
  sourceName: 'build context',
  ...more,
});

test('copySelection() gives a directory its content, a file its name, and makes parents', async () => {
  const { root, to, remove } = tree();
  await copySelection(select(root, ['src']), { root: to, destination: '/app/' });
  await copySelection(select(root, ['*.txt']), { root: to, destination: '/texts/' });
  await copySelection(select(root, ['a.txt']), { root: to, destination: '/one/renamed' });
  assert.equal(readFileSync(join(to, 'app/server.js'), 'utf8'), 'code');
  assert.equal(statSync(join(to, 'app/server.js')).mode & 0o777, 0o755);
  assert.equal(readlinkSync(join(to, 'app/link')), 'server.js');
  assert.equal(readFileSync(join(to, 'app/deep/x.log'), 'utf8'), 'log');
  assert.equal(readFileSync(join(to, 'texts/b.txt'), 'utf8'), 'b');
  assert.equal(readFileSync(join(to, 'one/renamed'), 'utf8'), 'a');
  remove();
});

test('copySelection() takes an existing directory as the place for a file, and replaces files', async () => {
  const { root, to, remove } = tree();
  mkdirSync(join(to, 'place'));
  writeFileSync(join(to, 'place/a.txt'), 'old');
  await copySelection(select(root, ['a.txt'], { mode: 0o600 }), { root: to, destination: '/place' });
  assert.equal(readFileSync(join(to, 'place/a.txt'), 'utf8'), 'a');
  assert.equal(statSync(join(to, 'place/a.txt')).mode & 0o777, 0o600);
  await assert.rejects(
    copySelection(select(root, ['src']), { root: to, destination: '/place/a.txt' }),
    /not a directory/,
  );
  remove();
});

test('copySelection() leaves out what is excluded, and takes exceptions back in', async () => {
  const { root, to, remove } = tree();
  await copySelection(select(root, ['.'], { exclude: ['**/*.log', 'outside', '*.txt', '!b.txt'] }), {
    root: to,
    destination: '/',
  });
  assert.throws(() => lstatSync(join(to, 'a.txt')));
  assert.throws(() => lstatSync(join(to, 'src/deep/x.log')));
  assert.equal(readFileSync(join(to, 'b.txt'), 'utf8'), 'b');
  remove();
});

test('copySelection() never leaves either root by symlinks', async () => {
  const { root, to, remove } = tree();
  await assert.rejects(
    copySelection(select(root, ['outside/passwd']), { root: to, destination: '/' }),
    /file not found in build context/,
  );
  await assert.rejects(
    copySelection(select(root, ['../from/a.txt']), { root: to, destination: '/' }),
    /file not found in build context/,
  );
  const canary = mkdtempSync(join(tmpdir(), 'gantry-canary-'));
  symlinkSync(canary, join(to, 'trap'));
  // The link means a directory inside the root, which is not there.
  await assert.rejects(
    copySelection(select(root, ['a.txt']), { root: to, destination: '/trap/a.txt' }).then(() =>
      readFileSync(join(canary, 'a.txt')),
    ),
  );
  assert.throws(() => lstatSync(join(canary, 'a.txt')));
  rmSync(canary, { recursive: true });
  remove();
});

test('digestSelection() is of content, mode and names, not of times', async () => {
  const { root, remove } = tree();
  const digest = async (): Promise<string> => (await digestSelection(select(root, ['src', 'a.txt']))).digest;
  const before = await digest();
  utimesSync(join(root, 'src/server.js'), 1, 1);
  assert.equal(await digest(), before);
  chmodSync(join(root, 'src/server.js'), 0o644);
  const chmodded = await digest();
  assert.notEqual(chmodded, before);
  writeFileSync(join(root, 'src/server.js'), 'CODE');
  assert.notEqual(await digest(), chmodded);
  await assert.rejects(
    digestSelection(select(root, ['nosuch'])),
    /COPY failed: file not found in build context or excluded by \.dockerignore: stat nosuch: file does not exist/,
  );
  assert.equal((await digestSelection(select(root, ['*.none']))).files, 0);
  remove();
});

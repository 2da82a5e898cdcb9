import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  lutimesSync,
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
import { digestLayer, type LayerDigest } from '../snapshot/diff-layer.ts';
import {
  CONTEXT_TIME,
  copySelection,
  type CopySelection,
  digestSelection,
  type PendingLinks,
  sealChanges,
} from './copy-files.ts';

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

const AS_CONTEXT = { seconds: CONTEXT_TIME, exact: true };

/** Says what the layer is, as a look at all of it would. */
async function seal(to: string, pending: PendingLinks | undefined, times = AS_CONTEXT): Promise<LayerDigest> {
  const digest = await sealChanges(to, { pending, times });
  assert.deepEqual(digest, await digestLayer(to));
  return digest;
}

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

test('copySelection() keeps the hard links of a source, and makes none between sources', async () => {
  const { root, to, remove } = tree();
  linkSync(join(root, 'a.txt'), join(root, 'src/deep/a'));
  linkSync(join(root, 'a.txt'), join(root, 'src/z'));
  const apart = await digestSelection(select(root, ['src']));
  await copySelection(select(root, ['src', 'a.txt'], { owner: { uid: 5, gid: 6 } }), { root: to, destination: '/o/' });
  const inode = (path: string): number => statSync(join(to, 'o', path)).ino;
  assert.equal(inode('z'), inode('deep/a'));
  assert.equal(statSync(join(to, 'o/z')).nlink, 2);
  assert.notEqual(inode('a.txt'), inode('z'));
  assert.equal(statSync(join(to, 'o/z')).uid, 5);
  // Over what is there.
  await copySelection(select(root, ['src']), { root: to, destination: '/o/' });
  assert.equal(inode('z'), inode('deep/a'));
  assert.equal(readFileSync(join(to, 'o/z'), 'utf8'), 'a');
  // Links are part of what the selection is.
  rmSync(join(root, 'src/z'));
  writeFileSync(join(root, 'src/z'), 'a');
  assert.notEqual((await digestSelection(select(root, ['src']))).digest, apart.digest);
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

test('sealChanges() gives what copySelection() left out: files that would be the same in all', async () => {
  const { root, to, remove } = tree();
  for (const name of ['a.txt', 'b.txt', 'src/server.js']) utimesSync(join(root, name), CONTEXT_TIME, CONTEXT_TIME);
  linkSync(join(root, 'a.txt'), join(root, 'src/again'));
  chownSync(join(root, 'b.txt'), 7, 7);
  mkdirSync(join(to, 'app'));
  writeFileSync(join(to, 'app/old'), 'old');
  const selection = select(root, ['src', '*.txt'], { steady: 'shared', time: CONTEXT_TIME });
  const { pending } = await copySelection(selection, { root: to, destination: '/app/', linksLater: AS_CONTEXT });
  const inode = (path: string): number => statSync(path).ino;
  assert.throws(() => lstatSync(join(to, 'app/server.js')));
  // Of another owner, of another time, a second name of one file: these are copies.
  for (const name of ['b.txt', 'deep/x.log']) assert.ok(lstatSync(join(to, 'app', name)).isFile(), name);
  const there = ['a.txt', 'again'].filter((name) => existsSync(join(to, 'app', name)));
  assert.equal(there.length, 1);
  await seal(to, pending);
  assert.equal(inode(join(to, 'app/server.js')), inode(join(root, 'src/server.js')));
  assert.notEqual(inode(join(to, 'app/a.txt')), inode(join(to, 'app/again')));
  for (const [name, text] of Object.entries({ 'a.txt': 'a', again: 'a', 'b.txt': 'b', old: 'old' }))
    assert.equal(readFileSync(join(to, 'app', name), 'utf8'), text);
  assert.deepEqual([statSync(join(to, 'app/b.txt')).uid, statSync(join(root, 'b.txt')).uid], [0, 7]);
  remove();
});

test('copySelection() sees files that are only to be placed: the last one counts, and none is a directory', async () => {
  const { root, to, remove } = tree();
  const more = { steady: 'own', time: CONTEXT_TIME } as const;
  mkdirSync(join(root, 'other'));
  writeFileSync(join(root, 'other/server.js'), 'other');
  const target = { root: to, destination: '/app/', linksLater: AS_CONTEXT };
  const { pending } = await copySelection(select(root, ['src', 'other'], more), target);
  await seal(to, pending);
  assert.equal(readFileSync(join(to, 'app/server.js'), 'utf8'), 'other');
  assert.equal(statSync(join(root, 'other/server.js')).mtimeMs, CONTEXT_TIME * 1000);
  mkdirSync(join(root, 'third/server.js'), { recursive: true });
  writeFileSync(join(root, 'third/server.js/x'), 'x');
  for (const sources of [
    ['src', 'third'],
    ['a.txt', 'third'],
  ])
    await assert.rejects(
      copySelection(select(root, sources, { ...more, parents: false }), {
        root: join(to, 'app'),
        destination: sources[0] === 'src' ? '/new/' : '/server.js',
        linksLater: AS_CONTEXT,
      }),
      /not a directory|cannot copy/,
    );
  // What is in the way, as the mark of a file that is gone, makes room.
  const again = await copySelection(select(root, ['a.txt'], more), { ...target, destination: '/late' });
  writeFileSync(join(to, 'late'), 'in the way');
  await seal(to, again.pending);
  assert.equal(readFileSync(join(to, 'late'), 'utf8'), 'a');
  remove();
});

for (const count of [900, 1100])
  test(`sealChanges() gives a layer of ${count} files, one of which is large and one in the way`, async () => {
    const { root, to, remove } = tree();
    mkdirSync(join(root, 'many/deep'), { recursive: true });
    for (let n = 0; n < count; n++) {
      const path = join(root, n % 3 === 0 ? 'many/deep' : 'many', `${n}`);
      writeFileSync(path, n === 100 ? Buffer.alloc(600_000, n) : `${n}`, { mode: n % 2 === 0 ? 0o644 : 0o755 });
      utimesSync(path, CONTEXT_TIME, CONTEXT_TIME);
    }
    mkdirSync(join(to, 'app'));
    writeFileSync(join(to, 'app/zz'), 'there');
    const selection = select(root, ['many'], { steady: 'shared', time: CONTEXT_TIME });
    const { pending } = await copySelection(selection, { root: to, destination: '/app', linksLater: AS_CONTEXT });
    assert.equal(pending!.stats.length / 5, count);
    writeFileSync(join(to, 'app/1'), 'in the way');
    const { size } = await seal(to, pending);
    for (const name of ['1', 'deep/0', '100', 'zz']) {
      const { mtimeMs, uid } = statSync(join(to, 'app', name));
      assert.deepEqual([mtimeMs, uid], [CONTEXT_TIME * 1000, 0], name);
    }
    assert.equal(readFileSync(join(to, 'app/1'), 'utf8'), '1');
    assert.ok(size > 600_000);
    remove();
  });

test('sealChanges() makes nothing newer than it may be, and lets go of links that would have to be', async () => {
  const { root, to, remove } = tree();
  for (const [name, time] of [
    ['a.txt', 500],
    ['b.txt', 1500],
  ] as const)
    utimesSync(join(root, name), time, time);
  const rule = { seconds: 1000, exact: false };
  const selection = select(root, ['*.txt'], { steady: 'shared' });
  const { pending } = await copySelection(selection, { root: to, destination: '/', linksLater: rule });
  await seal(to, pending, rule);
  const [a, b] = ['a.txt', 'b.txt'].map((name) => statSync(join(to, name)));
  assert.deepEqual([a!.mtimeMs, b!.mtimeMs, statSync(to).mtimeMs], [500_000, 1_000_000, 1_000_000]);
  assert.equal(a!.ino, statSync(join(root, 'a.txt')).ino);
  assert.equal(statSync(join(root, 'b.txt')).mtimeMs, 1_500_000);
  remove();
});

test('a list of everything is as good as a look', async () => {
  const { root, to, remove } = tree();
  const time = CONTEXT_TIME;
  rmSync(join(root, 'outside'));
  mkdirSync(join(root, 'src.d'));
  writeFileSync(join(root, 'src.d/y'), 'y');
  const lines: unknown[] = [];
  for (const name of [
    'a.txt',
    'b.txt',
    'src',
    'src/deep',
    'src/deep/x.log',
    'src/link',
    'src/server.js',
    'src.d',
    'src.d/y',
  ]) {
    const path = join(root, name);
    lutimesSync(path, time, time);
    const { mode, size } = lstatSync(path);
    const isFile = (mode & 0o170000) === 0o100000;
    const digest = isFile ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
    const link = (mode & 0o170000) === 0o120000 ? [readlinkSync(path)] : [];
    lines.push([[name, mode, isFile ? size : 0, '0', '', ...link], digest]);
  }
  const list = join(root, '../list');
  writeFileSync(list, `{}\n${JSON.stringify(lines)}\n`);
  const known = { list, tree: root, complete: true };
  let n = 0;
  for (const [sources, more] of [
    [['.'], {}],
    [['src', 'a.txt'], { exclude: ['**/*.log'] }],
    [['src/deep', 'src/link'], { parents: true, owner: { uid: 3, gid: 4 } }],
    [['src.d', 's*'], { mode: 0o700, ignore: ['src', '!src/deep'] }],
  ] as const) {
    const layers: LayerDigest[] = [];
    const digests: unknown[] = [];
    for (const list of [undefined, known]) {
      const place = join(to, String(n++));
      mkdirSync(place);
      const selection = select(root, [...sources], { ...more, steady: 'shared', time, known: list });
      digests.push(await digestSelection(selection));
      const { pending } = await copySelection(selection, { root: place, destination: '/to/', linksLater: AS_CONTEXT });
      layers.push(await seal(place, pending));
    }
    assert.deepEqual(digests[1], digests[0]);
    assert.deepEqual(layers[1], layers[0]);
  }
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

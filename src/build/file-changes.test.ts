import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { changePath, type PathChange } from './file-changes.ts';

let place: string;
let root: string;
const TIME = 1_234_567_890n * 1_000_000_000n;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'gantry-changes-'));
  root = join(place, 'root');
  mkdirSync(root);
  writeFileSync(join(place, 'outside'), 'outside');
});
afterEach(() => rmSync(place, { recursive: true }));

const change = (one: PathChange): void => changePath(root, one, () => {});
const file = (path: string, text: string, mode = 0o640): PathChange => ({
  kind: 'file',
  path,
  mode,
  data: Buffer.from(text),
  owner: { uid: 3, gid: 4 },
  time: TIME,
});
const directory = (path: string, parents: boolean): PathChange => ({
  kind: 'directory',
  path,
  mode: 0o711,
  parents,
  owner: undefined,
  time: TIME,
});
const remove = (path: string, more: { allowMissing?: boolean; wildcard?: boolean } = {}): PathChange => ({
  kind: 'remove',
  path,
  allowMissing: false,
  wildcard: false,
  ...more,
});

test('a file is made with mode, owner and time, and written over with the mode that it has', () => {
  change(file('/f', 'one'));
  const made = statSync(join(root, 'f'));
  assert.deepEqual([made.mode & 0o7777, made.uid, made.gid, made.mtimeMs], [0o640, 3, 4, Number(TIME / 1_000_000n)]);
  change(file('/f', 'two', 0o777));
  assert.equal(readFileSync(join(root, 'f'), 'utf8'), 'two');
  assert.equal(statSync(join(root, 'f')).mode & 0o777, 0o640);
});

test('directories are made with their parents or without, and stay what they are', () => {
  assert.throws(() => change(directory('/a/b/c', false)), { code: 'not-found', message: /^mkdir \/a\/b\/c: no such/ });
  change(directory('/a/b/c', true));
  for (const path of ['a', 'a/b', 'a/b/c']) {
    const { mode, mtimeMs } = statSync(join(root, path));
    assert.deepEqual([path, mode & 0o777, mtimeMs], [path, 0o711, Number(TIME / 1_000_000n)]);
  }
  mkdirSync(join(root, 'mine'), { mode: 0o700 });
  change(directory('/mine', false));
  change(directory('/mine', true));
  assert.equal(statSync(join(root, 'mine')).mode & 0o777, 0o700);
  change(file('/f', 'x'));
  assert.throws(() => change(directory('/f/d', true)), { code: 'invalid-argument', message: /not a directory/ });
});

test('links lead nowhere but inside the root', () => {
  symlinkSync(join(place, 'outside'), join(root, 'absolute'));
  symlinkSync('../outside', join(root, 'relative'));
  symlinkSync('..', join(root, 'up'));
  for (const path of ['/relative', '/up/outside', '/../outside']) {
    change(file(path, 'inside'));
    assert.equal(readFileSync(join(root, 'outside'), 'utf8'), 'inside');
    change(remove('/outside'));
  }
  assert.throws(() => change(file('/absolute', 'x')), { code: 'not-found' });
  assert.equal(readFileSync(join(place, 'outside'), 'utf8'), 'outside');
  change(remove('/relative'));
  assert.equal(existsSync(join(root, 'relative')), false);
  assert.equal(readFileSync(join(place, 'outside'), 'utf8'), 'outside');
});

test('a link is made as it is written, and not over something', () => {
  const link: PathChange = { kind: 'symlink', path: '/l', target: '/any/where', owner: { uid: 5, gid: 6 }, time: TIME };
  change(link);
  assert.equal(readlinkSync(join(root, 'l')), '/any/where');
  assert.deepEqual([lstatSync(join(root, 'l')).uid, lstatSync(join(root, 'l')).gid], [5, 6]);
  assert.throws(() => change(link), { code: 'invalid-argument', message: /^symlink \/l: file exists/ });
});

test('what is there is removed, by name or by pattern; the root is not', () => {
  change(directory('/d/sub', true));
  for (const name of ['a.txt', 'b.txt', 'c.md']) change(file(`/d/${name}`, 'x'));
  change(remove('/d/*.txt', { wildcard: true }));
  assert.deepEqual(
    ['a.txt', 'b.txt', 'c.md', 'sub'].map((name) => existsSync(join(root, 'd', name))),
    [false, false, true, true],
  );
  change(remove('/d/[a]*', { wildcard: true }));
  assert.throws(() => change(remove('/nosuch')), { code: 'not-found' });
  change(remove('/nosuch', { allowMissing: true }));
  change(remove('/nosuch/below', { allowMissing: true }));
  change(remove('/d'));
  assert.equal(existsSync(join(root, 'd')), false);
  for (const path of ['/', '/..', '.']) assert.throws(() => change(remove(path)), { code: 'invalid-argument' });
});

test('what is no file is not written to', () => {
  mkdirSync(join(root, 'd'));
  assert.throws(() => change(file('/d', 'x')), { code: 'invalid-argument', message: /it is a directory/ });
});

import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { newestPackageTime, normalizeTree } from './reproducible-tree.ts';

const work = await mkdtemp(join(tmpdir(), 'gantry-tree-'));
after(() => rm(work, { recursive: true }));

test('what an installation left behind goes, later times go back, and nothing outside is touched', async () => {
  const outside = join(work, 'outside');
  const root = join(work, 'root');
  for (const directory of ['etc', 'var/lib/dpkg/info', 'var/log', 'tmp', 'run', 'dev']) {
    await mkdir(join(root, directory), { recursive: true });
  }
  await mkdir(outside);
  await writeFile(join(outside, 'keep'), 'x');
  const files = ['etc/hostname', 'etc/passwd', 'etc/passwd-', 'var/log/dpkg.log', 'var/log/wtmp', 'tmp/x'];
  for (const file of [...files, 'var/lib/dpkg/info/a.md5sums']) await writeFile(join(root, file), 'data');
  await writeFile(join(root, 'etc/shadow'), 'root:*:20780:0:99999:7:::\n');
  await utimes(join(root, 'var/lib/dpkg/info/a.md5sums'), 1_000_000, 1_000_000);
  await utimes(join(root, 'etc/passwd'), 5, 5);
  // A package may make any of these a link.
  await mkdir(join(root, 'var/cache'));
  await symlink(outside, join(root, 'var/cache/apt'));
  await symlink(join(outside, 'keep'), join(root, 'etc/machine-id'));

  const time = await newestPackageTime(root);
  assert.equal(time, 1_000_000);
  await normalizeTree(root, time);

  assert.deepEqual((await readdir(join(root, 'etc'))).sort(), ['machine-id', 'passwd', 'shadow']);
  assert.deepEqual(await readdir(join(root, 'var/log')), ['wtmp']);
  assert.equal(await readFile(join(root, 'var/log/wtmp'), 'utf8'), '');
  assert.deepEqual(await readdir(join(root, 'tmp')), []);
  assert.match(await readFile(join(root, 'etc/shadow'), 'utf8'), /^root:\*:11:0:/);
  assert.equal(await readFile(join(outside, 'keep'), 'utf8'), 'x');
  const seconds = async (path: string): Promise<number> => (await lstat(join(root, path))).mtimeMs / 1000;
  assert.equal(await seconds('etc/passwd'), 5);
  for (const path of ['', 'etc', 'etc/shadow', 'var/cache/apt', 'var/log'])
    assert.equal(await seconds(path), time, path);
});

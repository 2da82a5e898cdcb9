import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bindMount, mount, MS_RDONLY, unmount } from '../../src/linux/mount.ts';
import { mountOf, readMounts } from '../../src/linux/mountinfo.ts';

test('an overlay of more layers than one page of options can name', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'gantry-mount-'));
  const target = join(root, 'merged');
  t.after(() => {
    while (unmount(target, { detach: true }));
    rmSync(root, { recursive: true });
  });
  for (const name of ['merged', 'upper', 'work']) mkdirSync(join(root, name));
  for (const count of [2, 120, 400]) {
    const layers = Array.from({ length: count }, (_, index) => join(root, `layer:${'x'.repeat(40)}-${index}`));
    for (const [index, layer] of layers.entries()) {
      mkdirSync(layer, { recursive: true });
      writeFileSync(join(layer, `file-${index}`), String(index));
    }
    const lowerdir = layers.map((layer) => layer.replace(/[\\:]/g, '\\$&')).join(':');
    const options = [`lowerdir=${lowerdir}`, `upperdir=${join(root, 'upper')}`, `workdir=${join(root, 'work')}`];
    mount({ type: 'overlay', source: 'overlay', options }, target);
    assert.equal(mountOf(readMounts(), target)?.type, 'overlay');
    for (const index of [0, count - 1])
      assert.equal(readFileSync(join(target, `file-${index}`), 'utf8'), String(index));
    writeFileSync(join(target, 'new'), 'x');
    assert.equal(unmount(target), true);
    assert.equal(readFileSync(join(root, 'upper/new'), 'utf8'), 'x');
    mount({ type: 'overlay', source: 'overlay', options: [`lowerdir=${lowerdir}`, 'ro'] }, target);
    assert.throws(() => writeFileSync(join(target, 'new'), 'x'), { code: 'EROFS' });
    assert.equal(unmount(target), true);
  }
});

test('binds, read-only too; unmounting what is not mounted says so', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'gantry-mount-'));
  const [source, target] = [join(root, 'a b\\c'), join(root, 'target')];
  t.after(() => {
    while (unmount(target, { detach: true }));
    rmSync(root, { recursive: true });
  });
  for (const directory of [source, target]) mkdirSync(directory);
  bindMount(source, target, { flags: MS_RDONLY });
  assert.throws(() => writeFileSync(join(target, 'x'), ''), { code: 'EROFS' });
  writeFileSync(join(source, 'x'), '');
  const entry = mountOf(readMounts(), join(target, 'x'));
  assert.equal(entry?.mountPoint, target);
  assert.ok(entry.options.includes('ro'));
  assert.ok(entry.root.endsWith('/a b\\c'));
  assert.equal(unmount(target), true);
  assert.equal(unmount(target), false);
  assert.throws(() => bindMount(join(root, 'nosuch'), target), { code: 'ENOENT' });
});

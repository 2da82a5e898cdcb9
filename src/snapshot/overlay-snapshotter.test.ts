import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { EngineError } from '../base/errors.ts';
import { tarHeader } from '../content/tar/header.ts';
import { writeTar } from '../content/tar/writer.ts';
import { chainIds, type ChainId, type DiffId, sha256 } from '../oci/digest.ts';
import { Database } from '../state/database.ts';
import { applyLayer } from './apply-layer.ts';
import { changes } from './changes.ts';
import { diffLayer, digestLayer, tarTree } from './diff-layer.ts';
import { OverlaySnapshotter } from './overlay-snapshotter.ts';
import type { Mount } from './snapshotter.ts';

class Fixture implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'gantry-snapshots-'));
  readonly db = Database.open(':memory:');
  snapshotter!: OverlaySnapshotter;
  readonly #mounted: string[] = [];

  static async open(): Promise<Fixture> {
    const fixture = new Fixture();
    await fixture.restart();
    return fixture;
  }

  async restart(): Promise<void> {
    await this.snapshotter?.close();
    this.snapshotter = await OverlaySnapshotter.open(join(this.directory, 'snapshots'), this.db);
  }

  mount(mounts: readonly Mount[]): string {
    const target = mkdtempSync(join(this.directory, 'mnt-'));
    for (const { type, source, options } of mounts) {
      execFileSync('mount', ['-t', type, '-o', options.join(','), source, target]);
      if (type === 'bind' && options.includes('ro')) execFileSync('mount', ['-o', 'remount,bind,ro', target]);
    }
    this.#mounted.push(target);
    return target;
  }

  unmount(target: string): void {
    execFileSync('umount', [target]);
    this.#mounted.splice(this.#mounted.indexOf(target), 1);
  }

  async layer(parent: ChainId | undefined, files: Record<string, string>): Promise<ChainId> {
    const key = `key-${Object.keys(files).join()}-${Math.random()}`;
    await this.snapshotter.prepare(key, parent);
    const applied = await applyLayer(archive(files), this.snapshotter.changesDir(key), {
      whiteouts: 'overlay',
      lowerDirs: this.snapshotter.lowerDirs(key),
    });
    const chainId: ChainId = parent === undefined ? applied.diffId : sha256(`${parent} ${applied.diffId}`);
    await this.snapshotter.commit(chainId, key, applied);
    return chainId;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#mounted.length > 0) this.unmount(this.#mounted[0]!);
    await this.snapshotter.close();
    this.db.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function archive(files: Record<string, string>): AsyncGenerator<Uint8Array> {
  return writeTar(
    Object.entries(files).map(([name, text]) => {
      const body = Buffer.from(text);
      return name.endsWith('/')
        ? { header: tarHeader({ type: 'directory', name, mtime: 1_000_000_000n }) }
        : { header: tarHeader({ type: 'file', name, size: body.length, mtime: 1_000_000_000n }), body: [body] };
    }),
  );
}

const isRoot = process.getuid?.() === 0;

describe('OverlaySnapshotter', { skip: isRoot ? false : 'needs root' }, () => {
  test('layers stack, containers write above them, and changes become a layer again', async () => {
    await using fixture = await Fixture.open();
    const { snapshotter } = fixture;
    const base = await fixture.layer(undefined, { 'etc/': '', 'etc/a': 'a', 'etc/b': 'b', 'old/': '', 'old/x': 'x' });
    const top = await fixture.layer(base, { 'etc/.wh.b': '', 'old/': '', 'old/.wh..wh..opq': '', 'old/y': 'y' });

    await snapshotter.prepare('c1', top);
    const root = fixture.mount(await snapshotter.mounts('c1'));
    assert.deepEqual(readdirSync(join(root, 'etc')), ['a']);
    assert.deepEqual(readdirSync(join(root, 'old')), ['y']);
    writeFileSync(join(root, 'etc/new'), 'new');
    writeFileSync(join(root, 'etc/a'), 'changed');
    rmSync(join(root, 'old'), { recursive: true });
    mkdirSync(join(root, 'old'));
    writeFileSync(join(root, 'old/z'), 'z');
    rmSync(join(root, 'old/z'));
    writeFileSync(join(root, 'same'), '');
    rmSync(join(root, 'same'));

    const seen = await changes(snapshotter.changesDir('c1'), snapshotter.lowerDirs('c1'));
    assert.deepEqual(seen, [
      { Path: '/etc', Kind: 0 },
      { Path: '/etc/a', Kind: 0 },
      { Path: '/etc/new', Kind: 1 },
      { Path: '/old', Kind: 0 },
      { Path: '/old/y', Kind: 2 },
    ]);
    fixture.unmount(root);

    await snapshotter.prepare('copy', top);
    const copied = await applyLayer(diffLayer(snapshotter.changesDir('c1')), snapshotter.changesDir('copy'), {
      whiteouts: 'overlay',
      lowerDirs: snapshotter.lowerDirs('copy'),
    });
    assert.deepEqual((await digestLayer(snapshotter.changesDir('c1'))).diffId, copied.diffId);
    assert.deepEqual((await digestLayer(snapshotter.changesDir('copy'))).diffId, copied.diffId);
    const [, , chainId] = chainIds([...diffIds(snapshotter, top), copied.diffId]);
    await snapshotter.commit(chainId!, 'copy', copied);
    const view = fixture.mount(await snapshotter.mounts(chainId!));
    assert.equal(readFileSync(join(view, 'etc/a'), 'utf8'), 'changed');
    assert.deepEqual(readdirSync(join(view, 'old')), []);
    assert.throws(() => writeFileSync(join(view, 'etc/a'), ''), { code: 'EROFS' });
    const exported = await Array.fromAsync(tarTree(view));
    assert.ok(Buffer.concat(exported).includes('etc/new'));
  });

  test('what is written through an unsynced mount is the layer all the same', async () => {
    await using fixture = await Fixture.open();
    const { snapshotter } = fixture;
    const base = await fixture.layer(undefined, { 'etc/': '', 'etc/a': 'a' });
    await snapshotter.prepare('step', base);
    const mounts = await snapshotter.mounts('step', { unsynced: true });
    // Where the kernel has it (Linux 5.10); the layers below, and mounts of containers, are as ever.
    if (mounts[0]!.options.includes('volatile')) {
      for (const name of ['step', base])
        assert.ok((await snapshotter.mounts(name)).every(({ options }) => !options.includes('volatile')));
    }
    const root = fixture.mount(mounts);
    writeFileSync(join(root, 'etc/b'), 'b', { flush: true });
    rmSync(join(root, 'etc/a'));
    fixture.unmount(root);
    const layer = await digestLayer(snapshotter.changesDir('step'));
    const [, chainId] = chainIds([...diffIds(snapshotter, base), layer.diffId]);
    await snapshotter.commit(chainId!, 'step', layer);
    const view = fixture.mount(await snapshotter.mounts(chainId!));
    assert.deepEqual(readdirSync(join(view, 'etc')), ['b']);
    assert.equal(readFileSync(join(view, 'etc/b'), 'utf8'), 'b');
  });

  test('a layer alone is a read-only bind; a snapshot with children stays', async () => {
    await using fixture = await Fixture.open();
    const { snapshotter } = fixture;
    const base = await fixture.layer(undefined, { a: 'a' });
    await snapshotter.prepare('c', base);
    const view = fixture.mount(await snapshotter.mounts(base));
    assert.throws(() => writeFileSync(join(view, 'a'), ''), { code: 'EROFS' });
    await assert.rejects(snapshotter.remove(base), { code: 'conflict' });
    await assert.rejects(snapshotter.prepare('c', base), { code: 'already-exists' });
    await assert.rejects(snapshotter.prepare('d', sha256('nothing')), { code: 'not-found' });
    await snapshotter.remove('c');
    fixture.unmount(view);
    await snapshotter.remove(base);
    await snapshotter.settled();
    assert.deepEqual(snapshotter.list(), []);
    assert.deepEqual(readdirSync(join(fixture.directory, 'snapshots')), ['trash']);
    assert.deepEqual(readdirSync(join(fixture.directory, 'snapshots/trash')), []);
  });

  test('the same layer committed twice is one', async () => {
    await using fixture = await Fixture.open();
    const { snapshotter } = fixture;
    const [one, two] = await Promise.all([fixture.layer(undefined, { a: 'a' }), fixture.layer(undefined, { a: 'a' })]);
    assert.equal(one, two);
    assert.equal(snapshotter.list().length, 1);
    await snapshotter.prepare('x', one);
    await assert.rejects(snapshotter.commit(one, 'x', { diffId: one, size: 1 }), { code: 'invalid-argument' });
  });

  test('a start removes what no row knows, and gives an active snapshot its directory back', async () => {
    await using fixture = await Fixture.open();
    const base = await fixture.layer(undefined, { 'a/': '' });
    await fixture.snapshotter.prepare('c', base);
    const changesDir = fixture.snapshotter.changesDir('c');
    rmSync(join(changesDir, '..'), { recursive: true });
    mkdirSync(join(fixture.directory, 'snapshots/77/fs/deep'), { recursive: true });
    await fixture.restart();
    await fixture.snapshotter.settled();
    assert.ok(statSync(changesDir).isDirectory());
    assert.equal(fixture.snapshotter.changesDir('c'), changesDir);
    assert.throws(() => statSync(join(fixture.directory, 'snapshots/77')), { code: 'ENOENT' });
    await fixture.snapshotter.prepare('d', base);
    assert.notEqual(fixture.snapshotter.changesDir('d'), changesDir);
  });

  test('mount points of a container are there, and no changes of it', async () => {
    await using fixture = await Fixture.open();
    const { snapshotter } = fixture;
    const base = await fixture.layer(undefined, { 'etc/': '', 'etc/hosts': 'mine' });
    const scaffold = [
      { path: '/etc/hosts', kind: 'file' },
      { path: '/etc/resolv.conf', kind: 'file' },
      { path: '/dev/shm', kind: 'directory' },
      { path: '/etc/mtab', kind: 'symlink', target: '/proc/mounts' },
    ] as const;
    await snapshotter.prepare('c', base, { scaffold: [...scaffold, { path: '/etc/hosts/below', kind: 'file' }] });
    await snapshotter.prepare('empty', undefined, { scaffold });
    const root = fixture.mount(await snapshotter.mounts('c'));
    assert.equal(readFileSync(join(root, 'etc/hosts'), 'utf8'), 'mine');
    assert.equal(readFileSync(join(root, 'etc/resolv.conf'), 'utf8'), '');
    assert.equal(readlinkSync(join(root, 'etc/mtab')), '/proc/mounts');
    assert.equal(statSync(join(root, 'etc')).mtimeMs, 1000);
    assert.deepEqual(await changes(snapshotter.changesDir('c'), snapshotter.lowerDirs('c')), []);
    writeFileSync(join(root, 'etc/resolv.conf'), 'x');
    assert.deepEqual(await changes(snapshotter.changesDir('c'), snapshotter.lowerDirs('c')), [
      { Path: '/etc', Kind: 0 },
      { Path: '/etc/resolv.conf', Kind: 0 },
    ]);
    assert.ok(statSync(join(fixture.mount(await snapshotter.mounts('empty')), 'dev/shm')).isDirectory());
  });

  test('a path that mount options cannot carry is refused', async () => {
    const db = Database.open(':memory:');
    await assert.rejects(OverlaySnapshotter.open('/tmp/a:b', db), (error) => error instanceof EngineError);
    db.close();
  });
});

function diffIds(snapshotter: OverlaySnapshotter, chainId: ChainId): DiffId[] {
  const info = snapshotter.stat(chainId)!;
  return [...(info.parent === undefined ? [] : diffIds(snapshotter, info.parent)), info.layer!.diffId];
}

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type ByteString, byteString } from '../base/byte-string.ts';
import type { ErrorCode } from '../base/errors.ts';
import { type TarHeader, tarHeader } from '../content/tar/header.ts';
import { encodeHeader, type TarSource, writeTar } from '../content/tar/writer.ts';
import { closeFd, namesIn, openAt, openDirectory, statAt } from '../linux/files.ts';
import { getXattr, listXattrs, setXattr } from '../linux/xattr.ts';
import { applyLayer, type ApplyLayerOptions, type ArchiveSource } from './apply-layer.ts';
import { diffLayer, digestLayer } from './diff-layer.ts';

const OVERLAY: ApplyLayerOptions = { whiteouts: 'overlay' };
const LITERAL: ApplyLayerOptions = { whiteouts: 'literal' };

/** A directory to extract into, with a canary beside it that nothing may touch. */
class Sandbox implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'gantry-layer-'));
  readonly target = join(this.directory, 'target');
  readonly canary = join(this.directory, 'canary');
  readonly #before: string;

  constructor() {
    mkdirSync(this.target);
    mkdirSync(join(this.canary, 'sub'), { recursive: true });
    writeFileSync(join(this.canary, 'victim'), 'alive', { mode: 0o600 });
    this.#before = this.#look();
  }

  #look(): string {
    return ['victim', '.', 'sub']
      .map((name) => lstatSync(join(this.canary, name), { bigint: true }))
      .map(({ mode, nlink, uid, size, mtimeNs, ctimeNs, ino }) =>
        [mode, nlink, uid, size, mtimeNs, ctimeNs, ino].join(),
      )
      .join('\n');
  }

  assertCanaryLives(): void {
    assert.equal(this.#look(), this.#before);
    assert.deepEqual(readdirSync(this.directory).sort(), ['canary', 'target']);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const entry = {
  file: (name: ByteString, text = '', more: Partial<TarHeader> = {}): TarSource => ({
    header: tarHeader({ type: 'file', name, size: Buffer.byteLength(text), ...more }),
    body: [Buffer.from(text)],
  }),
  directory: (name: ByteString, more: Partial<TarHeader> = {}): TarSource => ({
    header: tarHeader({ type: 'directory', name, ...more }),
  }),
  symlink: (name: ByteString, linkName: ByteString): TarSource => ({
    header: tarHeader({ type: 'symlink', name, linkName, mode: 0o777 }),
  }),
  link: (name: ByteString, linkName: ByteString, more: Partial<TarHeader> = {}): TarSource => ({
    header: tarHeader({ type: 'hard-link', name, linkName, ...more }),
  }),
};

async function tar(...entries: TarSource[]): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(writeTar(entries)));
}

async function* bytes(data: Buffer): ArchiveSource & AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += 65536) yield data.subarray(at, at + 65536);
}

function sha256(data: Buffer): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

/** Everything that there is to know of a tree. */
function describeTree(directory: string): string[] {
  const lines: string[] = [];
  const inodes = new Map<bigint, string>();
  const visit = (fd: number, path: string): void => {
    for (const name of namesIn(fd)) {
      const stat = statAt(fd, name)!;
      const here = `${path}/${name}`;
      const first = stat.kind !== 'directory' && stat.links > 1 ? inodes.get(stat.inode) : undefined;
      if (first === undefined) inodes.set(stat.inode, here);
      const place = Buffer.from(`/proc/self/fd/${fd}/${name}`, 'latin1');
      const isOpenable = stat.kind === 'directory' || stat.kind === 'file';
      const child = isOpenable ? openAt(fd, name, 0) : undefined;
      const xattrs =
        child === undefined ? [] : listXattrs(child).map((key) => `${key}=${getXattr(child, key)!.toString('hex')}`);
      lines.push(
        [
          here,
          stat.kind,
          stat.mode.toString(8),
          stat.uid,
          stat.gid,
          stat.mtime,
          stat.kind === 'directory' ? '' : stat.size,
          `${stat.deviceMajor}:${stat.deviceMinor}`,
          first ?? '',
          stat.kind === 'symlink' ? readlinkSync(place) : '',
          stat.kind === 'file' ? sha256(readFileSync(place)) : '',
          ...xattrs,
        ].join(' '),
      );
      if (stat.kind === 'directory') visit(child!, here);
      if (child !== undefined) closeFd(child);
    }
  };
  const root = openDirectory(directory);
  visit(root, '');
  closeFd(root);
  return lines;
}

function fileDescriptor(path: string): number {
  const directory = openDirectory(join(path, '..'));
  try {
    return openAt(directory, path.slice(path.lastIndexOf('/') + 1), 0);
  } finally {
    closeFd(directory);
  }
}

const isRoot = process.getuid?.() === 0;

describe('applyLayer', { skip: isRoot ? false : 'needs root' }, () => {
  test('what GNU tar packs arrives as GNU tar unpacks it', async () => {
    using sandbox = new Sandbox();
    const source = join(sandbox.target, 's');
    makeRichTree(source);
    for (const format of [
      ['--format=gnu'],
      ['--format=pax', '--xattrs', '--xattrs-include=*'],
      ['--format=pax', '--sparse'],
    ]) {
      const archive = join(sandbox.target, 'a.tar');
      const [theirs, ours] = [join(sandbox.target, 'theirs'), join(sandbox.target, 'ours')];
      for (const directory of [theirs, ours]) mkdirSync(directory);
      execFileSync('tar', [...format, '--numeric-owner', '-cf', archive, '-C', source, '.']);
      execFileSync('tar', [
        '--xattrs',
        '--xattrs-include=*',
        '--numeric-owner',
        '--same-permissions',
        '-xf',
        archive,
        '-C',
        theirs,
      ]);
      const applied = await applyLayer({ path: archive }, ours, OVERLAY);
      assert.deepEqual(describeTree(ours), describeTree(theirs), format.join(' '));
      assert.equal(statSync(ours).mtimeMs, statSync(theirs).mtimeMs);
      assert.equal(applied.diffId, sha256(readFileSync(archive)));
      for (const directory of [theirs, ours]) rmSync(directory, { recursive: true });
    }
  });

  test('a tree, its layer, and the tree made of that are the same, byte for byte', async () => {
    using sandbox = new Sandbox();
    const [one, two] = [join(sandbox.target, 'one'), join(sandbox.target, 'two')];
    makeRichTree(one);
    execFileSync('mknod', [join(one, 'whiteout'), 'c', '0', '0']);
    const opaque = openDirectory(join(one, 'dir'));
    setXattr(opaque, 'trusted.overlay.opaque', Buffer.from('y'));
    closeFd(opaque);
    chmodSync(one, 0o711);
    mkdirSync(two);
    const layer = Buffer.concat(await Array.fromAsync(diffLayer(one)));
    assert.ok(layer.includes('.wh.whiteout') && layer.includes('dir/.wh..wh..opq'));
    const applied = await applyLayer(bytes(layer), two, OVERLAY);
    const digest = await digestLayer(one);
    assert.equal(applied.diffId, sha256(layer));
    assert.deepEqual(digest, { diffId: applied.diffId, size: applied.size, tarSize: layer.length });
    assert.deepEqual(await digestLayer(two), digest);
    assert.equal(statSync(two).mode & 0o7777, 0o711);
    const comparable = (directory: string): string[] =>
      describeTree(directory).map((line) => (line.includes('/whiteout ') ? '/whiteout' : line));
    assert.deepEqual(comparable(two), comparable(one));
  });

  test('compression is recognised; the digest is of all bytes, those after the end too', async () => {
    const plain = Buffer.concat([
      await tar(entry.file('a', 'text'.repeat(100_000))),
      Buffer.from('junk after the end'),
    ]);
    const half = plain.length >> 1;
    const variants: [string, Buffer][] = [
      ['plain', plain],
      ['gzip', gzipSync(plain)],
      ['two gzip members', Buffer.concat([gzipSync(plain.subarray(0, half)), gzipSync(plain.subarray(half))])],
      ['zstd', zstdCompressSync(plain)],
      [
        'two zstd frames',
        Buffer.concat([zstdCompressSync(plain.subarray(0, half)), zstdCompressSync(plain.subarray(half))]),
      ],
    ];
    for (const [name, data] of variants) {
      using sandbox = new Sandbox();
      const path = join(sandbox.canary, '../target/archive');
      writeFileSync(path, data);
      for (const source of [{ path }, bytes(data)]) {
        assert.equal((await applyLayer(source, sandbox.target, OVERLAY)).diffId, sha256(plain), name);
        assert.equal(readFileSync(join(sandbox.target, 'a')).length, 400_000);
      }
    }
  });

  test('bzip2 and xz are for archives of people, through the host', async () => {
    using sandbox = new Sandbox();
    const plain = await tar(entry.file('a', 'text'));
    for (const program of ['xz', 'bzip2']) {
      const packed = execFileSync(program, ['-c'], { input: plain });
      await applyLayer(bytes(packed), sandbox.target, { ...LITERAL, allowExternal: true });
      assert.equal(readFileSync(join(sandbox.target, 'a'), 'utf8'), 'text');
      await refused(sandbox, packed, 'unimplemented', /use gzip or zstd/);
      const broken = Buffer.concat([packed.subarray(0, packed.length >> 1), Buffer.alloc(50)]);
      await assert.rejects(applyLayer(bytes(broken), sandbox.target, { ...LITERAL, allowExternal: true }), {
        code: 'corrupt',
      });
    }
  });

  test('data that is not what it is said to be, or breaks off', async () => {
    using sandbox = new Sandbox();
    const plain = await tar(entry.file('a', 'text'));
    await refused(sandbox, plain, 'corrupt', /said to be compressed with gzip, and is not compressed/, {
      ...OVERLAY,
      compression: 'gzip',
    });
    await refused(sandbox, gzipSync(plain), 'corrupt', /said to be not compressed/, {
      ...OVERLAY,
      compression: 'none',
    });
    await refused(sandbox, gzipSync(plain).subarray(0, 60), 'corrupt', /invalid gzip data/);
    await refused(sandbox, zstdCompressSync(plain).subarray(0, 60), 'corrupt', /zstd|end of the archive/);
    await refused(sandbox, Buffer.from('<html>no such blob</html>'.repeat(40)), 'corrupt', /tar/);
    await assert.rejects(applyLayer({ path: '/nowhere' }, sandbox.target, OVERLAY), { code: 'not-found' });
  });

  test('an abort stops it, and a source that fails is heard', async () => {
    using sandbox = new Sandbox();
    const abort = new AbortController();
    const endless = (async function* () {
      yield encodeHeader(tarHeader({ type: 'file', name: 'a', size: 2 ** 40 }));
      for (let count = 0; ; count++) {
        if (count === 20) abort.abort();
        yield Buffer.alloc(65536);
      }
    })();
    const limits = { maxBytes: 2 ** 41 };
    await assert.rejects(applyLayer(endless, sandbox.target, { ...OVERLAY, limits, signal: abort.signal }), {
      code: 'cancelled',
    });
    await assert.rejects(
      applyLayer({ path: '/dev/zero' }, sandbox.target, { ...OVERLAY, signal: AbortSignal.abort() }),
      {
        code: 'cancelled',
      },
    );
    const failing = (async function* () {
      yield encodeHeader(tarHeader({ type: 'file', name: 'b', size: 5 }));
      throw new RangeError('the network is gone');
    })();
    await assert.rejects(applyLayer(failing, sandbox.target, OVERLAY), RangeError);
  });

  test('nothing stays open, whatever happens', async () => {
    using sandbox = new Sandbox();
    const good = await tar(entry.file('a/b/c/d', 'x'), entry.symlink('l', 'a/b'), entry.link('l/e', 'a/b/c/d'));
    const bad = await tar(entry.file('a/b/c/d', 'x'), entry.file('a/b/c/d/e', 'x'));
    await applyLayer(bytes(good), sandbox.target, LITERAL);
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let round = 0; round < 20; round++) {
      await applyLayer(bytes(good), sandbox.target, LITERAL);
      await assert.rejects(applyLayer(bytes(bad), sandbox.target, LITERAL), { code: 'corrupt' });
      await digestLayer(sandbox.target);
    }
    assert.ok(count() <= before + 1, `${count()} open, ${before} before`);
  });
});

describe('whiteouts', { skip: isRoot ? false : 'needs root' }, () => {
  const cases: [string, TarSource[], Record<string, string>][] = [
    ['alone', [entry.file('.wh.gone')], { gone: 'hidden' }],
    ['in a directory that is only implied', [entry.file('d/.wh.gone')], { d: 'directory', 'd/gone': 'hidden' }],
    ['before the file of the same name', [entry.file('.wh.a'), entry.file('a')], { a: 'file' }],
    ['after it', [entry.file('a'), entry.file('.wh.a')], { a: 'file' }],
    [
      'before the directory',
      [entry.file('.wh.d'), entry.directory('d/'), entry.file('d/x')],
      { d: 'opaque', 'd/x': 'file' },
    ],
    [
      'after the directory',
      [entry.directory('d/'), entry.file('d/x'), entry.file('.wh.d')],
      { d: 'opaque', 'd/x': 'file' },
    ],
    ['before files that only imply it', [entry.file('.wh.d'), entry.file('d/x')], { d: 'opaque', 'd/x': 'file' }],
    [
      'opaque first',
      [entry.file('d/.wh..wh..opq'), entry.directory('d/'), entry.file('d/x')],
      { d: 'opaque', 'd/x': 'file' },
    ],
    ['opaque last', [entry.file('d/x'), entry.file('d/.wh..wh..opq')], { d: 'opaque', 'd/x': 'file' }],
    ['as a directory', [entry.directory('.wh.gone/')], { gone: 'hidden' }],
    ['a real device 0:0', [{ header: tarHeader({ type: 'character-device', name: 'gone' }) }], { gone: 'hidden' }],
    [
      'other marks of aufs',
      [entry.directory('.wh..wh.plnk/'), entry.file('.wh..wh.plnk/1.2'), entry.file('.wh..wh.aufs')],
      {},
    ],
  ];
  for (const [name, entries, expected] of cases) {
    test(name, async () => {
      using sandbox = new Sandbox();
      await applyLayer(bytes(await tar(...entries)), sandbox.target, OVERLAY);
      assert.deepEqual(marks(sandbox.target), expected);
    });
  }

  test('invalid ones are refused', async () => {
    for (const name of ['.wh.', '.wh..', '.wh...', 'd/.wh.', '.wh.a/b', '../.wh.x', '.wh./x']) {
      using sandbox = new Sandbox();
      await refused(sandbox, await tar(entry.file(name)), 'corrupt', /whiteout|outside/);
      assert.deepEqual(marks(sandbox.target), {});
    }
  });

  test('an opaque root hides each name below; the lowest layer has nothing to hide', async () => {
    using sandbox = new Sandbox();
    const lower = join(sandbox.target, 'lower');
    const upper = join(sandbox.target, 'upper');
    for (const path of [join(lower, 'old'), join(lower, 'both'), upper]) mkdirSync(path, { recursive: true });
    const layer = await tar(entry.file('.wh..wh..opq'), entry.directory('both/'), entry.file('.wh.none'));
    await applyLayer(bytes(layer), upper, { ...OVERLAY, lowerDirs: [lower] });
    assert.deepEqual(marks(upper), { old: 'hidden', both: 'opaque', none: 'hidden' });
    rmSync(upper, { recursive: true });
    mkdirSync(upper);
    await applyLayer(bytes(layer), upper, { ...OVERLAY, lowerDirs: [] });
    assert.deepEqual(marks(upper), { both: 'directory' });
  });

  test('a directory that is only implied looks like the one below', async () => {
    using sandbox = new Sandbox();
    const lower = join(sandbox.target, 'lower');
    const upper = join(sandbox.target, 'upper');
    mkdirSync(join(lower, 'tmp/private'), { recursive: true });
    mkdirSync(upper);
    chmodSync(join(lower, 'tmp'), 0o1777);
    chownSync(join(lower, 'tmp/private'), 1000, 1001);
    await applyLayer(bytes(await tar(entry.file('tmp/private/new/x'))), upper, { ...OVERLAY, lowerDirs: [lower] });
    assert.equal(statSync(join(upper, 'tmp')).mode & 0o7777, 0o1777);
    assert.equal(statSync(join(upper, 'tmp/private')).uid, 1000);
    assert.equal(statSync(join(upper, 'tmp/private/new')).mode & 0o7777, 0o755);
    assert.equal(statSync(join(upper, 'tmp')).mtimeMs, statSync(join(lower, 'tmp')).mtimeMs);
  });

  test('they are plain names where the archive is no layer', async () => {
    using sandbox = new Sandbox();
    await applyLayer(bytes(await tar(entry.file('.wh.a'), entry.file('.wh..wh..opq'))), sandbox.target, LITERAL);
    assert.deepEqual(marks(sandbox.target), { '.wh.a': 'file', '.wh..wh..opq': 'file' });
  });
});

describe('hostile archives', { skip: isRoot ? false : 'needs root' }, () => {
  const outside = '../canary/victim';
  const modes = [OVERLAY, LITERAL];
  // Each either throws or ends up inside; which, does not matter to the canary.
  const attacks: Record<string, (canary: string) => TarSource[]> = {
    'a name with ..': () => [entry.file(outside, 'dead')],
    'a name with .. further in': () => [entry.directory('a/'), entry.file(`a/../${outside}`, 'dead')],
    'an absolute name': (canary) => [entry.file(`${canary}/victim`, 'dead')],
    'a directory with ..': () => [entry.directory('../canary/', { mode: 0o777, mtime: 1n })],
    'a symlink, then a write through it': () => [entry.symlink('l', '../canary'), entry.file('l/victim', 'dead')],
    'an absolute symlink, then a write through it': (canary) => [
      entry.symlink('l', canary),
      entry.file('l/victim', 'dead'),
    ],
    'a chain of symlinks': () => [
      entry.directory('a/'),
      entry.symlink('a/b', '..'),
      entry.symlink('c', 'a/b/..'),
      entry.file('c/canary/victim', 'dead'),
    ],
    'a symlink in the place of a directory': (canary) => [
      entry.directory('d/'),
      entry.file('d/x'),
      entry.symlink('d', canary),
      entry.file('d/victim', 'dead'),
      entry.directory('d/', { mode: 0o777 }),
    ],
    'a write to a symlink itself': (canary) => [entry.symlink('l', `${canary}/victim`), entry.file('l', 'dead')],
    'a directory over a symlink': (canary) => [
      entry.symlink('l', canary),
      entry.directory('l/', { mode: 0o777, uid: 1000 }),
      entry.file('l/victim', 'dead'),
    ],
    'a hard link to ..': () => [entry.link('h', outside), entry.file('h', 'dead', { mode: 0o777 })],
    'a hard link to an absolute name': (canary) => [entry.link('h', `${canary}/victim`, { mode: 0o777 })],
    'a hard link through a symlink': (canary) => [entry.symlink('l', canary), entry.link('h', 'l/victim')],
    'a hard link to a symlink, described': (canary) => [
      entry.symlink('l', `${canary}/victim`),
      entry.link('h', 'l', { mode: 0o777, uid: 1000, mtime: 5n }),
      entry.file('h/x', 'dead'),
    ],
    'a hard link to a directory': () => [entry.directory('d/'), entry.link('h', 'd')],
    'a hard link to itself': () => [entry.link('h', 'h')],
    'a hard link to the root': () => [entry.link('h', '.')],
    'a device through a symlink': (canary) => [
      entry.symlink('l', canary),
      { header: tarHeader({ type: 'character-device', name: 'l/dev', deviceMajor: 1, deviceMinor: 3, mode: 0o666 }) },
    ],
    'a whiteout through a symlink': (canary) => [entry.symlink('l', canary), entry.file('l/.wh.victim')],
    'an opaque mark through a symlink': (canary) => [entry.symlink('l', canary), entry.file('l/.wh..wh..opq')],
    'a whiteout of the parent': () => [entry.file('.wh...'), entry.file('a/.wh...')],
    'a symlink to itself': () => [entry.symlink('l', 'l'), entry.file('l/x', 'dead')],
    'two symlinks to each other': () => [entry.symlink('a', 'b'), entry.symlink('b', 'a'), entry.file('a/x', 'dead')],
    'a symlink to nothing': () => [entry.symlink('l', ''), entry.file('l/x')],
    'the root as a file': () => [entry.file('.', 'dead'), entry.symlink('/', '/etc')],
    'the root by a detour': () => [entry.directory('a/../', { mode: 0o755 })],
    'a file below a file': () => [entry.file('f'), entry.file('f/x', 'dead')],
    'a device with an impossible number': () => [
      { header: tarHeader({ type: 'block-device', name: 'dev', deviceMajor: 4096, deviceMinor: 1 }) },
    ],
    'directories without an end': () => [entry.file(`${'d/'.repeat(2000)}x`)],
  };
  for (const [name, archive] of Object.entries(attacks)) {
    test(name, async () => {
      for (const options of modes) {
        using sandbox = new Sandbox();
        const data = await tar(...archive(sandbox.canary));
        try {
          await applyLayer(bytes(data), sandbox.target, options);
        } catch (error) {
          const { code, message } = error as { code: string; message: string };
          assert.ok(code === 'corrupt' || code === 'too-large', `${code}: ${message}`);
        }
        sandbox.assertCanaryLives();
      }
    });
  }

  test('attributes of the overlay and of the host stay out', async () => {
    using sandbox = new Sandbox();
    const xattrs = new Map<string, Uint8Array>([
      ['trusted.overlay.redirect', Buffer.from('/etc')],
      ['trusted.overlay.metacopy', Buffer.from('')],
      ['trusted.other', Buffer.from('x')],
      ['user.overlay.opaque', Buffer.from('y')],
      ['security.ima', Buffer.from('x')],
      ['security.selinux', Buffer.from('x')],
      ['user.kept', Buffer.from('')],
      ['security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex')],
    ]);
    await applyLayer(
      bytes(await tar(entry.file('f', 'x', { xattrs }), entry.directory('d/', { xattrs }))),
      sandbox.target,
      LITERAL,
    );
    const fd = fileDescriptor(join(sandbox.target, 'f'));
    assert.deepEqual(listXattrs(fd), ['security.capability', 'user.kept']);
    closeFd(fd);
    const invalid = new Map([['security.capability', Buffer.from('nonsense')]]);
    await refused(sandbox, await tar(entry.file('f', 'x', { xattrs: invalid })), 'corrupt', /cannot extract f/);
  });

  test('the last of several entries of a name counts', async () => {
    const d = [entry.directory('x/'), entry.file('x/inside', '1')];
    const variants: [TarSource[], Record<string, string>][] = [
      [[entry.file('x', '1'), entry.file('x', '22')], { x: 'file' }],
      [[entry.file('x'), ...d], { x: 'directory', 'x/inside': 'file' }],
      [[...d, entry.file('x')], { x: 'file' }],
      [[...d, entry.symlink('x', 'y'), ...d], { x: 'directory', 'x/inside': 'file' }],
      [[...d, entry.directory('x/')], { x: 'directory', 'x/inside': 'file' }],
      [[entry.file('y', '1'), entry.link('x', 'y'), entry.file('y', '2')], { x: 'file', y: 'file' }],
      [[entry.file('y', '1'), ...d, entry.link('x', 'y')], { x: 'file', y: 'file' }],
      [
        [entry.file(byteString('é')), entry.file(byteString('e\u0301')), entry.file('A'), entry.file('a')],
        {
          A: 'file',
          a: 'file',
          'e\u0301': 'file',
          é: 'file',
        },
      ],
    ];
    for (const [entries, expected] of variants) {
      using sandbox = new Sandbox();
      await applyLayer(bytes(await tar(...entries)), sandbox.target, LITERAL);
      assert.deepEqual(marks(sandbox.target), expected);
    }
  });

  test('a directory and something else do not replace each other where that is not wanted', async () => {
    using sandbox = new Sandbox();
    mkdirSync(join(sandbox.target, 'd'));
    writeFileSync(join(sandbox.target, 'f'), 'kept');
    writeFileSync(join(sandbox.target, 'g'), '');
    const options = { ...LITERAL, noOverwriteDirNonDir: true };
    const words = (a: string, b: string): RegExp => new RegExp(`cannot overwrite ${a} ".*" with ${b}`);
    await refused(
      sandbox,
      await tar(entry.file('d')),
      'invalid-argument',
      words('directory', 'non-directory'),
      options,
    );
    await refused(
      sandbox,
      await tar(entry.link('d', 'g')),
      'invalid-argument',
      words('directory', 'non-directory'),
      options,
    );
    await refused(
      sandbox,
      await tar(entry.directory('f/')),
      'invalid-argument',
      words('non-directory', 'directory'),
      options,
    );
    assert.equal(readFileSync(join(sandbox.target, 'f'), 'utf8'), 'kept');
    await applyLayer(bytes(await tar(entry.directory('d/'), entry.file('f', 'new'))), sandbox.target, options);
    assert.equal(readFileSync(join(sandbox.target, 'f'), 'utf8'), 'new');
  });

  test("an owner given from outside is everything's owner", async () => {
    using sandbox = new Sandbox();
    const archive = await tar(
      entry.file('a/f', '', { uid: 5 }),
      entry.symlink('l', 'x'),
      entry.directory('d/', { gid: 7 }),
    );
    await applyLayer(bytes(archive), sandbox.target, { ...LITERAL, owner: { uid: 1000, gid: 1001 } });
    for (const name of ['a', 'a/f', 'l', 'd']) {
      const { uid, gid } = lstatSync(join(sandbox.target, name));
      assert.deepEqual([uid, gid], [1000, 1001], name);
    }
  });

  test('too many entries, too many bytes', async () => {
    using sandbox = new Sandbox();
    const many = await tar(...Array.from({ length: 11 }, (_, index) => entry.file(`f${index}`)));
    await refused(sandbox, many, 'too-large', /more than 10 entries/, { ...OVERLAY, limits: { maxEntries: 10 } });
    const large = encodeHeader(tarHeader({ type: 'file', name: 'a', size: 1001 }));
    await refused(sandbox, large, 'too-large', /more than the 1000 bytes/, { ...OVERLAY, limits: { maxBytes: 1000 } });
    const larger = encodeHeader(tarHeader({ type: 'file', name: 'a', size: 2 ** 50 }));
    await refused(sandbox, larger, 'too-large', /there is room for/);
    assert.equal(existsSync(join(sandbox.target, 'a')), false, 'refused before anything is written');
  });

  test('a decompression bomb stops early, in bounded memory', async () => {
    using sandbox = new Sandbox();
    const header = encodeHeader(tarHeader({ type: 'file', name: 'bomb', size: 2 ** 36 }));
    const zeros = zstdCompressSync(Buffer.alloc(64 << 20));
    const bomb = Buffer.concat([zstdCompressSync(header), ...Array.from({ length: 1024 }, () => zeros)]);
    assert.ok(bomb.length < 10 << 20);
    const before = process.memoryUsage.rss();
    await refused(sandbox, bomb, 'too-large', /grows more than 1000 times/, {
      ...OVERLAY,
      limits: { maxBytes: 2 ** 40 },
    });
    assert.ok(lstatSync(join(sandbox.target, 'bomb')).size <= 257 << 20);
    assert.ok(process.memoryUsage.rss() - before < 128 << 20);
  });
});

async function refused(
  sandbox: Sandbox,
  archive: Buffer,
  code: ErrorCode,
  message: RegExp,
  options: ApplyLayerOptions = OVERLAY,
): Promise<void> {
  await assert.rejects(applyLayer(bytes(archive), sandbox.target, options), { code, message });
  sandbox.assertCanaryLives();
}

/** What overlayfs would see in a changes directory. */
function marks(directory: string, prefix = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(directory, prefix)).sort()) {
    const path = join(prefix, name);
    const stat = lstatSync(join(directory, path));
    if (stat.isCharacterDevice() && stat.rdev === 0) found[path] = 'hidden';
    else if (stat.isSymbolicLink()) found[path] = 'symlink';
    else if (!stat.isDirectory()) found[path] = 'file';
    else {
      const fd = openDirectory(join(directory, path));
      found[path] = getXattr(fd, 'trusted.overlay.opaque') ? 'opaque' : 'directory';
      closeFd(fd);
      Object.assign(found, marks(directory, path));
    }
  }
  return found;
}

/** One of everything that a layer can hold. */
function makeRichTree(root: string): void {
  mkdirSync(join(root, 'dir/sub'), { recursive: true });
  writeFileSync(join(root, 'dir/file'), 'content');
  chownSync(join(root, 'dir/file'), 4_000_000, 3_000_000_000);
  chmodSync(join(root, 'dir/file'), 0o6755);
  chmodSync(join(root, 'dir'), 0o3775);
  linkSync(join(root, 'dir/file'), join(root, 'linked'));
  symlinkSync('/absolute/target', join(root, 'dir/absolute'));
  symlinkSync('../dir', join(root, 'dir/sub/relative'));
  linkSync(join(root, 'dir/absolute'), join(root, 'linked-symlink'));
  writeFileSync(join(root, 'n'.repeat(255)), 'long name');
  mkdirSync(join(root, 'p'.repeat(150), 'q'.repeat(150)), { recursive: true });
  writeFileSync(join(root, 'p'.repeat(150), 'q'.repeat(150), 'deep'), '');
  writeFileSync(Buffer.from(`${root}/not-utf8-\xff\xfe`, 'latin1'), 'bytes');
  writeFileSync(join(root, 'ünïcode\nnewline'), '');
  writeFileSync(join(root, 'sparse'), 'start');
  truncateSync(join(root, 'sparse'), 3_000_000);
  for (const [name, ...node] of [
    ['null', 'c', '1', '3'],
    ['disk', 'b', '259', '1000'],
    ['fifo', 'p'],
  ] as const) {
    execFileSync('mknod', ['-m', '640', join(root, name), ...node]);
  }
  const fd = fileDescriptor(join(root, 'dir/file'));
  setXattr(fd, 'user.note', Buffer.from([0, 1, 255]));
  closeFd(fd);
  writeFileSync(join(root, 'capable'), '');
  const capable = fileDescriptor(join(root, 'capable'));
  setXattr(capable, 'security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'));
  closeFd(capable);
}

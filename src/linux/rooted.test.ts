import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
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
import { after, before, describe, test } from 'node:test';
import { mkdirAllInRoot, openInRoot, openParentInRoot, readFileInRoot, resolveInRoot, statInRoot } from './rooted.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;
let base: string;
let root: string;

before(() => {
  base = mkdtempSync(join(tmpdir(), 'rooted-'));
  root = join(base, 'root');
  mkdirSync(join(root, 'etc/deep/er'), { recursive: true });
  mkdirSync(join(base, 'outside'));
  writeFileSync(join(base, 'outside/secret'), 'outside');
  writeFileSync(join(base, 'secret'), 'outside');
  mkdirSync(join(root, 'outside'));
  writeFileSync(join(root, 'etc/passwd'), 'inside');
  writeFileSync(join(root, 'secret'), 'inside');
  const links: Record<string, string> = {
    absolute: '/etc/passwd',
    up: '../../../../../../secret',
    dirUp: '../outside',
    'etc/deep/up': '../../../../../secret',
    toSlash: '/',
    toParent: '..',
    loopA: 'loopB',
    loopB: 'loopA',
    self: 'self',
    dangling: '/made/later/file',
    danglingUp: '../../escaped',
    hostPath: join(base, 'secret'),
    magic: '/proc/self/root/etc/passwd',
    chain1: 'etc/../chain2',
    chain2: 'toSlash/toParent/toParent/etc/passwd',
  };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(root, name));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  writeFileSync(join(root, 'huge'), '');
  truncateSync(join(root, 'huge'), 700 * 1024 * 1024);
});

after(() => rmSync(base, { recursive: true, force: true }));

for (const openat2 of [true, false]) {
  describe(openat2 ? 'openat2' : 'walk', () => {
    const read = (path: string): string => {
      const fd = openInRoot(root, path, O_RDONLY, 0, { openat2 });
      try {
        return readFileSync(fd, 'utf8');
      } finally {
        closeSync(fd);
      }
    };
    const code = (path: string, flags: number = O_RDONLY): string => {
      try {
        closeSync(openInRoot(root, path, flags, 0o644, { openat2 }));
        return '';
      } catch (error) {
        return (error as { code: string }).code;
      }
    };

    test('stays inside', () => {
      for (const path of [
        '/etc/passwd',
        'etc/passwd',
        '../../etc/passwd',
        'absolute',
        'chain1',
        'toSlash/toParent/etc/passwd',
        'etc/../etc/./passwd',
        'up',
        'etc/deep/up',
      ]) {
        assert.equal(read(path), 'inside', path);
      }
      for (const path of ['hostPath', 'magic', 'dirUp/secret', '../outside/secret'])
        assert.equal(code(path), 'ENOENT', path);
    });

    test('errors are the kernel’s', () => {
      assert.equal(code('loopA'), 'ELOOP');
      assert.equal(code('self/x'), 'ELOOP');
      assert.equal(code('etc/passwd/x'), 'ENOTDIR');
      assert.equal(code('etc/passwd/..'), 'ENOTDIR');
      assert.equal(code('nothing/../etc/passwd'), 'ENOENT');
      assert.equal(code('nothing'), 'ENOENT');
      assert.equal(code('absolute', O_RDONLY | O_NOFOLLOW), 'ELOOP');
      assert.equal(code('absolute', O_WRONLY | O_CREAT | O_EXCL), 'EEXIST');
    });

    test('creates inside only', () => {
      const name = `made-${openat2}`;
      closeSync(openInRoot(root, `../../${name}`, O_WRONLY | O_CREAT, 0o600, { openat2 }));
      assert.ok(existsSync(join(root, name)));
      assert.ok(!existsSync(join(base, name)));
      rmSync(join(root, 'escaped'), { force: true });
      closeSync(openInRoot(root, 'danglingUp', O_WRONLY | O_CREAT, 0o600, { openat2 }));
      assert.ok(existsSync(join(root, 'escaped')));
      assert.ok(!existsSync(join(base, 'escaped')));
      assert.equal(code('no/such/dir', O_WRONLY | O_CREAT), 'ENOENT');
    });

    test('the root itself', () => {
      for (const path of ['', '/', '.', '..', 'toSlash', 'etc/..', 'toParent']) {
        const fd = openInRoot(root, path, O_RDONLY, 0, { openat2 });
        assert.equal(fstatSync(fd).ino, statSync(root).ino, path);
        closeSync(fd);
      }
    });
  });
}

test('only regular files of bounded size are read', () => {
  assert.equal(readFileInRoot(root, 'absolute').toString(), 'inside');
  assert.throws(() => readFileInRoot(root, 'fifo'), { code: 'invalid-argument' });
  assert.throws(() => readFileInRoot(root, 'etc'), { code: 'invalid-argument' });
  assert.throws(() => readFileInRoot(root, 'huge'), { code: 'too-large' });
  assert.throws(() => readFileInRoot(root, 'absolute', { maxBytes: 5 }), { code: 'too-large' });
  assert.throws(() => readFileInRoot('/', '/dev/zero'), { code: 'invalid-argument' });
  assert.throws(() => readFileInRoot(root, 'etc/passwd\0'), { code: 'invalid-argument' });
});

test('stat with and without following', () => {
  assert.ok(statInRoot(root, 'absolute').isFile());
  assert.ok(statInRoot(root, 'absolute', { follow: false }).isSymbolicLink());
});

test('resolve gives the canonical path, missing parts as written', () => {
  assert.equal(resolveInRoot(root, 'chain1'), '/etc/passwd');
  assert.equal(resolveInRoot(root, 'up'), '/secret');
  assert.equal(resolveInRoot(root, 'dangling'), '/made/later/file');
  assert.equal(resolveInRoot(root, 'toSlash/etc/new/../other'), '/etc/other');
  assert.equal(resolveInRoot(root, 'nothing/../etc/deep/up'), '/secret');
  assert.equal(resolveInRoot(root, '../..'), '/');
  assert.throws(() => resolveInRoot(root, 'loopA'), { code: 'ELOOP' });
});

test('mkdir makes what is missing, through symlinks, inside', () => {
  assert.equal(mkdirAllInRoot(root, 'dirUp/a/b', { mode: 0o1777, uid: 7, gid: 8 }), '/outside/a/b');
  const made = statSync(join(root, 'outside/a/b'));
  assert.equal(made.mode & 0o7777, 0o1777);
  assert.deepEqual([made.uid, made.gid], process.getuid?.() === 0 ? [7, 8] : [made.uid, made.gid]);
  assert.equal(statSync(join(root, 'outside')).uid, process.getuid?.());
  assert.ok(!existsSync(join(base, 'outside/a')));
  assert.equal(mkdirAllInRoot(root, 'dangling'), '/made/later/file');
  assert.equal(mkdirAllInRoot(root, '/'), '/');
  assert.throws(() => mkdirAllInRoot(root, 'etc/passwd/x'), { code: 'ENOTDIR' });
  assert.throws(() => mkdirAllInRoot(root, 'etc/passwd'), { code: 'ENOTDIR' });
});

test('the parent is open, the last component is not followed', () => {
  const parent = openParentInRoot(root, 'dirUp/../absolute');
  assert.equal(parent.name, 'absolute');
  assert.equal(readlinkSync(`/proc/self/fd/${parent.fd}`), root);
  closeSync(parent.fd);
});

test('no descriptor is left open', () => {
  // only what is open below the folder: the runtime's own descriptors come and go beside the test
  const count = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(base);
      } catch {
        return false;
      }
    }).length;
  const before = count();
  for (let i = 0; i < 20; i++) {
    for (const path of ['chain1', 'loopA', 'nothing/x', 'etc/passwd/x']) {
      for (const openat2 of [true, false]) {
        try {
          closeSync(openInRoot(root, path, O_RDONLY, 0, { openat2 }));
        } catch {}
      }
      try {
        resolveInRoot(root, path);
      } catch {}
    }
  }
  assert.equal(count(), before);
});

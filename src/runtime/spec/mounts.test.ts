import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerMounts, type MountOptions, rootPropagation, tmpfsOptions, type UserBind } from './mounts.ts';

const bind: UserBind = {
  type: 'bind',
  destination: '/a',
  source: '/src',
  readOnly: false,
  recursive: true,
  readOnlyRecursion: 'best-effort',
  propagation: '',
};

function mounts(options: Partial<MountOptions>): Map<string, string[]> {
  const list = containerMounts({
    hostConfig: {},
    mounts: [],
    files: [],
    init: undefined,
    writableCgroups: false,
    recursiveReadOnly: true,
    ...options,
  });
  return new Map(list.map((mount) => [mount.destination, mount.options!]));
}

test('binds', () => {
  const of = (changes: Partial<UserBind>, recursiveReadOnly = true): string[] =>
    mounts({ mounts: [{ ...bind, ...changes }], recursiveReadOnly }).get('/a')!;
  assert.deepEqual(of({}), ['rbind', 'rprivate']);
  assert.deepEqual(of({ readOnly: true }), ['rbind', 'rro', 'rprivate']);
  assert.deepEqual(of({ readOnly: true }, false), ['rbind', 'ro', 'rprivate']);
  assert.deepEqual(of({ readOnly: true, readOnlyRecursion: 'off' }), ['rbind', 'ro', 'rprivate']);
  assert.deepEqual(of({ recursive: false, propagation: 'rslave' }), ['bind', 'rslave']);
  assert.throws(() => of({ readOnly: true, readOnlyRecursion: 'force' }, false), /recursive read-only/);
});

test('the user’s mounts win over the system’s, and come by depth', () => {
  const result = mounts({
    mounts: [
      { ...bind, destination: '/x/y' },
      { ...bind, destination: '/x' },
      { ...bind, destination: '/etc/hosts' },
    ],
    files: [{ destination: '/etc/hosts', source: '/ours' }],
  });
  assert.deepEqual([...result.keys()].slice(-3), ['/x', '/x/y', '/etc/hosts']);
  const noDev = mounts({ mounts: [{ ...bind, destination: '/dev' }] });
  assert.ok(!noDev.has('/dev/pts') && !noDev.has('/dev/shm'));
});

test('files are read-only with the root', () => {
  const files = [{ destination: '/etc/hosts', source: '/ours' }];
  assert.deepEqual(mounts({ files, hostConfig: { ReadonlyRootfs: true } }).get('/etc/hosts'), [
    'rbind',
    'ro',
    'rprivate',
  ]);
});

test('shared memory', () => {
  assert.ok(mounts({}).get('/dev/shm')!.includes('size=67108864'));
  assert.ok(
    mounts({ hostConfig: { ShmSize: 1024 } })
      .get('/dev/shm')!
      .includes('size=1024'),
  );
  assert.ok(!mounts({ hostConfig: { IpcMode: 'none' } }).has('/dev/shm'));
  assert.deepEqual(mounts({ hostConfig: { IpcMode: 'host' } }).get('/dev/shm'), ['rbind', 'rprivate']);
});

test('tmpfs options over the defaults', () => {
  assert.deepEqual(tmpfsOptions(['']), ['noexec', 'nosuid', 'nodev', 'rprivate']);
  assert.deepEqual(tmpfsOptions(['size=5m', 'exec']), ['nosuid', 'nodev', 'rprivate', 'size=5m', 'exec']);
  assert.deepEqual(tmpfsOptions(['size=1', 'size=2', 'ro', 'rw', 'rshared']), [
    'noexec',
    'nosuid',
    'nodev',
    'size=2',
    'rw',
    'rshared',
  ]);
  for (const bad of ['nonsense', 'size', 'ro=1', 'context=x', 'bind', 'rbind', 'remount']) {
    assert.throws(() => tmpfsOptions([bad]), { message: `invalid tmpfs option "${bad}"` });
  }
});

test('propagation of the root', () => {
  assert.equal(rootPropagation([bind]), undefined);
  assert.equal(rootPropagation([{ ...bind, propagation: 'rslave' }]), 'rslave');
  assert.equal(
    rootPropagation([
      { ...bind, propagation: 'slave' },
      { ...bind, propagation: 'rshared' },
    ]),
    'shared',
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MountRequest } from '../api/container.ts';
import { parseBind } from './bind.ts';
import { mountPoint } from './mount-point.ts';
import { checkMount } from './mount-request.ts';
import { checkVolumeName } from './volume-name.ts';
import { parseVolumesFrom } from './volumes-from.ts';

test('host paths', () => {
  assert.deepEqual(parseBind('/src/../x:/a/:ro,rslave,z').request, {
    Type: 'bind',
    Source: '/x',
    Target: '/a/',
    ReadOnly: true,
    BindOptions: { CreateMountpoint: true, Propagation: 'rslave' },
  });
  assert.equal(parseBind('/a:/a:').mode, '');
  assert.equal(parseBind('/a:/a:ro,U').ownership, 'chown');
  assert.equal(parseBind('a:/a:idmap').ownership, 'idmap');
  assert.equal(parseBind('a:/a:nocopy').ownership, undefined);
});

test('volumes, named and not', () => {
  assert.deepEqual(parseBind('data:/a:nocopy', 'local').request, {
    Type: 'volume',
    Source: 'data',
    Target: '/a',
    ReadOnly: false,
    VolumeOptions: { NoCopy: true, DriverConfig: { Name: 'local' } },
  });
  assert.deepEqual(parseBind('/anon').request, { Type: 'volume', Target: '/anon', ReadOnly: false, VolumeOptions: {} });
});

test('what is none, in Docker’s words', () => {
  for (const spec of ['', ':', ':/a', 'a:', 'a:b:c:d', '/a:ro']) {
    assert.throws(() => parseBind(spec), { message: `invalid volume specification: '${spec}'` }, spec);
  }
  for (const mode of ['foo', 'U,idmap', 'ro,rw', 'ro,ro', 'z,Z', 'rro']) {
    assert.throws(() => parseBind(`a:/a:${mode}`), { message: `invalid mode: ${mode}` });
  }
  const wrapped = (spec: string, reason: string): void =>
    assert.throws(() => parseBind(spec), { message: `invalid volume specification: '${spec}': ${reason}` });
  wrapped('/tmp:rel', 'invalid mount config for type "bind": invalid mount path: \'rel\' mount path must be absolute');
  wrapped('a:/..', "invalid mount config for type \"volume\": invalid specification: destination can't be '/'");
  wrapped('/a:/a:nocopy', 'invalid mount config for type "bind": field VolumeOptions must not be specified');
  wrapped('a:/a:rshared', 'invalid mount config for type "volume": field BindOptions must not be specified');
});

test('--mount, in Docker’s words', () => {
  const refused: readonly (readonly [Partial<MountRequest>, string])[] = [
    [{ Type: 'bind' }, 'invalid mount config for type "bind": field Source must not be empty'],
    [
      { Type: 'bind', Source: '/x', Target: '' },
      'invalid mount config for type "bind": field Target must not be empty',
    ],
    [
      { Type: 'bind', Source: 'rel' },
      'invalid mount config for type "bind": invalid mount path: \'rel\' mount path must be absolute',
    ],
    [{ Type: 'bind', Source: '/x', VolumeOptions: {} }, 'VolumeOptions must not be specified on mount type "bind"'],
    [
      { Type: 'bind', Source: '/x', BindOptions: { Propagation: 'x' } },
      'invalid mount config for type "bind": invalid propagation mode: x',
    ],
    [
      { Type: 'volume', Source: 'b', VolumeOptions: { Subpath: 'a/../../x' } },
      'invalid mount config for type "volume": subpath must be a relative path within the volume',
    ],
    [
      { Type: 'volume', VolumeOptions: { Subpath: 'x' } },
      'invalid mount config for type "volume": must not set Subpath when using anonymous volumes',
    ],
    [{ Type: 'tmpfs', Source: 'b' }, 'invalid mount config for type "tmpfs": field Source must not be specified'],
    [
      { Type: 'tmpfs', TmpfsOptions: { Options: [['size', '1']] } },
      'invalid mount config for type "tmpfs": invalid option: size',
    ],
    [{ Type: 'npipe', Source: 'x' }, 'invalid mount config for type "npipe": mount type unknown'],
  ];
  for (const [request, message] of refused) {
    assert.throws(() => checkMount({ Target: '/a', ...request } as MountRequest), { message });
  }
  checkMount({ Type: 'volume', Source: 'b', Target: '/a', VolumeOptions: { Subpath: 'a/../b' } });
});

test('as inspect shows them', () => {
  const dataRoot = '/var/lib/gantry';
  const bind = (source: string): string =>
    mountPoint(parseBind(`${source}:/a/`).request, { mode: '', dataRoot }).Propagation;
  assert.deepEqual(['/x', '/', '/var/lib', '/var/lib/gantry', '/var/lib/gan'].map(bind), [
    'rprivate',
    'rslave',
    'rslave',
    'rslave',
    'rprivate',
  ]);
  const volume = { name: 'v1', path: '/d/v1/_data' };
  assert.deepEqual(mountPoint(parseBind('v1:/a/b/../c:ro').request, { mode: 'ro', dataRoot, volume }), {
    Type: 'volume',
    Name: 'v1',
    Source: '/d/v1/_data',
    Destination: '/a/c',
    Driver: 'local',
    Mode: 'ro',
    RW: false,
    Propagation: '',
  });
});

test('names', () => {
  checkVolumeName('a_b.c-1');
  assert.throws(() => checkVolumeName('a'), /too short/);
  for (const bad of ['a b', '.a', '../x', 'a/b', '_x', 'x'.repeat(256)]) {
    assert.throws(() => checkVolumeName(bad), { code: 'invalid-argument' }, bad);
  }
});

test('--volumes-from', () => {
  assert.deepEqual(parseVolumesFrom('c:ro'), { container: 'c', readOnly: true });
  assert.deepEqual(parseVolumesFrom('c'), { container: 'c', readOnly: false });
  for (const bad of ['c:x', 'c:ro:x', 'c:nocopy', 'c:rshared']) {
    assert.throws(() => parseVolumesFrom(bad), { message: `invalid mode: ${bad.slice(2)}` });
  }
  assert.throws(() => parseVolumesFrom(''), /cannot be an empty string/);
});

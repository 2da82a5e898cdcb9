import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveUser } from './user.ts';

const files = {
  passwd:
    'root:x:0:0:root:/root:/bin/sh\n# comment\n\ndaemon:x:1:1::/usr/sbin:\napp:x:1000:1001::/home/app\nshort:x:7\n' +
    'bad:x:nine:9::/\nhuge:x:99999999999:1::/\n',
  group: 'root:x:0:\naudio:x:29:app,daemon\nvideo:x:44:app\nusers:x:1001:\nbroken\n',
};

test('nobody in particular is root', () => {
  assert.deepEqual(resolveUser('', [], files), { uid: 0, gid: 0, additionalGids: [0], home: '/root' });
  assert.deepEqual(resolveUser('', [], { passwd: undefined, group: undefined }), {
    uid: 0,
    gid: 0,
    additionalGids: [0],
    home: '/',
  });
});

test('by name, with the groups of the group file', () => {
  assert.deepEqual(resolveUser('app', [], files), {
    uid: 1000,
    gid: 1001,
    additionalGids: [1001, 29, 44],
    home: '/home/app',
  });
});

test('an explicit group replaces them', () => {
  assert.deepEqual(resolveUser('app:audio', [], files).additionalGids, [29]);
  assert.deepEqual(resolveUser('app:55', [], files).additionalGids, [55]);
  assert.deepEqual(resolveUser(':video', [], files), { uid: 0, gid: 44, additionalGids: [44], home: '/root' });
});

test('a number is always an id', () => {
  assert.equal(resolveUser('1000', [], files).gid, 1001);
  assert.deepEqual(resolveUser('4242', [], files), { uid: 4242, gid: 0, additionalGids: [0], home: '/' });
});

test('groups added, by name and number', () => {
  assert.deepEqual(resolveUser('4242', ['audio', '12', '12'], files).additionalGids, [0, 29, 12]);
  assert.throws(() => resolveUser('', ['nope'], files), /unable to find group nope/);
});

test('what is not there, in Docker’s words', () => {
  assert.throws(() => resolveUser('nope', [], files), {
    message: 'unable to find user nope: no matching entries in passwd file',
  });
  assert.throws(() => resolveUser('app:nope', [], files), {
    message: 'unable to find group nope: no matching entries in group file',
  });
  assert.throws(() => resolveUser('4294967295', [], files), {
    message: 'uids and gids must be in range 0-2147483647',
  });
  assert.throws(() => resolveUser('-1', [], files), /in range/);
  assert.throws(() => resolveUser('huge', [], files), /in range/);
});

test('short and broken lines', () => {
  assert.deepEqual(resolveUser('short', [], files), { uid: 7, gid: 0, additionalGids: [0], home: '/' });
});

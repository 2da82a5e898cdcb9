import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DetachWatcher, parseDetachKeys } from './detach-keys.ts';

test('names of keys', () => {
  assert.deepEqual([...parseDetachKeys('ctrl-p,ctrl-q')], [16, 17]);
  assert.deepEqual([...parseDetachKeys('a,ctrl-@,ctrl-[')], [97, 0, 27]);
  assert.throws(() => parseDetachKeys('ctrl-!'), { message: "Unknown character: 'ctrl-!'" });
});

test('what is typed goes on, but not the keys', () => {
  const watcher = new DetachWatcher(parseDetachKeys('ctrl-p,ctrl-q'));
  assert.deepEqual(watcher.pass(Buffer.from('ab\x10')), { data: Buffer.from('ab'), detached: false });
  assert.deepEqual(watcher.pass(Buffer.from('c')), { data: Buffer.from('\x10c'), detached: false });
  assert.deepEqual(watcher.pass(Buffer.from('\x10\x10\x11rest')), { data: Buffer.from('\x10'), detached: true });
});

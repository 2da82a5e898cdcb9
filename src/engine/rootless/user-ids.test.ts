import assert from 'node:assert/strict';
import { test } from 'node:test';
import { subordinateIds } from './user-ids.ts';

const user = { uid: 1000, gid: 100, name: 'ada' };
const files = (text: string) => () => text;

test('subordinate ids by name or number, enough of them', () => {
  const range = { base: 100000, size: 65536 };
  const expected = { uid: 1000, gid: 100, uids: range, gids: range };
  assert.deepEqual(subordinateIds(user, files('bob:1:2\nada:100000:65536\n')), expected);
  assert.deepEqual(subordinateIds(user, files('1000:100000:65536\n')), expected);
  assert.throws(() => subordinateIds(user, files('')), /\/etc\/subuid has no line for ada.*usermod --add-subuids/);
  assert.throws(() => subordinateIds(user, files('ada:100000:1000\n')), /has only 1000 ids for ada/);
});

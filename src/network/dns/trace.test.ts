import assert from 'node:assert/strict';
import { test } from 'node:test';
import { candidates } from './trace.ts';

test('names are tried as resolv.conf says', () => {
  const search = ['corp.test', 'example.org.'];
  assert.deepEqual(candidates('web', { search, options: [] }), ['web.corp.test', 'web.example.org', 'web']);
  assert.deepEqual(candidates('web', { search, options: ['ndots:0'] }), ['web', 'web.corp.test', 'web.example.org']);
  assert.deepEqual(candidates('a.b', { search, options: ['ndots:5', 'ndots:2'] })[0], 'a.b.corp.test');
  assert.deepEqual(candidates('web.', { search, options: [] }), ['web']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBelowPrefix, parsePolicy } from './policy-file.ts';

test('a prefix is a whole name, or what is below it', () => {
  assert.ok(isBelowPrefix('docker.io/library/nginx', 'docker.io'));
  assert.ok(isBelowPrefix('docker.io/library/nginx', 'docker.io/library/nginx'));
  assert.ok(isBelowPrefix('a.example.com/team/app', '*.example.com'));
  assert.ok(isBelowPrefix('a.example.com/team/app', '*.example.com/team'));
  assert.ok(isBelowPrefix('a.b/c', '*'));
  for (const [repository, prefix] of [
    ['docker.io.evil.com/library/nginx', 'docker.io'],
    ['docker.io/library/nginx-evil', 'docker.io/library/nginx'],
    ['evilexample.com/app', '*.example.com'],
    ['a.example.com/other/app', '*.example.com/team'],
    ['a.example.com:5000/team/app', '*.example.com/team'],
  ] as const) {
    assert.ok(!isBelowPrefix(repository, prefix), `${repository} ${prefix}`);
  }
});

test('a policy that cannot be meant is refused with what is wrong', () => {
  for (const [text, words] of [
    ['[]', /not an object/],
    ['{"registry": ["a"]}', /registry is not known/],
    ['{"registries": []}', /registries must be a list/],
    ['{"requireDigest": "yes"}', /requireDigest must be/],
    ['{"signatures": [{"images": "a"}]}', /needs images and a list of keys/],
    ['{"signatures": [{"images": "a", "keys": ["/nowhere.pub"]}]}', /nowhere/],
    ['{"typos": true}', /typos must be/],
    ['{', /JSON/],
  ] as const) {
    assert.throws(() => parsePolicy(text, '/etc/policy.json'), words, text);
  }
  assert.equal(parsePolicy('{}', '/p').typos, 'warn');
});

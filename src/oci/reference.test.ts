import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalName, familiarName, matchesPattern, parseReference, withDefaultTag, withTag } from './reference.ts';

const HEX = 'a'.repeat(64);

for (const [text, canonical, familiar] of [
  ['busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
  ['nginx:1.23', 'docker.io/library/nginx:1.23', 'nginx:1.23'],
  ['someone/app', 'docker.io/someone/app:latest', 'someone/app:latest'],
  ['index.docker.io/x', 'docker.io/library/x:latest', 'x:latest'],
  ['docker.io/x', 'docker.io/library/x:latest', 'x:latest'],
  ['library/x', 'docker.io/library/x:latest', 'x:latest'],
  ['library/a/b', 'docker.io/library/a/b:latest', 'library/a/b:latest'],
  ['localhost/x', 'localhost/x:latest', 'localhost/x:latest'],
  ['localhost:5000/x:y', 'localhost:5000/x:y', 'localhost:5000/x:y'],
  ['[::1]:5000/x', '[::1]:5000/x:latest', '[::1]:5000/x:latest'],
  ['UP/x', 'UP/x:latest', 'UP/x:latest'],
  ['a.b/c/d/e:f', 'a.b/c/d/e:f', 'a.b/c/d/e:f'],
  ['a__b/c--d', 'docker.io/a__b/c--d:latest', 'a__b/c--d:latest'],
  [`x@sha256:${HEX}`, `docker.io/library/x@sha256:${HEX}`, `x@sha256:${HEX}`],
  [`x:1@sha256:${HEX}`, `docker.io/library/x:1@sha256:${HEX}`, `x:1@sha256:${HEX}`],
] as const) {
  test(`${text} is ${canonical}`, () => {
    const reference = withDefaultTag(parseReference(text));
    assert.equal(canonicalName(reference), canonical);
    assert.equal(familiarName(reference), familiar);
    assert.deepEqual(parseReference(canonical), reference);
  });
}

const FORMAT = 'invalid reference format';
for (const [text, message] of [
  ['', FORMAT],
  ['-x', FORMAT],
  ['x:', FORMAT],
  ['x:-bad', FORMAT],
  ['a:b:c', FORMAT],
  ['a//b', FORMAT],
  ['/a', FORMAT],
  ['x y', FORMAT],
  ['a___b', FORMAT],
  ['x\n', FORMAT],
  ['x@sha256:abc', FORMAT],
  [`x:${'t'.repeat(129)}`, FORMAT],
  ['UPPER', 'invalid reference format: repository name (library/UPPER) must be lowercase'],
  ['a/B', 'invalid reference format: repository name (a/B) must be lowercase'],
  ['a'.repeat(256), 'repository name must not be more than 255 characters'],
  [HEX, `invalid repository name (${HEX}), cannot specify 64-byte hexadecimal strings`],
  [`x@md5:${'a'.repeat(32)}`, 'unsupported digest algorithm'],
  [`x@sha256:${'a'.repeat(63)}`, 'invalid checksum digest length'],
  [`x@sha256:${'A'.repeat(64)}`, 'invalid checksum digest format'],
] as const) {
  test(`${text.slice(0, 40)} is refused`, () => {
    assert.throws(() => parseReference(text), { code: 'invalid-argument', message });
  });
}

test('a tag takes the place of tag and digest', () => {
  const reference = withTag(parseReference(`x:1@sha256:${HEX}`), '2');
  assert.equal(canonicalName(reference), 'docker.io/library/x:2');
  assert.throws(() => withTag(reference, 'a+b'), { message: 'invalid tag format' });
});

test('patterns match the familiar name as a path', () => {
  const match = (name: string, pattern: string): boolean =>
    matchesPattern(withDefaultTag(parseReference(name)), pattern);
  assert.ok(match('busybox', 'busy*'));
  assert.ok(match('busybox', 'busybox:l?test'));
  assert.ok(match('a/b:1', '*/*'));
  assert.ok(match('a/b:1', 'a/[a-c]:1'));
  assert.ok(!match('a/b:1', 'a/[^a-c]:1'));
  assert.ok(!match('a/b:1', '*'));
  assert.ok(match('r.io/a/b', 'r.io/*/b'));
  assert.throws(() => match('x', '['), { message: 'syntax error in pattern' });
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { PathPatterns } from './path-patterns.ts';

const CASES: readonly [lines: string[], path: string, matched: boolean][] = [
  [['*.md'], 'README.md', true],
  [['*.md'], 'docs/README.md', false],
  [['**/*.md'], 'docs/deep/README.md', true],
  [['**/*.md'], 'README.md', true],
  [['*.md', '!README.md'], 'README.md', false],
  [['*.md', '!README*.md', 'README-secret.md'], 'README-secret.md', true],
  [['node_modules'], 'node_modules/a/b.js', true],
  [['/node_modules/'], 'node_modules/a', true],
  [['node_modules'], 'src/node_modules/a', false],
  [['**/node_modules'], 'src/node_modules/a', true],
  [['*/temp*'], 'a/temporary.txt', true],
  [['*/*/temp*'], 'a/temp', false],
  [['temp?'], 'tempa', true],
  [['temp?'], 'temp', false],
  [['docs', '!docs/keep'], 'docs/keep/x', false],
  [['docs', '!docs/keep'], 'docs/other', true],
  [['**'], 'anything/at/all', true],
  [['a[b-d]e'], 'ace', true],
  [['a[^b-d]e'], 'ace', false],
  [['a\\*b'], 'a*b', true],
  [['./foo/../bar'], 'bar', true],
  [['foo/**/bar'], 'foo/bar', true],
  [['foo/**/bar'], 'foo/x/y/bar/z', true],
  [['a.c'], 'abc', false],
];

for (const [lines, path, matched] of CASES) {
  test(`PathPatterns: ${JSON.stringify(lines)} ${matched ? 'matches' : 'leaves'} ${path}`, () => {
    assert.equal(new PathPatterns(lines).matches(path), matched);
  });
}

test('PathPatterns refuses what is no pattern', () => {
  assert.throws(() => new PathPatterns(['a[b']), /syntax error in pattern/);
  assert.throws(() => new PathPatterns(['!']), /illegal exclusion/);
});

test('PathPatterns.parse() drops comments and blank lines, decide() names the line', () => {
  const patterns = PathPatterns.parse('# comment\n\n  *.log  \n!keep.log\n');
  assert.deepEqual(
    [patterns.matches('a.log'), patterns.matches('keep.log'), patterns.decide('keep.log')?.source],
    [true, false, '!keep.log'],
  );
});

test('patterns of many stars mean the same as those of few, and take no longer', () => {
  const patterns = new PathPatterns(['**/a*b*c*/**/*.x']);
  for (const path of ['abc/1.x', 'd/e/a1b2c3/f/g.x', 'abc/.x']) assert.ok(patterns.matches(path), path);
  for (const path of ['abc', 'acb/1.x', 'abc/1.y', 'ab/c/1.x']) assert.ok(!patterns.matches(path), path);
  const hostile = new PathPatterns([`${'***/'.repeat(80)}x`]);
  const started = performance.now();
  assert.ok(!hostile.matches('a/'.repeat(200)));
  assert.ok(performance.now() - started < 10_000);
});

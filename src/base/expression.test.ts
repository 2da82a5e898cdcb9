import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Expression } from './expression.ts';

test('expressions match as JavaScript’s do', () => {
  const sources = [
    'web',
    '^web$',
    'w.b',
    '^(\\w*?)(\\d*)$',
    '(a|ab)(c|bcd|)',
    '(\\w+)-(?:(b)|x)?',
    'a??(b|)(b?)',
    '(a{1,3}?)(a*)',
    '^(a|b|)c$',
    'a*b+c?',
    '(ab)*$',
    '(?:ab|a)(c|bcd)$',
    '[a-c]x',
    '[^a-c]x',
    '[-a]',
    '[a\\]b]+$',
    '^\\d{2,3}$',
    'a{2}',
    '^a{2,}$',
    '^(a{1,2}){2}$',
    '\\bweb\\b',
    '\\w+\\.\\w',
    '^\\S+$',
    'x??y',
    '(a+)+$',
    '(a|aa)+$',
    '\\x41',
    '^$',
    '',
    '[.]',
    '[\\w-]+$',
    '\\-',
    '^[\\\\x]+$',
  ];
  const texts = [
    '',
    'web',
    'web1',
    'xwebx',
    'a web b',
    'ac',
    'bc',
    'c',
    'abc',
    'aabbc',
    'abab',
    'abcd',
    'acd',
    'ax',
    'dx',
    '-',
    'a]b',
    '12',
    '123',
    '1234',
    'aa',
    'aaa',
    'aaaa',
    'a.b',
    'y',
    'A',
    'a-b_c',
    '\\x',
  ];
  for (const source of sources) {
    const [ours, theirs] = [new Expression(source), new RegExp(source)];
    for (const text of texts) {
      assert.equal(ours.test(text), theirs.test(text), `${source} on ${text}`);
      assert.deepEqual([...(ours.exec(text) ?? [])], [...(theirs.exec(text) ?? [])], `${source} on ${text}`);
    }
  }
});

test('what Go has and JavaScript has not', () => {
  for (const [source, text, wanted] of [
    ['(?i)WEB', 'web', true],
    ['a(?i:B)c', 'abc', true],
    ['a(?i:B)c', 'abC', false],
    ['(?P<name>a)b', 'ab', true],
    ['^[[:alpha:]]+[[:^digit:]]$', 'ab-', true],
    ['\\Aab\\z', 'ab\n', false],
    ['(?s)a.b', 'a\nb', true],
    ['a.b', 'a\nb', false],
    ['(?m)^b$', 'a\nb', true],
  ] as const) {
    assert.equal(new Expression(source).test(text), wanted, source);
  }
});

test('what is no expression, looks back, or is too large is refused', () => {
  for (const source of [
    '(',
    ')',
    '[',
    '[a',
    '*',
    'a{3,2}',
    '(a)\\1',
    '(?=a)',
    '\\',
    '\\pL',
    '[b-a]',
    '[[:no:]]',
    '(?<a',
    'a{9999}',
    '((a{30}){30}){30}',
    'a'.repeat(2000),
  ])
    assert.throws(() => new Expression(source), SyntaxError, source);
});

test('no expression takes longer than text times expression', () => {
  const text = 'a'.repeat(20_000);
  for (const source of ['^(a+)+!', '(a|a)*!', '(a*)*!', '^(([a-z])+.)+[A-Z]([a-z])+$', '(a?){50}a{50}!', '((a*)*)*!'])
    for (const found of [new Expression(source).test(text), new Expression(source).exec(text.slice(0, 4000))])
      assert.ok(!found, source);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findSyntax, otherFrontend } from './syntax.ts';

test('the directive is found in any language that has comments, and in JSON', () => {
  const cases: Readonly<Record<string, [string, string, number] | undefined>> = {
    '# syntax=a/b:1\nFROM x': ['a/b:1', 'a/b:1', 1],
    '#syntax = a/b with words\n': ['a/b', 'a/b with words', 1],
    '\uFEFF#!/usr/bin/env build\n# escape=`\r\n# SYNTAX=a\r\n': ['a', 'a', 3],
    '// syntax=a\nmodule.exports = 1': ['a', 'a', 1],
    '{\n  "syntax": "a b",\n "x": 1}': ['a', 'a b', 2],
    '{ "x": 1, "syntax": "a" }': undefined,
    '# a comment\n# syntax=a': undefined,
    'FROM x\n# syntax=a': undefined,
    '\n# syntax=a': undefined,
    '# syntax=': undefined,
    '': undefined,
    '{ "syntax": 7 }': undefined,
  };
  for (const [text, expected] of Object.entries(cases))
    assert.deepEqual(
      findSyntax(text),
      expected && { image: expected[0], text: expected[1], line: expected[2] },
      JSON.stringify(text),
    );
});

test('a file is for another frontend where it, or the one who builds it, says so', () => {
  for (const own of [
    'docker/dockerfile:1',
    'docker.io/docker/dockerfile@sha256:0',
    'docker/dockerfile-upstream:master',
  ])
    assert.equal(otherFrontend(`# syntax=${own}\n`, undefined), undefined, own);
  assert.equal(otherFrontend('FROM x', undefined), undefined);
  assert.equal(otherFrontend('# syntax=localhost/docker/dockerfile x\n', ''), 'localhost/docker/dockerfile');
  assert.equal(otherFrontend('# syntax=a\n', 'docker/dockerfile:1'), undefined);
  assert.equal(otherFrontend('# syntax=docker/dockerfile:1\n', ' b c '), 'b');
});

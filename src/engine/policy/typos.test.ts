import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseReference } from '../../oci/reference.ts';
import { meantName, singleEdit } from './typos.ts';

const meant = (name: string): string | undefined => meantName(parseReference(name));

test('names that are one slip from an official one are noticed', () => {
  for (const [name, official] of [
    ['pytohn', 'python'],
    ['pytohn:3.12-slim', 'python'],
    ['ngnix', 'nginx'],
    ['nginxx', 'nginx'],
    ['posgres', 'postgres'],
    ['postgras:16', 'postgres'],
    ['rediss', 'redis'],
    ['ndoe', 'node'],
    ['docker.io/library/ubunut', 'ubuntu'],
  ] as const) {
    assert.equal(meant(name), official, name);
  }
});

test('other words, other registries, users and official names are left alone', () => {
  for (const name of [
    'python',
    'base',
    'nose',
    'app',
    'myapp',
    'web',
    'demo',
    'hello',
    'rest',
    'bash',
    'team/pytohn',
  ]) {
    assert.equal(meant(name), undefined, name);
  }
  assert.equal(meant('registry.lan/pytohn'), undefined);
  assert.equal(meant('localhost:5000/library/pytohn'), undefined);
});

test('one edit is told by its kind', () => {
  assert.equal(singleEdit('abcd', 'abdc'), 'swapped');
  assert.equal(singleEdit('abcd', 'abxd'), 'replaced');
  assert.equal(singleEdit('abcd', 'abcde'), 'left out');
  assert.equal(singleEdit('abcd', 'bcd'), 'added');
  assert.equal(singleEdit('abcd', 'abcd'), undefined);
  assert.equal(singleEdit('abcd', 'badc'), undefined);
  assert.equal(singleEdit('abcd', 'ab'), undefined);
});

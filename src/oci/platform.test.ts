import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPlatform, hostPlatform, parsePlatform, platformDistance } from './platform.ts';

test('one spelling for each platform', () => {
  const host = hostPlatform('x64');
  for (const [text, expected] of [
    ['linux/amd64', 'linux/amd64'],
    ['x86_64', 'linux/amd64'],
    ['linux', 'linux/amd64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['aarch64', 'linux/arm64'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm/6', 'linux/arm/v6'],
    ['armhf', 'linux/arm/v7'],
    ['Linux/AMD64/V1', 'linux/amd64'],
  ] as const) {
    assert.equal(formatPlatform(parsePlatform(text, host)), expected, text);
  }
  for (const text of ['', 'a/b/c/d', 'linux/', 'linux/a b']) {
    assert.throws(() => parsePlatform(text), { code: 'invalid-argument' }, text);
  }
});

test('a machine runs its own platform best, and older variants of it', () => {
  const distance = (want: string, have: string): number | undefined =>
    platformDistance(parsePlatform(want), parsePlatform(have));
  assert.equal(distance('linux/amd64', 'linux/amd64'), 0);
  assert.equal(distance('linux/arm/v7', 'linux/arm/v6'), 1);
  assert.equal(distance('linux/arm/v6', 'linux/arm/v7'), undefined);
  assert.equal(distance('linux/amd64', 'linux/386'), 100);
  assert.equal(distance('linux/amd64', 'linux/arm64'), undefined);
  assert.equal(distance('linux/amd64', 'windows/amd64'), undefined);
});

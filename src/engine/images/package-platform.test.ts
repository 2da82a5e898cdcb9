import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packagePlatform } from './package-platform.ts';

const host = { os: 'linux', architecture: 'amd64' };

test('the platform of packages: this machine’s own, what it runs, what it emulates', () => {
  assert.equal(packagePlatform(undefined, { host }), undefined);
  assert.equal(packagePlatform('linux/amd64', { host }), undefined);
  const none = (): 'absent' => 'absent';
  assert.equal(packagePlatform('linux/386', { host, find: none })?.architecture, 'i386');
  assert.equal(packagePlatform('linux/arm/v7', { host, find: () => 'ready' })?.architecture, 'armhf');
  assert.equal(packagePlatform('arm64', { host, find: () => 'ready' })?.platform.architecture, 'arm64');
});

test('what cannot be made says why before anything is fetched', () => {
  for (const [platform, found, code, words] of [
    ['linux/arm64', 'absent', 'unimplemented', /^a base for linux\/arm64 .* no emulator for arm64 is registered/],
    ['linux/arm64', 'not fixed', 'unimplemented', /without the flag F/],
    [
      'windows/amd64',
      'ready',
      'invalid-argument',
      /^there are no packages for windows\/amd64: want one of linux\/amd64/,
    ],
    ['linux/mips', 'ready', 'invalid-argument', /^there are no packages for linux\/mips/],
  ] as const)
    assert.throws(() => packagePlatform(platform, { host, find: () => found }), { code, message: words }, platform);
});

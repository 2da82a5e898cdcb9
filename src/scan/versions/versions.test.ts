import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PackageType } from '../../api/inventory.ts';
import { compareVersions } from './compare.ts';
import { inNpmRange } from './semver.ts';

/** Each list from oldest to newest, after the rules and examples of the ecosystems' own texts. */
const ASCENDING: Readonly<Record<PackageType, readonly string[]>> = {
  deb: ['1.0~rc1-1', '1.0-1', '1.0-1+deb12u1', '1.0-1+deb12u10', '1.0a-1', '1.0+git-1', '1.2', '1.10', '2:0.1'],
  apk: ['1.0_alpha1-r0', '1.0_rc2-r0', '1.0-r0', '1.0-r1', '1.0_p1-r0', '1.0a-r0', '1.0.1-r0', '1.10-r0'],
  rpm: ['1.0~rc1-1', '1.0-1', '1.0-1.el9', '1.0-2', '1.0^git1-1', '1.0a-1', '1.0.1-1', '1.10-1', '1:0.1-1'],
  npm: [
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
    '1.2.0',
    '1.10.0',
  ],
  pypi: ['1.0.dev1', '1.0a1.dev1', '1.0a1', '1.0b2', '1.0rc1', '1.0', '1.0+local', '1.0.post1', '1.1', '1.10', '1!0.1'],
  golang: ['v0.0.0-20200101000000-abcdef012345', 'v0.1.0', 'v1.0.0-rc.1', 'v1.0.0', 'v1.10.0'],
  maven: ['1.0-alpha-1', '1.0-beta-1', '1.0-M1', '1.0-rc1', '1.0-SNAPSHOT', '1.0', '1.0-sp1', '1.0.1', '1.10'],
};

for (const [type, versions] of Object.entries(ASCENDING) as [PackageType, string[]][]) {
  test(`${type}: every pair in its order`, () => {
    for (const [i, older] of versions.entries()) {
      assert.equal(compareVersions(type, older, older), 0);
      for (const newer of versions.slice(i + 1)) {
        assert.ok(compareVersions(type, older, newer) < 0, `${older} < ${newer}`);
        assert.ok(compareVersions(type, newer, older) > 0, `${newer} > ${older}`);
      }
    }
  });
}

test('the same version written in two ways', () => {
  assert.equal(compareVersions('pypi', '1.0', '1.0.0'), 0);
  assert.equal(compareVersions('deb', '0:1.0-0', '1.0'), 0);
  assert.equal(compareVersions('golang', 'v1.2.3', '1.2.3'), 0);
  assert.equal(compareVersions('maven', '1.0', '1.0-ga'), 0);
});

test("npm's ranges", () => {
  assert.equal(inNpmRange('4.17.20', '<4.17.21'), true);
  assert.equal(inNpmRange('4.17.21', '<4.17.21'), false);
  assert.equal(inNpmRange('2.1.0', '>=1.0.0 <1.2.3 || >= 2.0.0 < 2.2.0'), true);
  assert.equal(inNpmRange('1.5.0', '>=1.0.0 <1.2.3 || >=2.0.0 <2.2.0'), false);
  assert.equal(inNpmRange('1.5.0', '*'), true);
  assert.equal(inNpmRange('1.5.0', '=1.5.0'), true);
});

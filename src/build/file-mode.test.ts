import assert from 'node:assert/strict';
import test from 'node:test';
import { changeMode, parseMode } from './file-mode.ts';

const CASES: readonly [text: string, mode: number, file: number, directory: number][] = [
  ['755', 0o600, 0o755, 0o755],
  ['u=rwX,go=rX', 0o600, 0o644, 0o755],
  ['u=rwX,go=rX', 0o710, 0o755, 0o755],
  ['a+x', 0o600, 0o711, 0o711],
  ['+x', 0o644, 0o755, 0o755],
  ['go-rwx', 0o777, 0o700, 0o700],
  ['g=u', 0o750, 0o770, 0o770],
  ['u+s,g+s', 0o755, 0o6755, 0o6755],
  ['+t', 0o777, 0o1777, 0o1777],
  ['u=r+w', 0o777, 0o677, 0o677],
  ['o=', 0o777, 0o770, 0o770],
];
for (const [text, mode, file, directory] of CASES) {
  test(`changeMode() ${text} of ${mode.toString(8)}`, () => {
    assert.equal(changeMode(mode, parseMode(text), false).toString(8), file.toString(8));
    assert.equal(changeMode(mode, parseMode(text), true).toString(8), directory.toString(8));
  });
}

for (const text of ['', '999', '77777', 'rwx', 'u=q', 'u=rg']) {
  test(`parseMode() refuses ${JSON.stringify(text)}`, () => assert.throws(() => parseMode(text), /chmod/));
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResultReader, resultLine, table } from './report.ts';

const one = { file: 'a.test.ts', seconds: 61.4, passed: 3, skipped: [{ name: 'io', reason: 'no disk' }], failed: [] };
const two = { file: 'tests/b.test.ts', seconds: 2, passed: 0, skipped: [], failed: ['ends'] };

test('results are taken out of the output, in whatever pieces it comes', () => {
  for (const size of [1, 7, 1000]) {
    let shown = '';
    const reader = new ResultReader((text) => (shown += text));
    const output = `✔ one${resultLine(one)}✔ two${resultLine(two)}the end`;
    for (let at = 0; at < output.length; at += size) reader.read(output.slice(at, at + size));
    reader.end();
    assert.equal(shown, '✔ one\n✔ two\nthe end');
    assert.deepEqual(reader.results, [one, two]);
  }
});

test('a result that was cut off is none', () => {
  const reader = new ResultReader(() => undefined);
  reader.read(resultLine(one).slice(0, -9));
  reader.end();
  assert.deepEqual(reader.results, []);
});

test('the table has every file, with what was skipped and what failed by name', () => {
  assert.equal(
    table(['a.test.ts', 'tests/b.test.ts', 'c.test.ts'], [one, two]),
    [
      'suite            passed  skipped  failed  time',
      'a.test.ts             3        1       0  61 s',
      'tests/b.test.ts       0        0       1  2 s',
      'c.test.ts             -        -       -  not run: the machine ended before',
      '2 of 3 files          3        1       1  63 s',
      'skipped  a.test.ts: io: no disk',
      'failed   tests/b.test.ts: ends',
      '',
    ].join('\n'),
  );
});

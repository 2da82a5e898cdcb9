import assert from 'node:assert/strict';
import test from 'node:test';
import { GrowingList, GrowingMap } from './growing.ts';

test('GrowingList: each stays as it is, whichever is made longer', () => {
  const base = GrowingList.of(['a']);
  const first = base.with('b');
  const second = base.with('c').with('d');
  const third = first.with('e');
  assert.deepEqual(
    [[...base], [...first], [...second], [...third]],
    [['a'], ['a', 'b'], ['a', 'c', 'd'], ['a', 'b', 'e']],
  );
  assert.equal(third.length, 3);
});

test('GrowingMap: each stays as it is, whichever is changed, and names keep their places', () => {
  const base = GrowingMap.of([['A', '1']]);
  const first = base.with('B', '2').with('A', '3');
  const second = base.with('C', '4');
  const third = first.with('D', '5').with('B', '6');
  const fourth = first.with('E', '7');
  assert.deepEqual([...base], [['A', '1']]);
  assert.deepEqual(
    [...first],
    [
      ['A', '3'],
      ['B', '2'],
    ],
  );
  assert.deepEqual(
    [...second],
    [
      ['A', '1'],
      ['C', '4'],
    ],
  );
  assert.deepEqual(
    [...third],
    [
      ['A', '3'],
      ['B', '6'],
      ['D', '5'],
    ],
  );
  assert.deepEqual(
    [...fourth],
    [
      ['A', '3'],
      ['B', '2'],
      ['E', '7'],
    ],
  );
  assert.equal(first.get('A'), '3');
  assert.equal(base.get('B'), undefined);
  assert.equal(base.has('A'), true);
});

test('GrowingMap: an empty value is a value', () => {
  const first = GrowingMap.of([['A', '']]);
  first.with('A', '1');
  assert.deepEqual([...first], [['A', '']]);
});

test('GrowingMap: without', () => {
  const base = GrowingMap.of([
    ['A', '1'],
    ['B', '2'],
  ]);
  assert.deepEqual([...base.without('A')], [['B', '2']]);
  assert.equal(base.without('C'), base);
  assert.equal(base.size, 2);
});

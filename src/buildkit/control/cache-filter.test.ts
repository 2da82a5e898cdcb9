import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pruneFilters, readCacheFilter } from './cache-filter.ts';

test('filters of du hold together, and are alternatives', () => {
  const record = { ID: 'abc', RecordType: 'regular', Shared: true, Description: 'RUN x' };
  for (const filters of [[], [''], ['type==regular,shared'], ['id==no', 'id~=ab'], ['description~=RUN']])
    assert.equal(readCacheFilter(filters)(record), true, filters.join(' '));
  for (const filters of [['type==regular,inuse'], ['id!=abc'], ['private']])
    assert.equal(readCacheFilter(filters)(record), false, filters.join(' '));
  assert.throws(() => readCacheFilter(['nosuch==1']), { code: 'invalid-argument' });
});

test('filters of prune are those that the engine knows, or refused', () => {
  assert.deepEqual(
    pruneFilters(['type==regular,shared,id~=ab']),
    new Map([
      ['type', ['regular']],
      ['shared', ['true']],
      ['id', ['ab']],
    ]),
  );
  for (const filters of [['type==a', 'type==b'], ['type!=a'], ['type~=a'], ['nosuch']])
    assert.throws(() => pruneFilters(filters), { code: 'unimplemented' }, filters.join(' '));
});

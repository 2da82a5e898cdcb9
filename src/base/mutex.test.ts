import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyedMutex } from './mutex.ts';

test('one that gives up waiting leaves its place, and nobody goes in before their turn', async () => {
  const locks = new KeyedMutex();
  const order: string[] = [];
  const first = await locks.acquire('a');
  const abort = new AbortController();
  const second = locks.acquire('a', { signal: abort.signal });
  const third = locks.acquire('a').then((lock) => {
    order.push('third');
    return lock;
  });
  abort.abort(new Error('no more'));
  await assert.rejects(second, /no more/);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(order.length, 0);
  order.push('first is done');
  first.release();
  (await third).release();
  assert.deepEqual(order, ['first is done', 'third']);
  // Alone again: nothing is left of those before.
  (await locks.acquire('a', { signal: new AbortController().signal })).release();
  await assert.rejects(locks.acquire('a', { signal: AbortSignal.abort(new Error('too late')) }), /too late/);
});

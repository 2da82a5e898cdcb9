import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Database } from './database.ts';

test('transaction() is all or nothing, relaxed or not, and leaves full durability behind', () => {
  using db = Database.open(':memory:');
  const put = (key: string): number => db.run('INSERT INTO meta (key, value) VALUES (?, ?)', key, '');
  const failing = (): void => {
    put('lost');
    throw new Error('no');
  };
  assert.throws(() => db.transaction(failing), /no/);
  assert.throws(() => db.relaxedTransaction(failing), /no/);
  db.relaxedTransaction(() => put('relaxed'));
  // inside another it is that one's
  db.transaction(() => db.relaxedTransaction(() => put('inner')));
  assert.deepEqual(
    db.all('SELECT key FROM meta ORDER BY key').map((row) => row['key']),
    ['inner', 'relaxed'],
  );
  const FULL = 2;
  assert.equal(Object.values(db.get('PRAGMA synchronous')!)[0], FULL);
});

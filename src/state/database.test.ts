import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Database } from './database.ts';
import { MIGRATIONS } from './migrations.ts';

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

test('every older schema is migrated, with what is in it; a migration that fails leaves all as it was', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-database-'));
  try {
    for (let schema = 0; schema <= MIGRATIONS.length; schema++) {
      const path = join(directory, `${schema}.db`);
      const older = new DatabaseSync(path);
      for (const migration of MIGRATIONS.slice(0, schema)) older.exec(migration);
      older.exec(`PRAGMA user_version=${schema}`);
      if (schema > 0) older.exec("INSERT INTO volumes (id, name, doc) VALUES ('1', 'v', '{}')");
      older.close();
      using db = Database.open(path);
      assert.equal(db.get('PRAGMA user_version')!['user_version'], MIGRATIONS.length);
      assert.equal(db.all('SELECT * FROM volumes').length, schema > 0 ? 1 : 0);
    }
    const path = join(directory, 'failing.db');
    const odd = new DatabaseSync(path);
    // the last thing that the second migration makes is there
    odd.exec(`${MIGRATIONS[0]}; PRAGMA user_version=1; CREATE TABLE registry_blobs (x TEXT)`);
    odd.close();
    assert.throws(() => Database.open(path));
    const after = new DatabaseSync(path);
    const tables = after.prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'registry%'").all();
    assert.deepEqual(
      tables.map((row) => row['name']),
      ['registry_blobs'],
    );
    assert.equal(after.prepare('PRAGMA user_version').get()!['user_version'], 1);
    after.exec(`PRAGMA user_version=${MIGRATIONS.length + 1}`);
    after.close();
    assert.throws(() => Database.open(path), { code: 'unavailable', message: /newer Gantry/ });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('what did not wait for the disk is on it once that was waited for, by one sync for all', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-durable-'));
  const path = join(directory, 'state.db');
  try {
    const db = Database.open(path);
    await db.durable(); // nothing was written: nothing is waited for
    const write = (id: string): void =>
      db.relaxedTransaction(() => void db.run('INSERT INTO containers (id, name, doc) VALUES (?, ?, ?)', id, id, '{}'));
    write('a');
    const first = db.durable();
    write('b');
    await Promise.all([first, db.durable(), db.durable()]);
    // the log as it is on the disk, without this process's memory of it
    for (const suffix of ['', '-wal']) copyFileSync(`${path}${suffix}`, `${join(directory, 'copy.db')}${suffix}`);
    db.transaction(() => void db.run('DELETE FROM containers WHERE id = ?', 'a'));
    await db.durable();
    write('c');
    const last = db.durable();
    db.close();
    await last;
    const copy = Database.open(join(directory, 'copy.db'));
    assert.deepEqual(
      copy.all('SELECT id FROM containers ORDER BY id').map(({ id }) => id),
      ['a', 'b'],
    );
    copy.close();
    const again = Database.open(path);
    assert.deepEqual(
      again.all('SELECT id FROM containers ORDER BY id').map(({ id }) => id),
      ['b', 'c'],
    );
    again.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

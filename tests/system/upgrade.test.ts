/**
 * A newer engine takes over what an older one runs, from the first schema of the database on; an older one refuses
 * what a newer one wrote. The older data roots are made of one of today: the rows that their tables had.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MIGRATIONS } from '../../src/state/migrations.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root, for an engine of its own';

describe('upgrade in place', { skip, timeout: 180_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-upgrade-'));
  const daemon = new DaemonProcess({ directory });
  const database = join(directory, 'data/state.db');
  let pid = '';
  const docker = (...args: string[]): string => {
    const result = spawnSync('docker', args, { env: daemon.clientEnv, encoding: 'utf8', timeout: 60_000 });
    assert.equal(result.status, 0, `docker ${args.join(' ')}: ${result.stderr}`);
    return result.stdout.trim();
  };
  const schemaOf = (file: string): number => {
    const db = new DatabaseSync(file, { readOnly: true });
    const version = db.prepare('PRAGMA user_version').get()!['user_version'];
    db.close();
    return Number(version);
  };

  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
    // other engines of this host may have taken every default pool
    docker('network', 'create', '--subnet', `10.${randomInt(50, 99)}.${randomInt(255)}.0/24`, 'net');
    docker('volume', 'create', '--label', 'a=b', 'vol');
    docker('run', '-d', '--name', 'runs', '--network', 'net', '-v', 'vol:/v', '-p', '80', 'busybox', 'sleep', '100000');
    docker('create', '--name', 'made', 'busybox', 'sh', '-c', 'echo x >/f; exit 7');
    docker('tag', 'busybox', 'kept:1');
    pid = docker('inspect', '-f', '{{.State.Pid}}', 'runs');
    await daemon.kill();
  });
  after(async () => {
    spawnSync('docker', ['rm', '-f', 'runs', 'made'], { env: daemon.clientEnv });
    spawnSync('docker', ['network', 'rm', 'net'], { env: daemon.clientEnv });
    await daemon.stop();
    await nothingLeft(daemon);
  });

  for (const schema of [1, MIGRATIONS.length - 1]) {
    test(`from schema ${schema}: what ran goes on, what was there is there`, async () => {
      makeOlder(database, schema);
      assert.equal(schemaOf(database), schema);
      await daemon.start();
      assert.equal(docker('inspect', '-f', '{{.State.Running}} {{.State.Pid}}', 'runs'), `true ${pid}`);
      assert.equal(docker('exec', 'runs', 'echo', 'here'), 'here');
      assert.match(docker('port', 'runs'), /^80\/tcp -> /);
      assert.equal(docker('volume', 'inspect', '-f', '{{.Labels.a}}', 'vol'), 'b');
      assert.equal(docker('network', 'inspect', '-f', '{{len .Containers}}', 'net'), '1');
      assert.equal(docker('images', '-q', 'kept:1'), docker('images', '-q', 'busybox'));
      docker('start', 'made');
      assert.equal(docker('wait', 'made'), '7');
      await daemon.kill();
      assert.equal(schemaOf(database), MIGRATIONS.length);
    });
  }

  test('a newer schema is refused in so many words, and is left as it is', async () => {
    setSchema(database, MIGRATIONS.length + 1);
    const copy = join(directory, 'copy.db');
    copyFileSync(database, copy);
    await assert.rejects(daemon.start(), {
      message: new RegExp(
        `state\\.db was written by a newer Gantry \\(schema ${MIGRATIONS.length + 1}, this one knows ${MIGRATIONS.length}\\): upgrade, or use another data root`,
      ),
    });
    assert.ok(readFileSync(database).equals(readFileSync(copy)), 'the database was written to');
    process.kill(Number(pid), 0);
    // the newer one comes back
    setSchema(database, MIGRATIONS.length);
    await daemon.start();
    assert.equal(docker('inspect', '-f', '{{.State.Pid}}', 'runs'), pid);
  });
});

function setSchema(file: string, version: number): void {
  const db = new DatabaseSync(file);
  db.exec(`PRAGMA user_version=${version}; PRAGMA wal_checkpoint(TRUNCATE)`);
  db.close();
}

/** The database as it was when there were only the first `schema` migrations, with the rows that it could have. */
function makeOlder(file: string, schema: number): void {
  const older = `${file}.older`;
  const db = new DatabaseSync(older);
  for (const migration of MIGRATIONS.slice(0, schema)) db.exec(migration);
  db.exec(`PRAGMA user_version=${schema}; ATTACH '${file}' AS today`);
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  for (const { name } of tables) {
    const columns = db.prepare(`SELECT group_concat(name) AS list FROM pragma_table_info('${String(name)}')`).get()!;
    db.exec(
      `INSERT INTO ${String(name)} (${String(columns['list'])}) SELECT ${String(columns['list'])} FROM today.${String(name)}`,
    );
  }
  db.close();
  for (const end of ['', '-wal', '-shm']) rmSync(`${file}${end}`, { force: true });
  copyFileSync(older, file);
  rmSync(older);
}

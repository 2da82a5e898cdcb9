import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** The blobs of one column of a table in a foreign database file; none when it is damaged. */
export function sqliteBlobs(bytes: Uint8Array, table: string, column: string): Buffer[] {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-scan-'));
  try {
    const file = join(directory, 'db');
    writeFileSync(file, bytes);
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      return database
        .prepare(`SELECT ${column} AS value FROM ${table}`)
        .all()
        .flatMap(({ value }) => (value instanceof Uint8Array ? [Buffer.from(value)] : []));
    } finally {
      database.close();
    }
  } catch {
    return [];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Row } from './measure.ts';

/** Rows of a file of JSON lines; none where there is no file. */
export function readRows(file: string): Row[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
}

/** Whole or not at all. */
export function writeRows(file: string, rows: readonly Row[]): void {
  writeFileSync(`${file}.new`, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  renameSync(`${file}.new`, file);
}

/** The rows with those of a later run: a figure that was measured again has its new row in its old place, a new one stands behind its part. */
export function mergeRows(before: readonly Row[], later: readonly Row[]): Row[] {
  const fresh = new Map(later.map((row) => [keyOf(row), row]));
  const merged = before.map((row) => {
    const again = fresh.get(keyOf(row));
    fresh.delete(keyOf(row));
    return again ?? row;
  });
  for (const row of fresh.values()) {
    const last = merged.findLastIndex(({ part }) => part === row.part);
    merged.splice(last < 0 ? merged.length : last + 1, 0, row);
  }
  return merged;
}

/** Two parts may have a figure of one name. */
function keyOf({ part, name }: Row): string {
  return `${part ?? ''} ${name}`;
}

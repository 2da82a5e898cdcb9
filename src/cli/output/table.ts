import { ellipsis, placesOf } from './width.ts';

/** Column layout of Go's tabwriter as docker sets it up: at least 10 wide, 3 spaces between, nothing after the last cell. */
export function layOut(rows: readonly (readonly string[])[], minWidth = 10, padding = 3): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.slice(0, -1).entries()) {
      widths[i] = Math.max(widths[i] ?? minWidth, placesOf(cell) + padding);
    }
  }
  return rows
    .map((row) =>
      row.map((cell, i) => (i === row.length - 1 ? cell : cell + ' '.repeat(widths[i]! - placesOf(cell)))).join(''),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** Columns are not made narrower than this, or than what stands above them. */
const NARROWEST = 8;
/** `Exited (137) 2 …` */
const NARROWEST_LAST = 16;
/** Where only this makes lines fit: one that is broken in two is read worse than one that is cut. */
const NARROWEST_OF_ALL = 7;

/**
 * Rows, the head first, whose lines fit into `width` characters: the widest columns are cut, again and again, except those
 * in `whole` (names, ids: what people copy or look for), and those in `last` when nothing else is left to cut. What still
 * does not fit stays as it is.
 */
export function fitRows(
  rows: readonly (readonly string[])[],
  width: number,
  whole: ReadonlySet<number>,
  last: ReadonlySet<number> = new Set(),
): readonly (readonly string[])[] {
  const head = rows[0] ?? [];
  const widths = head.map((_, column) => Math.max(...rows.map((row) => placesOf(row[column] ?? ''))));
  let least = head.map((title, at) => Math.max(last.has(at) ? NARROWEST_LAST : NARROWEST, placesOf(title)));
  const padding = 3;
  const total = (of: readonly number[]): number =>
    of.reduce((sum, each, at) => sum + (at < of.length - 1 ? Math.max(each, 10 - padding) + padding : each), 0);
  const cut = new Set<number>();
  for (let over = total(widths) - width; over > 0; over = total(widths) - width) {
    const free = widths.flatMap((each, at) => (whole.has(at) || each <= least[at]! ? [] : [at]));
    const first = free.filter((at) => !last.has(at));
    const candidates = first.length > 0 ? first : free;
    if (candidates.length === 0) {
      const tightest = widths.map((each, at) => (whole.has(at) ? each : Math.min(each, NARROWEST_OF_ALL)));
      if (least.every((each) => each === NARROWEST_OF_ALL) || total(tightest) > width) break;
      least = least.map(() => NARROWEST_OF_ALL);
      continue;
    }
    const widest = candidates.reduce((best, at) => (widths[at]! > widths[best]! ? at : best));
    const second = Math.max(...candidates.filter((at) => at !== widest).map((at) => widths[at]!), 0);
    widths[widest] = Math.max(least[widest]!, Math.min(widths[widest]! - 1, Math.max(second, widths[widest]! - over)));
    cut.add(widest);
  }
  return rows.map((row) => row.map((cell, at) => (cut.has(at) ? ellipsis(cell, widths[at]!) : cell)));
}

/** Text whose cells are parted by tabs, as a `table` template makes it. */
export function layOutText(text: string, minWidth = 10, padding = 3): string {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return layOut(
    lines.map((line) => line.split('\t')),
    minWidth,
    padding,
  );
}

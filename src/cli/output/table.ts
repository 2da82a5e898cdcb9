/** Column layout of Go's tabwriter as docker sets it up: at least 10 wide, 3 spaces between, nothing after the last cell. */
export function layOut(rows: readonly (readonly string[])[], minWidth = 10, padding = 3): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.slice(0, -1).entries()) {
      widths[i] = Math.max(widths[i] ?? minWidth, charsIn(cell) + padding);
    }
  }
  return rows
    .map((row) =>
      row.map((cell, i) => (i === row.length - 1 ? cell : cell + ' '.repeat(widths[i]! - charsIn(cell)))).join(''),
    )
    .map((line) => `${line}\n`)
    .join('');
}

function charsIn(text: string): number {
  return Array.from(text).length;
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

import type { SourceRange } from './dockerfile/parse.ts';

/** Lines shown around those that are meant. */
const AROUND = 2;
const MAX_LINE = 200;

/** The lines of a Dockerfile that a message is about, marked with `>>>`, as BuildKit shows them. */
export function sourceExcerpt(file: string, source: string, { start, end }: SourceRange): string {
  const lines = source.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  const first = Math.max(1, start - AROUND);
  const last = Math.min(lines.length, end + AROUND);
  const shown: string[] = [];
  for (let number = first; number <= last; number++) {
    const mark = number >= start && number <= end ? '>>>' : '   ';
    shown.push(` ${String(number).padStart(3)} | ${mark} ${lines[number - 1]!.slice(0, MAX_LINE)}`.trimEnd());
  }
  const rule = '-'.repeat(20);
  return `${file}:${start}\n${rule}\n${shown.join('\n')}\n${rule}\n`;
}

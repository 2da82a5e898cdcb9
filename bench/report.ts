import { writeFileSync } from 'node:fs';
import { availableParallelism, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { ratioOf, type Row } from './measure.ts';
import { readRows } from './rows.ts';

/** Writes README.md (a table: medians, ratio to the best other, goal) and ratios.svg into `directory` from the rows of a run. */
export function writeReport(file: string, directory: string): void {
  const rows = readRows(file);
  writeFileSync(join(directory, 'README.md'), table(rows));
  writeFileSync(join(directory, 'ratios.svg'), plot(rows));
}

function table(rows: readonly Row[]): string {
  const machine = `${availableParallelism()} processors, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}, Node ${process.version}`;
  const lines = rows.map((row) => {
    const { ours, unit, goal, values } = row;
    const others = Object.entries(values).filter(([name]) => name !== ours);
    const ratio = ratioOf(row);
    const wanted = row.limit === undefined ? goalText(row) : `at most ${row.limit} ${unit}`;
    const over = row.limit !== undefined && values[ours]! > row.limit;
    const shown = others.map(([name, value]) => `${name} ${number(value)}`).join(', ');
    const met = ratio === undefined || goal === undefined ? ratio?.toFixed(2) : mark(ratio, row);
    return `| ${row.name} | ${unit} | ${values[ours] === undefined ? '' : over ? `**${number(values[ours])}**` : number(values[ours])} | ${shown} | ${met ?? ''} | ${wanted} | ${row.date ?? ''} |`;
  });
  return [
    '# Benchmark',
    '',
    `Medians, engines in turn on one machine: ${machine}. The ratio is ours to the best of the others; bold where it misses its goal. Rows of one day are of one run, or of runs of parts. Run it yourself: \`npm run bench\`.`,
    '',
    '![ratios](ratios.svg)',
    '',
    '| figure | unit | gantry | others | ratio | goal | measured |',
    '|---|---|---|---|---|---|---|',
    ...lines,
    '',
    ...NOTES,
    '',
  ].join('\n');
}

const NOTES = [
  "Through docker's classic path the client makes an archive of the whole context each time and sends it. `classic: …, the client alone` is the same command where the other end takes everything, looks at none of it and answers at once: no engine is done before that, so a goal is out of reach where this alone is more than the goal's part of what the fastest other engine takes.",
];

function goalText({ goal, moreIsBetter }: Row): string {
  return goal === undefined ? '' : `${moreIsBetter ? 'at least' : 'at most'} ${goal}`;
}

function mark(ratio: number, { goal, moreIsBetter }: Row): string {
  const met = moreIsBetter ? ratio >= goal! : ratio <= goal!;
  return met ? ratio.toFixed(2) : `**${ratio.toFixed(2)}**`;
}

function number(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** Horizontal bars of the ratios; the line is the best of the others. */
function plot(rows: readonly Row[]): string {
  const bars = rows.flatMap((row) => {
    const ratio = ratioOf(row);
    return ratio === undefined ? [] : [{ row, ratio }];
  });
  const [left, step, scale] = [360, 20, 200];
  const height = bars.length * step + 40;
  const width = left + scale * 2.5;
  const drawn = bars.map(({ row, ratio }, at) => {
    const y = at * step + 24;
    const long = Math.min(ratio, 2.2) * scale;
    const good = row.moreIsBetter ? ratio >= 1 : ratio <= 1;
    return [
      `<text x="${left - 8}" y="${y + 12}" text-anchor="end">${escape(row.name)}</text>`,
      `<rect x="${left}" y="${y}" width="${long.toFixed(1)}" height="${step - 5}" fill="${good ? '#2a7de1' : '#d9822b'}"/>`,
      `<text x="${(left + long + 6).toFixed(1)}" y="${y + 12}">${ratio.toFixed(2)}${row.moreIsBetter ? ' (more is better)' : ''}</text>`,
    ].join('');
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${left}" y="14">ratio to the best of the others</text>`,
    ...drawn,
    `<line x1="${left + scale}" x2="${left + scale}" y1="20" y2="${height - 12}" stroke="#333" stroke-dasharray="3 3"/>`,
    '</svg>',
    '',
  ].join('\n');
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

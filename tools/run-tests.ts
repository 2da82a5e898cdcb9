import { globSync } from 'node:fs';
import { relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/**
 * The whole suite: two files at a time, then each file that failed once more, alone. What passes then failed for want
 * of processor time beside others; it is named all the same, for a test like that is to be mended. Exit code 1 when a
 * file fails twice, or when so many failed that the machine is not to blame.
 */
const MOST_RETRIED = 8;
/** So many of the slowest files are named at the end: where the next second is to be saved. */
const SLOWEST = 25;

async function failedOf(files: readonly string[], concurrency: number): Promise<string[]> {
  const failed = new Set<string>();
  const tests = run({ files: [...files], concurrency, timeout: 600_000 });
  tests.on('test:fail', ({ file, name }) => failed.add(relative('.', file ?? name)));
  tests.on('test:summary', ({ file, duration_ms }) => file && durations.push([relative('.', file), duration_ms]));
  for await (const text of tests.compose(new spec())) process.stdout.write(text);
  return [...failed];
}

const durations: [file: string, ms: number][] = [];
const files = globSync(process.argv.length > 2 ? process.argv.slice(2) : ['src/**/*.test.ts', 'tests/**/*.test.ts']);
const failed = await failedOf(files.sort(), 2);
const slowest = durations.sort(([, a], [, b]) => b - a).slice(0, SLOWEST);
console.log(
  `\nSlowest files:\n${slowest.map(([file, ms]) => `${(ms / 1000).toFixed(1).padStart(7)} s  ${file}`).join('\n')}`,
);
if (failed.length > MOST_RETRIED) process.exit(1);
if (failed.length > 0) {
  console.log(`\nFailed beside others, run again alone: ${failed.join(', ')}\n`);
  if ((await failedOf(failed, 1)).length > 0) process.exit(1);
  console.log(`\nPassed only when run alone, to be mended: ${failed.join(', ')}`);
}

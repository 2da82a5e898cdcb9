/**
 * Runs test files inside the machine, one after the other (User Mode Linux has one processor), and prints a line for each
 * that main.ts, outside, makes a table of: so there is one, too, of a machine that is stopped before its end.
 *
 *   node tests/vm/in-machine.ts SECONDS FILE…       SECONDS is the time that one file may take
 */
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { resultLine, type Skipped } from './report.ts';

const [seconds, ...files] = process.argv.slice(2);

for (const file of files) {
  let passed = 0;
  const skipped: Skipped[] = [];
  const failed: string[] = [];
  const start = performance.now();
  const tests = run({ files: [file], concurrency: 1, timeout: Number(seconds) * 1000 });
  tests.on('test:pass', ({ name, skip, todo, details }) => {
    const reason = skip ?? todo;
    if (reason !== undefined && reason !== false)
      skipped.push({ name, reason: typeof reason === 'string' && reason !== '' ? reason : 'no reason is given' });
    else if (details.type !== 'suite') passed++;
  });
  // of a suite whose test failed the test is named
  tests.on('test:fail', ({ name, details }) => {
    const { failureType } = details.error as Error & { failureType?: string };
    if (failureType !== 'subtestsFailed') failed.push(name);
  });
  for await (const text of tests.compose(new spec())) process.stdout.write(text);
  if (failed.length > 0) process.exitCode = 1;
  process.stdout.write(resultLine({ file, seconds: (performance.now() - start) / 1000, passed, skipped, failed }));
}

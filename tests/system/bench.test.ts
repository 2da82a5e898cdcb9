/** The benchmark as a program: what it keeps of earlier figures, and that nothing of it is left when it is ended. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Row } from '../../bench/measure.ts';
import { mergeRows, readRows, writeRows } from '../../bench/rows.ts';

const here = mkdtempSync(join(tmpdir(), 'gantry-test-bench-'));
after(() => rmSync(here, { recursive: true, force: true }));

const row = (part: string, name: string, gantry: number): Row => ({
  part,
  name,
  unit: 'ms',
  values: { gantry },
  ours: 'gantry',
});

function bench(words: readonly string[], onOutput: (printed: string, stop: () => void) => void = () => {}) {
  const script = fileURLToPath(new URL('../../bench/all.ts', import.meta.url));
  const child = spawn(process.execPath, [script, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  let stopped = false;
  const stop = (): void => {
    if (!stopped) child.kill('SIGTERM');
    stopped = true;
  };
  child.stdout.on('data', (data: Buffer) => {
    printed += data.toString();
    onOutput(printed, stop);
  });
  return new Promise<{ code: number | null; printed: string; pid: number }>((resolve) =>
    child.once('close', (code) => resolve({ code, printed, pid: child.pid! })),
  );
}

test('mergeRows(): new figures in the place of old ones, of the same part alone', () => {
  const before = [row('run', 'a', 1), row('run', 'b', 2), row('network', 'a', 3)];
  const later = [row('network', 'a', 30), row('run', 'c', 40), row('volume', 'd', 50)];
  assert.deepEqual(mergeRows(before, later), [
    row('run', 'a', 1),
    row('run', 'b', 2),
    row('run', 'c', 40),
    row('network', 'a', 30),
    row('volume', 'd', 50),
  ]);
  assert.deepEqual(mergeRows([], later), later);
});

test('--merge: a part is measured again, the others stay', async () => {
  const results = mkdtempSync(join(here, 'results-'));
  const old = { ...row('run', 'kept', 7), date: '2026-01-02' };
  writeRows(join(results, 'rows.jsonl'), [
    { ...row('start', 'start of the command line', 1e9), date: '2026-01-02' },
    old,
  ]);
  const { code, printed } = await bench(['--merge', '--results', results, 'start']);
  assert.equal(code, 0, printed);
  const [measured, kept, ...others] = readRows(join(results, 'rows.jsonl'));
  assert.deepEqual(others, []);
  assert.deepEqual(kept, old);
  assert.equal(measured?.name, 'start of the command line');
  assert.notEqual(measured?.date, '2026-01-02');
  assert.ok(measured!.values['gantry']! < 1e9);
  const report = readFileSync(join(results, 'README.md'), 'utf8');
  assert.match(report, /^\| kept \| ms \| 7\.00 \|.*\| 2026-01-02 \|$/m);
});

test('a part that is none', async () => {
  assert.equal((await bench(['toString'])).code, 2);
});

test('SIGTERM in the middle: engines, containers and data are gone, results are as they were', async () => {
  const results = mkdtempSync(join(here, 'results-'));
  writeFileSync(join(results, 'rows.jsonl'), `${JSON.stringify(row('run', 'a', 1))}\n`);
  const { code, printed, pid } = await bench(['--results', results, 'run'], (text, stop) => {
    if (/^run --rm \(bridge\)/m.test(text)) stop();
  });
  assert.equal(code, 143, printed);
  const [, directory, execRoot] = /^data: (\S+) (\S+)$/m.exec(printed)!;
  assert.equal(existsSync(directory!), false);
  assert.equal(existsSync(execRoot!), false);
  const left = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(directory!);
      } catch {
        return false; // gone meanwhile
      }
    });
  assert.deepEqual(left, []);
  assert.equal(existsSync(`/sys/class/net/gtb${pid}`), false);
  assert.deepEqual(readRows(join(results, 'rows.jsonl')), [row('run', 'a', 1)]);
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runTool } from './tool.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root, to go before others';
const priority = fileURLToPath(new URL('priority.ts', import.meta.url));
const tool = fileURLToPath(new URL('tool.ts', import.meta.url));

/** Runs it in a process of its own: this one keeps its priority. */
function tried(nice: string[]): { done: boolean; own: number; threads: number[]; child: string } {
  const program = `
    import { readdirSync, readFileSync } from 'node:fs';
    import { getPriority } from 'node:os';
    import { Worker } from 'node:worker_threads';
    import { goFirst } from ${JSON.stringify(priority)};
    import { runTool } from ${JSON.stringify(tool)};
    const done = goFirst();
    const own = getPriority();
    await new Promise((resolve) => new Worker('', { eval: true }).once('online', resolve));
    const threads = readdirSync('/proc/self/task').map((id) => Number(readFileSync('/proc/self/task/' + id + '/stat', 'utf8').split(') ')[1].split(' ')[16]));
    const { stdout } = await runTool('/usr/bin/nice', []);
    console.log(JSON.stringify({ done, own, threads, child: stdout.toString().trim() }));`;
  const run = spawnSync('nice', [...nice, process.execPath, '--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout);
}

const { stdout } = await runTool('/usr/bin/nice', []);
const ours = Number(stdout.toString());

test('the thread goes before others, what it starts does not', { skip }, () => {
  const { done, own, threads, child } = tried(['-n', String(-ours)]);
  assert.deepEqual({ done, own, child }, { done: true, own: -14, child: '0' });
  assert.equal(threads.filter((nice) => nice === -14).length, 1);
  assert.ok(threads.length > 1 && threads.every((nice) => nice === -14 || nice === 0), String(threads));
});

test('a priority that somebody chose stays', { skip }, () => {
  assert.deepEqual((({ done, own, child }) => ({ done, own, child }))(tried(['-n', String(3 - ours)])), {
    done: false,
    own: 3,
    child: '3',
  });
});

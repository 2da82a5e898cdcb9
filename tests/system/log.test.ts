import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { after, test } from 'node:test';
import { logEnd } from '../../src/runtime/logs/log-files.ts';
import { readLog, type ReadLogOptions } from '../../src/runtime/logs/reader.ts';
import { leftovers, TaskHost } from '../support/task-host.ts';

const host = new TaskHost();
const runner = host.runner();
after(() => host[Symbol.dispose]());

test('a flood through small files: no line is lost, torn or doubled, for a follower and for a reader afterwards', async () => {
  const id = 'rotate-all';
  const count = 200_000;
  const log = { path: host.logPath(id), maxBytes: 256 * 1024, maxFiles: 100_000 };
  const from = logEnd(log.path);
  const request = host.request(id, bursts(count), { log });
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const following = collect({ path: log.path, from, follow: true, ended });
  const task = await runner.start(request);
  end(await task.exited.then(() => undefined));
  const wanted = `${Array.from({ length: count }, (_, index) => index + 1).join('\n')}\n`;
  assertSame(await following, wanted);
  assertSame(await collect({ path: log.path }), wanted);
  const names = readdirSync(`${host.root}/logs`).filter((name) => name.startsWith(id));
  assert.ok(names.length > 3, names.join());
  assert.deepEqual(
    names.filter((name) => /tmp|next|current/.test(name)),
    [],
  );
  await runner.forget(id);
  assert.deepEqual(leftovers(host, id), []);
});

test('the size is bounded, and the last lines are there', async () => {
  const id = 'rotate-bound';
  const log = { path: host.logPath(id), maxBytes: 512 * 1024, maxFiles: 3 };
  const task = await runner.start(host.request(id, bursts(200_000), { log }));
  await task.exited;
  const text = await collect({ path: log.path });
  assert.ok(text.endsWith('\n199999\n200000\n'));
  const first = Number(text.slice(0, text.indexOf('\n')));
  assertSame(text, `${Array.from({ length: 200_001 - first }, (_, index) => first + index).join('\n')}\n`);
  const files = readdirSync(`${host.root}/logs`).filter((name) => name.startsWith(id));
  const bytes = files.reduce((sum, name) => sum + statSync(`${host.root}/logs/${name}`).size, 0);
  // A file outgrows its bound by what is written until we look: here, a few bursts of 0.2 MiB.
  assert.ok(bytes < 4 * 1024 * 1024, `${bytes} bytes in ${files.join()}`);
  await runner.forget(id);
});

test('a client that holds stdin and never reads does not slow a flood', async () => {
  const id = 'stdin-flood';
  const task = await runner.start(
    host.request(id, ['sh', '-c', 'read line; seq 1 300000; echo "$line"'], { stdin: true }),
  );
  await task.write(Buffer.from('typed\n'));
  assert.equal((await task.exited).exitCode, 0);
  assert.ok((await collect({ path: host.logPath(id) })).endsWith('\n300000\ntyped\n'));
  await runner.forget(id);
});

/** Prints the numbers up to `count`, with a breath after every 4000. */
function bursts(count: number): string[] {
  const script = `i=0; while [ $i -lt ${count / 4000} ]; do seq $((i * 4000 + 1)) $((i * 4000 + 4000)); i=$((i + 1)); sleep 0.01; done`;
  return ['sh', '-c', script];
}

/** Without printing megabytes when they differ. */
function assertSame(actual: string, wanted: string): void {
  if (actual === wanted) return;
  let at = 0;
  while (actual[at] === wanted[at]) at++;
  const around = (text: string): string => JSON.stringify(text.slice(Math.max(0, at - 40), at + 40));
  assert.fail(`differs at ${at} of ${wanted.length}: ${around(actual)} for ${around(wanted)}`);
}

async function collect(options: Partial<ReadLogOptions> & { path: string }): Promise<string> {
  const parts: Buffer[] = [];
  for await (const chunk of readLog({ stdout: true, stderr: true, ...options })) parts.push(Buffer.from(chunk.data));
  return Buffer.concat(parts).toString();
}

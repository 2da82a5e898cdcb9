import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { isAlive } from '../../src/linux/process.ts';
import { readMonitorRecord, searchMonitor } from '../../src/runtime/conmon-monitor.ts';
import { readLog } from '../../src/runtime/logs/reader.ts';
import type { Task, TaskLog, TaskRequest } from '../../src/runtime/task.ts';
import { leftovers, TaskHost } from '../support/task-host.ts';

const host = new TaskHost();
after(() => host[Symbol.dispose]());

test('kill -9 of the engine in a flood: same pid, no line lost or torn, the exit code is known', async () => {
  for (const log of [
    { path: host.logPath('flood-0'), maxBytes: 0, maxFiles: 1 },
    { path: host.logPath('flood-1'), maxBytes: 1024 * 1024, maxFiles: 1000 },
  ]) {
    const id = log.path.slice(log.path.lastIndexOf('/') + 1);
    const script =
      'i=0; while [ $i -lt 50 ]; do seq $((i*2000+1)) $((i*2000+2000)); i=$((i+1)); sleep 0.01; done; exit 9';
    const started = await startAndKill(id, { args: ['sh', '-c', script], log }, 100);
    const runner = host.runner();
    const task = await adopt(runner, id, started, log);
    assert.equal(task.pid, started.pid);
    assert.ok(isAlive({ pid: task.pid, startTime: task.pidStartTime }), 'still prints');
    const exit = await task.exited;
    assert.equal(exit.exitCode, 9);
    assert.equal(exit.lost, undefined);
    const lines = (await read(log.path)).split('\n');
    assert.equal(lines.pop(), '');
    assert.equal(lines.length, 100_000);
    assert.equal(
      lines.findIndex((line, index) => line !== String(index + 1)),
      -1,
    );
    await runner.forget(id);
    assert.deepEqual(leftovers(host, id), []);
  }
});

test('an exit that nobody saw is known afterwards, with its time', async () => {
  const id = 'unseen';
  const log = { path: host.logPath(id), maxBytes: 0, maxFiles: 1 };
  const started = await startAndKill(id, { args: ['sh', '-c', 'sleep 0.3; exit 4'], log });
  while (!existsSync(`${host.execRoot}/exits/${id}`)) await setTimeout(10);
  const seen = Date.now();
  await setTimeout(50);
  const runner = host.runner();
  const exit = await (await adopt(runner, id, started, log)).exited;
  assert.equal(exit.exitCode, 4);
  assert.ok(Math.abs(Date.parse(exit.exitedAt) - seen) < 1000, exit.exitedAt);
  await runner.forget(id);
  assert.equal(await runner.adopt({ ...adoption(id, started, log) }), undefined);
});

test('a terminal goes on: typed into, resized, by the next engine', async () => {
  const id = 'terminal';
  const log = { path: host.logPath(id), maxBytes: 0, maxFiles: 1 };
  const args = ['sh', '-c', 'stty size; read a; stty size; echo "got $a"'];
  const started = await startAndKill(id, {
    args,
    log,
    terminal: true,
    stdin: true,
    consoleSize: { rows: 20, columns: 70 },
  });
  const runner = host.runner();
  const task = (await runner.adopt({ ...adoption(id, started, log), terminal: true }))!;
  while ((await read(log.path)) === '') await setTimeout(5);
  await task.resize({ rows: 33, columns: 99 });
  await task.write(Buffer.from('word\n'));
  assert.equal((await task.exited).exitCode, 0);
  assert.equal(await read(log.path), '20 70\r\nword\r\n33 99\r\ngot word\r\n');
  await assert.rejects(task.write(Buffer.from('x')), { code: 'conflict' });
  await assert.rejects(task.resize({ rows: 1, columns: 1 }), { code: 'conflict' });
  await runner.forget(id);
});

test('a monitor that dies takes its container with it, and the loss is told', async () => {
  for (const engineLives of [true, false]) {
    const id = `lost-${engineLives}`;
    const log = { path: host.logPath(id), maxBytes: 0, maxFiles: 1 };
    const runner = host.runner();
    const request = { args: ['sh', '-c', 'trap "" TERM; sleep 1000 & sleep 1000'], log };
    const started = engineLives
      ? await runner.start(host.request(id, request.args, { log }))
      : await startAndKill(id, request);
    process.kill(readMonitorRecord(`${host.execRoot}/tasks/${id}`)!.pid, 'SIGKILL');
    const task = await adopt(runner, id, started, log);
    const exit = await task.exited;
    assert.equal(exit.exitCode, 137);
    assert.match(exit.lost!, /monitor/);
    assert.deepEqual(await task.processes(), []);
    await runner.forget(id);
    assert.deepEqual(leftovers(host, id), []);
  }
});

test('kill -9 of the engine at any moment of a start: what is half-made is swept', async () => {
  for (const delay of [0, 2, 4, 6, 9, 13, 18, 25]) {
    const id = `half-${delay}`;
    const child = starter(id, { args: ['sleep', '1000'] });
    await once(createInterface(child.stdout!), 'line');
    await setTimeout(delay);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const runner = host.runner();
    const bundle = `${host.execRoot}/tasks/${id}`;
    for (const left of await runner.list()) await runner.forget(left);
    // Killed in the middle of posix_spawn, the child is nobody's yet: it becomes a monitor, finds no bundle, and ends.
    for (let attempt = 0; searchMonitor(bundle) && attempt < 200; attempt++) await setTimeout(10);
    assert.equal(searchMonitor(bundle), undefined);
    assert.deepEqual(leftovers(host, id), []);
  }
});

test('twenty at once', async () => {
  const runner = host.runner();
  const ids = Array.from({ length: 20 }, (_, index) => `many-${index}`);
  await Promise.all(
    ids.map(async (id, index) => {
      const task = await runner.start(host.request(id, ['sh', '-c', `echo ${id}; exit ${index}`]));
      assert.equal((await task.exited).exitCode, index);
      assert.equal(await read(host.logPath(id)), `${id}\n`);
      await runner.forget(id);
    }),
  );
  assert.deepEqual(
    ids.flatMap((id) => leftovers(host, id)),
    [],
  );
  assert.deepEqual(await runner.list(), []);
});

test('stdin: everything arrives, its end too, and a reader that stalls takes no memory', async () => {
  const id = 'stdin';
  const runner = host.runner();
  const request = host.request(id, ['sh', '-c', 'sleep 0.2; wc -c'], { stdin: true, stdinOnce: true });
  const task = await runner.start(request);
  let passed = 0;
  for (let index = 0; index < 64; index++) {
    await task.write(Buffer.alloc(16_384, 'x'));
    passed += 16_384;
    // Pipe, socket and monitor hold some 300 KiB; the rest waits with us until the container reads.
    if (index === 40) assert.ok(isAlive({ pid: task.pid, startTime: task.pidStartTime }));
  }
  await task.closeStdin();
  assert.equal((await task.exited).exitCode, 0);
  assert.equal(await read(host.logPath(id)), `${passed}\n`);
  await runner.forget(id);
});

test('stdin that the container has closed takes nothing, and costs nothing', async () => {
  const id = 'stdin-closed';
  const runner = host.runner();
  const task = await runner.start(
    host.request(id, ['sh', '-c', 'exec <&-; echo closed; sleep 1000'], { stdin: true, stdinOnce: true }),
  );
  while ((await read(host.logPath(id))) === '') await setTimeout(5);
  await assert.rejects(task.write(Buffer.from('x')), { code: 'conflict' });
  await runner.forget(id);
});

test('a client’s end of stdin comes with the end of its engine', async () => {
  const id = 'orphaned-stdin';
  const log = { path: host.logPath(id), maxBytes: 0, maxFiles: 1 };
  const args = ['sh', '-c', 'wc -c'];
  const started = await startAndKill(id, { args, log, stdin: true, stdinOnce: true, input: 'half' });
  const runner = host.runner();
  const task = (await runner.adopt({ ...adoption(id, started, log), stdinOnce: true }))!;
  assert.equal((await task.exited).exitCode, 0);
  assert.equal(await read(log.path), '4\n');
  await runner.forget(id);
});

test('the next daemon joins the namespace where containers live', async () => {
  const id = 'join';
  const runner = host.runner();
  await runner.start(host.request(id, ['sleep', '1000']));
  const own = readlinkSync('/proc/self/ns/mnt');
  const script = `
    import { readlinkSync } from 'node:fs';
    import { enterEngineMountNamespace } from '${import.meta.dirname}/../../src/linux/mount-namespace.ts';
    import { recordedMonitors } from '${import.meta.dirname}/../../src/runtime/conmon-monitor.ts';
    const [dataRoot, execRoot] = ['${host.dataRoot}', '${host.execRoot}'];
    enterEngineMountNamespace({ dataRoot, execRoot, monitors: recordedMonitors(execRoot), env: process.env });
    console.log(readlinkSync('/proc/self/ns/mnt'), process.cwd());`;
  const arguments_ = [
    '-t',
    String(process.ppid),
    '-m',
    process.execPath,
    '--input-type=module-typescript',
    '--eval',
    script,
  ];
  const child = spawn('nsenter', arguments_, { stdio: ['ignore', 'pipe', 'inherit'], cwd: '/usr' });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  assert.equal(line.split(' ')[0], own);
  await runner.forget(id);
});

interface Started {
  readonly pid: number;
  readonly pidStartTime: number;
}

function starter(
  id: string,
  request: { args: string[] } & Partial<
    Pick<TaskRequest, 'terminal' | 'stdin' | 'stdinOnce' | 'consoleSize' | 'log'>
  > & { input?: string },
): ChildProcess {
  return spawn(process.execPath, [`${import.meta.dirname}/../support/task-starter.ts`, id, JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TASK_HOST: host.root },
  });
}

/** Starts a container in a process that is killed `delay` ms after the container runs. */
async function startAndKill(id: string, request: Parameters<typeof starter>[1], delay = 0): Promise<Started> {
  const child = starter(id, request);
  for await (const line of createInterface(child.stdout!)) {
    if (!line.startsWith('{')) continue;
    await setTimeout(delay);
    child.kill('SIGKILL');
    await once(child, 'exit');
    return JSON.parse(line) as Started;
  }
  throw new Error('the container did not start');
}

function adoption(id: string, started: Started, log: TaskLog) {
  return { id, ...pick(started), terminal: false, stdinOnce: false, runtime: 'crun', log };
}

function pick({ pid, pidStartTime }: Started): Started {
  return { pid, pidStartTime };
}

async function adopt(
  runner: ReturnType<TaskHost['runner']>,
  id: string,
  started: Started,
  log: TaskLog,
): Promise<Task> {
  const task = await runner.adopt(adoption(id, started, log));
  assert.ok(task);
  return task;
}

async function read(path: string): Promise<string> {
  const parts: Buffer[] = [];
  for await (const chunk of readLog({ path, stdout: true, stderr: true })) parts.push(Buffer.from(chunk.data));
  return Buffer.concat(parts).toString();
}

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runTool } from './tool.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root, to go before others';
const priority = fileURLToPath(new URL('priority.ts', import.meta.url));
const tool = fileURLToPath(new URL('tool.ts', import.meta.url));

interface Tried {
  readonly done: boolean;
  readonly session: boolean;
  readonly own: number;
  /** Priorities by thread name. */
  readonly threads: readonly (readonly [string, number])[];
  /** Of a program that it starts, and of that one's session. */
  readonly child: string;
  readonly childSession: string;
  readonly ownSession: string;
}

/** Runs it in a process of its own: this one keeps its priority. */
function tried(command: string[]): Tried {
  const program = `
    import { existsSync, readdirSync, readFileSync } from 'node:fs';
    import { getPriority } from 'node:os';
    import { Worker } from 'node:worker_threads';
    import { goFirst, goFirstOfSessions } from ${JSON.stringify(priority)};
    import { runTool } from ${JSON.stringify(tool)};
    const text = (path) => readFileSync(path, 'latin1').trim();
    const session = goFirstOfSessions();
    const done = await goFirst();
    const own = getPriority();
    await new Promise((resolve) => new Worker('', { eval: true }).once('online', resolve));
    const threads = readdirSync('/proc/self/task').map((id) => ['comm', 'stat'].map((name) => text('/proc/self/task/' + id + '/' + name)));
    const autogroup = '/proc/self/autogroup';
    const read = async (path, args) => (await runTool(path, args)).stdout.toString().trim();
    console.log(JSON.stringify({
      done,
      session,
      own,
      threads: threads.map(([name, stat]) => [name, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])]),
      child: await read('/usr/bin/nice', []),
      childSession: existsSync(autogroup) ? await read('/usr/bin/cat', [autogroup]) : '',
      ownSession: existsSync(autogroup) ? text(autogroup) : '',
    }));`;
  const [first, ...rest] = [...command, process.execPath, '--input-type=module', '-e', program];
  const run = spawnSync(first!, rest, { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout) as Tried;
}

/** The file is there, and empty where it is switched off. */
function groups(): boolean {
  return existsSync('/proc/self/autogroup') && readFileSync('/proc/self/autogroup', 'latin1') !== '';
}

const { stdout } = await runTool('/usr/bin/nice', []);
const ours = Number(stdout.toString());
const ordinary = ['nice', '-n', String(-ours)];

test('the thread and the pool go before others, what they start does not', { skip }, () => {
  const { done, own, threads, child } = tried(ordinary);
  assert.deepEqual({ done, own, child }, { done: true, own: -14, child: '0' });
  const first = threads.filter(([, nice]) => nice === -14).map(([name]) => name);
  assert.deepEqual(first.filter((name) => name !== 'libuv-worker').length, 1, String(threads));
  assert.ok(first.length > 1, String(threads));
  assert.ok(
    threads.every(([, nice]) => nice === -14 || nice === 0),
    String(threads),
  );
  assert.ok(
    threads.some(([, nice]) => nice === 0),
    String(threads),
  );
});

test(
  'the leader of a session goes before other sessions, what it starts does not',
  { skip: skip || (groups() ? false : 'this kernel does not group by session') },
  () => {
    // --fork: a leader of a process group cannot begin a session
    const leader = tried([...ordinary, 'setsid', '--fork', '--wait']);
    assert.equal(leader.session, true);
    assert.match(leader.ownSession, / nice -10$/);
    assert.match(leader.childSession, / nice 0$/);
    const member = tried(ordinary);
    assert.equal(member.session, false);
    assert.match(member.ownSession, / nice 0$/);
  },
);

test('a priority that somebody chose stays', { skip }, () => {
  const { done, session, own, child } = tried(['setsid', '--fork', '--wait', 'nice', '-n', String(3 - ours)]);
  assert.deepEqual({ done, session, own, child }, { done: false, session: false, own: 3, child: '3' });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HostConfig } from '../../src/api/container.ts';
import { Engine } from '../../src/index.ts';
import { type Call, killedEngine } from '../support/killed-engine.ts';
import { type PrivateRoots, printed, privateRoots } from '../support/private-engine.ts';

/** Runs the calls, kills that engine, waits, and gives the next one on the same roots to `work`. */
async function afterKill(
  calls: readonly Call[],
  work: (engine: Engine, roots: PrivateRoots) => Promise<void>,
  { pauseMs = 0 } = {},
): Promise<void> {
  const roots = await privateRoots();
  await killedEngine(roots.options, [['images', 'pull', 'busybox', {}], ...calls]);
  await sleep(pauseMs);
  const engine = await Engine.open(roots.options);
  try {
    await work(engine, roots);
  } finally {
    for (const { Id } of await engine.containers.list({ all: true })) {
      await engine.containers.remove(Id, { force: true, volumes: true });
    }
    await engine.close();
  }
  await roots.discard();
}

function create(name: string, script: string, hostConfig: HostConfig = {}): Call {
  const request = { Image: 'busybox', Cmd: ['sh', '-c', script], HostConfig: { NetworkMode: 'none', ...hostConfig } };
  return ['containers', 'create', request, { name }];
}

const start = (name: string): Call => ['containers', 'start', name];

test('a container goes on without its engine, and the next one has it whole', () =>
  afterKill(
    [create('go', 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done'), start('go')],
    async (engine) => {
      const { containers, execs } = engine;
      const before = await containers.inspect('go');
      assert.equal(before.State.Status, 'running');
      process.kill(before.State.Pid, 0);
      const { Id } = await execs.create('go', { Cmd: ['sh', '-c', 'echo in $PPID'], AttachStdout: true });
      const session = await execs.start(Id, { tty: false });
      assert.match((await printed(session.output)).stdout, /^in \d+\n$/);
      await containers.stop('go', { timeoutSeconds: 0 });
      const { output } = await containers.logs('go', { stdout: true, stderr: true });
      const lines = (await printed(output)).stdout.trimEnd().split('\n').map(Number);
      assert.ok(lines.length > 3);
      assert.deepEqual(lines, [...lines.keys()]);
      assert.equal((await containers.inspect('go')).State.ExitCode, 137);
    },
    { pauseMs: 300 },
  ));

test('ends that nobody saw: code and time, auto-removal, restart policies, what people stopped', () =>
  afterKill(
    [
      create('three', 'sleep 0.4; exit 3'),
      create('once', 'sleep 0.4', { AutoRemove: true }),
      create('always', 'sleep 0.4; echo run', { RestartPolicy: { Name: 'always' } }),
      create('failing', 'sleep 0.4; exit 1', { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 1 } }),
      create('stopped', 'sleep 1000', { RestartPolicy: { Name: 'unless-stopped' } }),
      create('forced', 'sleep 1000', { RestartPolicy: { Name: 'always' } }),
      ...['three', 'once', 'always', 'failing', 'stopped', 'forced'].map(start),
      ['containers', 'stop', 'stopped', { timeoutSeconds: 0 }],
      ['containers', 'stop', 'forced', { timeoutSeconds: 0 }],
    ],
    async (engine) => {
      const { containers } = engine;
      const three = (await containers.inspect('three')).State;
      assert.deepEqual([three.Status, three.ExitCode], ['exited', 3]);
      const ranMs = Date.parse(three.FinishedAt) - Date.parse(three.StartedAt);
      assert.ok(ranMs > 300 && ranMs < 3000, `it ran ${ranMs} ms`);
      await assert.rejects(containers.inspect('once'), { code: 'not-found' });
      assert.equal((await containers.inspect('stopped')).State.Status, 'exited');
      for (const name of ['always', 'failing', 'forced']) {
        for (let tries = 0; ; tries++) {
          const { State, RestartCount } = await containers.inspect(name);
          // the one that is restarted once may have been by the engine that was killed, or be over again
          if (State.Pid > 0 || (name === 'failing' && RestartCount === 1)) break;
          assert.ok(tries < 500, `${name} is not started`);
          await sleep(20);
        }
      }
    },
    { pauseMs: 1500 },
  ));

test('a frozen container stays frozen', () =>
  afterKill([create('ice', 'sleep 1000'), start('ice'), ['containers', 'pause', 'ice']], async ({ containers }) => {
    assert.equal((await containers.inspect('ice')).State.Status, 'paused');
    await containers.unpause('ice');
    assert.equal((await containers.inspect('ice')).State.Status, 'running');
    await containers.stop('ice', { timeoutSeconds: 0 });
  }));

test('killed at any point of create, start, exit and removal: nothing is left, and everything still works', async () => {
  const roots = await privateRoots();
  await killedEngine(roots.options, [['images', 'pull', 'busybox', {}]]);
  const calls = Array.from({ length: 50 }, (_, index): Call[] => [
    create(`c${index}`, 'exit 0', { AutoRemove: index % 2 === 0 }),
    start(`c${index}`),
  ]).flat();
  for (let round = 0; round < 8; round++) {
    await killedEngine(roots.options, calls, { afterMs: 20 + round * 37 });
    const engine = await Engine.open(roots.options);
    for (const { Id, State } of await engine.containers.list({ all: true })) {
      assert.ok(['created', 'running', 'exited'].includes(State), State);
      if (State === 'created') await engine.containers.start(Id);
      await engine.containers.remove(Id, { force: true }).catch((error: Error) => {
        if (!error.message.includes('No such container')) throw error;
      });
    }
    assert.deepEqual(await engine.run({ image: 'busybox', command: ['echo', 'fine'], network: 'none' }), {
      exitCode: 0,
      stdout: 'fine\n',
      stderr: '',
    });
    await engine.close();
  }
  await roots.discard();
});

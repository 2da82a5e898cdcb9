import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import type { ContainerCreateRequest } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import { createContainer } from './create.ts';
import { fakeContext } from './fakes.ts';
import { killContainer } from './kill.ts';
import { listContainers } from './list.ts';
import { pauseContainer, unpauseContainer } from './pause.ts';
import { removeContainer } from './remove.ts';
import { renameContainer } from './rename.ts';
import { startContainer } from './start.ts';
import { restartContainer, stopContainer } from './stop.ts';
import { waitForContainer } from './wait.ts';

type Context = ReturnType<typeof fakeContext>;

async function withContext(work: (context: Context) => Promise<void>): Promise<void> {
  const context = fakeContext({ dataRoot: await mkdtemp(join(tmpdir(), 'gantry-lifecycle-')) });
  try {
    await work(context);
  } finally {
    await context.close();
  }
}

function create(context: Context, name: string, more: Partial<ContainerCreateRequest> = {}): Promise<{ Id: string }> {
  return createContainer(context, { Image: 'busybox', Cmd: ['sleep', '9'], ...more }, { name });
}

async function start(context: Context, name: string) {
  await startContainer(context, name);
  return context.tasks.running.get(context.store.byName(name)!.id)!;
}

test('create, start, exit, remove: states, waiters, and what is freed', () =>
  withContext(async (context) => {
    const { Id } = await create(context, 'web');
    const next = await waitForContainer(context, 'web', 'next-exit');
    const removed = await waitForContainer(context, 'web', 'removed');
    const task = await start(context, 'web');
    assert.equal(context.store.get(Id)!.state.pid, task.pid);
    await assert.rejects(startContainer(context, 'web'), { code: 'not-modified' });
    await assert.rejects(removeContainer(context, 'web'), {
      code: 'conflict',
      message:
        'cannot remove container "web": container is running: stop the container before removing or force remove',
    });
    task.end(3);
    assert.deepEqual(await next.outcome, { exitCode: 3 });
    assert.deepEqual(await (await waitForContainer(context, 'web', 'not-running')).outcome, { exitCode: 3 });
    assert.equal(context.store.get(Id)!.state.status, 'exited');
    await removeContainer(context, Id.slice(0, 5));
    assert.deepEqual(await removed.outcome, { exitCode: 3 });
    await context.background.settled();
    assert.deepEqual(
      context.calls.map((call) => call.split(' ')[0]),
      ['snapshot', 'hold', 'release-network', 'release-root', 'remove-snapshot'],
    );
    await assert.rejects(startContainer(context, 'web'), { code: 'not-found', message: 'No such container: web' });
  }));

test('an auto-removed container is gone when its end is told', () =>
  withContext(async (context) => {
    const { Id } = await create(context, 'once', { HostConfig: { AutoRemove: true } });
    const removed = await waitForContainer(context, Id, 'removed');
    (await start(context, 'once')).end(0);
    assert.deepEqual(await removed.outcome, { exitCode: 0 });
    assert.equal(context.store.get(Id), undefined);
    await create(context, 'once'); // the name is free at once
  }));

test('a start that fails leaves the reason, the shell’s code, and nothing on the host', () =>
  withContext(async (context) => {
    await create(context, 'bad');
    context.tasks.failNextStart = new EngineError('no-such-command', 'exec: "x": executable file not found in $PATH');
    await assert.rejects(startContainer(context, 'bad'), {
      code: 'no-such-command',
      message:
        'failed to create task for container: failed to create shim task: OCI runtime create failed: exec: "x": executable file not found in $PATH',
    });
    const { state } = context.store.byName('bad')!;
    assert.deepEqual([state.status, state.exitCode], ['created', 127]);
    assert.deepEqual(context.calls.map((call) => call.split(' ')[0]).slice(-2), ['release-network', 'release-root']);
    await start(context, 'bad');
  }));

test('stop sends the signal, then SIGKILL; a hundred waiters hear of it', () =>
  withContext(async (context) => {
    await create(context, 'deaf');
    const task = await start(context, 'deaf');
    task.ignoresTerm = true;
    const waiters = await Promise.all(
      Array.from({ length: 100 }, () => waitForContainer(context, 'deaf', 'not-running')),
    );
    await stopContainer(context, 'deaf', { timeoutSeconds: 0 });
    assert.deepEqual(task.signals, [15, 9]);
    const outcomes = await Promise.all(waiters.map((waiter) => waiter.outcome));
    assert.ok(outcomes.every((outcome) => outcome.exitCode === 137));
    await assert.rejects(stopContainer(context, 'deaf'), { code: 'not-modified' });
  }));

test('restart policy: back-off, and the end of it by stop', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    await withContext(async (context) => {
      await create(context, 'loop', { HostConfig: { RestartPolicy: { Name: 'always' } } });
      (await start(context, 'loop')).end(1);
      await turns();
      assert.equal(context.store.byName('loop')!.state.status, 'restarting');
      mock.timers.tick(99);
      await turns();
      assert.equal(context.tasks.starts, 1);
      mock.timers.tick(1);
      await turns();
      assert.equal(context.tasks.starts, 2);
      assert.deepEqual([context.store.byName('loop')!.restartCount], [1]);
      [...context.tasks.running.values()][0]!.end(1);
      await turns();
      mock.timers.tick(199);
      await turns();
      assert.equal(context.tasks.starts, 2);
      await stopContainer(context, 'loop');
      assert.deepEqual(
        [context.store.byName('loop')!.state.status, context.store.byName('loop')!.stoppedByHand],
        ['exited', true],
      );
      mock.timers.tick(100_000);
      await turns();
      assert.equal(context.tasks.starts, 2);
    });
  } finally {
    mock.timers.reset();
  }
});

test('restart, pause and kill', () =>
  withContext(async (context) => {
    await create(context, 'web', { HostConfig: { AutoRemove: true } });
    await start(context, 'web');
    await restartContainer(context, 'web');
    assert.equal(context.tasks.starts, 2);
    await pauseContainer(context, 'web');
    await assert.rejects(pauseContainer(context, 'web'), { code: 'conflict', message: /is already paused$/ });
    await assert.rejects(startContainer(context, 'web'), /cannot start a paused container, try unpause instead/);
    await unpauseContainer(context, 'web');
    await killContainer(context, 'web', 'HUP');
    await assert.rejects(killContainer(context, 'web', 'NOPE'), {
      message: 'cannot kill container: web: invalid signal: NOPE',
    });
    await killContainer(context, 'web');
    await assert.rejects(killContainer(context, 'web'), { code: 'not-found' });
  }));

test('what is paused is killed where SIGKILL ends it before it can be thawed, as on cgroup v2', () =>
  withContext(async (context) => {
    const { Id } = await create(context, 'web');
    await start(context, 'web');
    await pauseContainer(context, 'web');
    const task = context.live.of(Id).task!;
    task.resume = async () => {
      throw new EngineError('internal', 'crun failed (exit 1): the container is not running');
    };
    await killContainer(context, 'web');
    const { status, exitCode } = context.store.byName('web')!.state;
    assert.deepEqual([status, exitCode], ['exited', 137]);
  }));

test('names: conflicts, renames, prefixes', () =>
  withContext(async (context) => {
    const { Id } = await create(context, 'one');
    await create(context, 'two');
    const taken = `Conflict. The container name "/one" is already in use by container "${Id}". You have to remove (or rename) that container to be able to reuse that name.`;
    await assert.rejects(create(context, 'one'), { code: 'conflict', message: taken });
    await assert.rejects(renameContainer(context, 'two', 'one'), {
      code: 'conflict',
      message: `Error when allocating new name: ${taken}`,
    });
    await renameContainer(context, 'one', '/uno');
    await create(context, 'one');
    await assert.rejects(create(context, 'xx', { Image: 'missing' }), { code: 'not-found' });
    assert.equal(context.store.size, 3);
  }));

test('list() filters, and shows running ones only by default', () =>
  withContext(async (context) => {
    await create(context, 'aa', { Labels: JSON.parse('{"tier":"web","__proto__":"data"}') });
    await create(context, 'bb', { ExposedPorts: { '80/tcp': {} } });
    (await start(context, 'bb')).end(7);
    await turns();
    await create(context, 'cc');
    await start(context, 'cc');
    const names = async (all: boolean, ...filters: [string, string[]][]): Promise<string[]> =>
      (await listContainers(context, { all, filters: new Map(filters) })).map((item) => item.Names[0]!);
    assert.deepEqual(await names(false), ['/cc']);
    assert.deepEqual(await names(true), ['/cc', '/bb', '/aa']);
    assert.deepEqual(await names(true, ['label', ['tier=web', '__proto__=data']]), ['/aa']);
    assert.deepEqual(await names(false, ['exited', ['7']]), ['/bb']);
    assert.deepEqual(await names(true, ['expose', ['79-81']]), ['/bb']);
    assert.deepEqual(await names(false, ['before', ['cc']]), ['/bb', '/aa']);
    assert.deepEqual(await names(true, ['name', ['^/?(aa|cc)$']]), ['/cc', '/aa']);
    assert.deepEqual(await names(true, ['status', ['created', 'running']]), ['/cc', '/aa']);
    assert.deepEqual(await names(true, ['ancestor', ['busybox']], ['status', ['created']]), ['/aa']);
    await assert.rejects(names(true, ['status', ['foo']]), {
      message:
        "invalid filter 'status=foo': invalid value for state (foo): must be one of created, running, paused, restarting, removing, exited, dead",
    });
    await assert.rejects(names(true, ['foo', ['x']]), { message: "invalid filter 'foo'" });
  }));

test('events have Docker’s words and attributes', () =>
  withContext(async (context) => {
    const seen: string[] = [];
    const stream = context.events.subscribe({ filters: new Map([['type', ['container']]]) });
    const reading = (async () => {
      for await (const event of stream) seen.push(`${event.Action} ${JSON.stringify(event.Actor.Attributes)}`);
    })();
    await create(context, 'ev', { Labels: { a: 'b' } });
    (await start(context, 'ev')).end(2);
    await turns();
    await removeContainer(context, 'ev');
    await turns();
    context.events.close();
    await reading;
    const base = '"a":"b","image":"busybox","name":"ev"';
    assert.deepEqual(seen, [
      `create {${base}}`,
      `start {${base}}`,
      `die {${base},"execDuration":"0","exitCode":"2"}`,
      `destroy {${base}}`,
    ]);
  }));

/** Lets everything that is ready to run, run. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

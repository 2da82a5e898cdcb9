import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerCreateRequest } from '../../src/api/container.ts';
import type { Engine } from '../../src/index.ts';
import { printed, withEngine } from '../support/private-engine.ts';

before(() => assert.equal(process.getuid?.(), 0, 'these tests run containers: run them as root'));

async function create(engine: Engine, name: string, more: Partial<ContainerCreateRequest> = {}): Promise<string> {
  const { HostConfig, ...rest } = more;
  const request = { Image: 'busybox', Cmd: ['sleep', '1000'], ...rest };
  const { Id } = await engine.containers.create(
    { ...request, HostConfig: { NetworkMode: 'none', ...HostConfig } },
    { name },
  );
  return Id;
}

async function waitFor(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await holds()) return;
    await sleep(25);
  }
  assert.fail(`waited in vain for ${what}`);
}

test('a container’s life: output, exit code, logs, inspect, restart of the same files, removal', () =>
  withEngine(async (engine) => {
    const { containers } = engine;
    const command = ['sh', '-c', 'echo out; echo err >&2; echo x >> /count; wc -l < /count; exit 3'];
    const id = await create(engine, 'life', { Cmd: command, Env: ['A=b'], Labels: { a: 'b' } });
    for (const run of ['1', '2']) {
      const exit = await containers.wait(id, 'next-exit');
      await containers.start(id);
      assert.deepEqual(await exit.outcome, { exitCode: 3 });
      const { output } = await containers.logs(id, { stdout: true, stderr: true, tail: 3 });
      assert.deepEqual(await printed(output), { stdout: `out\n${run}\n`, stderr: 'err\n' });
    }
    const inspect = await containers.inspect('life', { size: true });
    assert.deepEqual(
      [inspect.State.Status, inspect.State.ExitCode, inspect.Path, inspect.Config.Env, inspect.Config.Hostname],
      ['exited', 3, 'sh', ['A=b', ...(inspect.Config.Env ?? []).slice(1)], id.slice(0, 12)],
    );
    assert.ok(inspect.SizeRw! > 0 && inspect.SizeRootFs! > inspect.SizeRw!);
    assert.deepEqual(await containers.changes(id), [{ Path: '/count', Kind: 1 }]);
    await containers.remove(id);
    await assert.rejects(containers.inspect(id), { code: 'not-found', message: `No such container: ${id}` });
  }));

test('a command that is not there: Docker’s words and codes', () =>
  withEngine(async (engine) => {
    const cases = [
      ['nope', 127, /exec: "nope": executable file not found in \$PATH/],
      ['/nope', 127, /exec: "\/nope": stat \/nope: no such file or directory/],
      ['/etc', 126, /exec: "\/etc": .*(permission denied|is a directory)/],
      ['/etc/passwd', 126, /exec: "\/etc\/passwd": permission denied/],
    ] as const;
    for (const [command, code, words] of cases) {
      const id = await create(engine, 'bad', { Cmd: [command] });
      await assert.rejects(engine.containers.start(id), words);
      const { State } = await engine.containers.inspect(id);
      assert.deepEqual([State.Status, State.ExitCode], ['created', code], command);
      await engine.containers.remove(id);
    }
  }));

test('stop, kill, pause, restart, rename, top, update', () =>
  withEngine(async (engine) => {
    const { containers } = engine;
    const id = await create(engine, 'one', { Cmd: ['sh', '-c', 'trap "exit 7" TERM; while :; do sleep 0.05; done'] });
    await containers.start(id);
    await assert.rejects(containers.start(id), { code: 'not-modified' });
    const top = await containers.top(id);
    assert.ok(top.Processes.some((words) => words.at(-1)!.includes('trap')));
    await containers.pause(id);
    assert.equal((await containers.inspect(id)).State.Status, 'paused');
    await assert.rejects(engine.execs.create(id, { Cmd: ['true'] }), /is paused, unpause the container before exec/);
    await containers.unpause(id);
    await containers.update(id, { Memory: 64 << 20, MemorySwap: 128 << 20 });
    const { Warnings } = await containers.update(id, { Init: true });
    assert.match(Warnings.join(), /Init is as the container was created with/);
    const [sample] = await Array.fromAsync(await containers.stats(id, { stream: false, oneShot: true }));
    assert.equal(sample!.memory_stats.limit, 64 << 20);
    await sleep(200); // until the shell has set its trap
    await containers.stop(id);
    assert.equal((await containers.inspect(id)).State.ExitCode, 7);
    await containers.rename(id, 'two');
    await containers.restart('two', { timeoutSeconds: 0 });
    const exit = await containers.wait(id, 'not-running');
    await containers.kill(id);
    assert.deepEqual(await exit.outcome, { exitCode: 137 });
    // a frozen one is thawed to be stopped
    await containers.start(id);
    await containers.pause(id);
    await containers.stop(id, { timeoutSeconds: 1 });
    assert.equal((await containers.inspect(id)).State.Status, 'exited');
  }));

test('attach: stdin and its end; a client that never reads stops nobody', () =>
  withEngine(async (engine) => {
    const { containers } = engine;
    const id = await create(engine, 'cat', { Cmd: ['cat'], OpenStdin: true, StdinOnce: true });
    const streams = { stdin: true, stdout: true, stderr: true, logs: false, stream: true };
    const session = await containers.attach(id, streams);
    const output = printed(session.output);
    await containers.start(id);
    await session.write(Buffer.from('hello\n'));
    await session.endInput();
    assert.deepEqual(await output, { stdout: 'hello\n', stderr: '' });

    const flood = await create(engine, 'flood', { Cmd: ['sh', '-c', 'seq 200000; echo end >&2'] });
    const idle = await containers.attach(flood, { ...streams, stdin: false });
    const exit = await containers.wait(flood, 'next-exit');
    await containers.start(flood);
    assert.deepEqual(await exit.outcome, { exitCode: 0 });
    const late = await printed(idle.output);
    assert.equal(late.stdout.length, 1288895);
    assert.equal(late.stderr, 'end\n');
  }));

test('exec: output, codes, stdin, missing command', () =>
  withEngine(async (engine) => {
    const { containers, execs } = engine;
    const id = await create(engine, 'target', { Env: ['A=one'] });
    await assert.rejects(execs.create(id, { Cmd: ['true'] }), { code: 'conflict', message: /is not running$/ });
    await containers.start(id);
    await assert.rejects(execs.create(id, { Cmd: [] }), { message: 'No exec command specified' });
    const run = async (Cmd: string[], stdin?: string) => {
      const { Id } = await execs.create(id, {
        Cmd,
        Env: ['B=two'],
        AttachStdout: true,
        AttachStderr: true,
        AttachStdin: stdin !== undefined,
      });
      const session = await execs.start(Id, { tty: false });
      if (stdin !== undefined) {
        await session.write(Buffer.from(stdin));
        await session.endInput();
      }
      const output = await printed(session.output);
      return { ...output, exitCode: (await execs.inspect(Id)).ExitCode };
    };
    assert.deepEqual(await run(['sh', '-c', 'echo $A $B; echo e >&2; exit 5']), {
      stdout: 'one two\n',
      stderr: 'e\n',
      exitCode: 5,
    });
    assert.deepEqual(await run(['cat'], 'typed'), { stdout: 'typed', stderr: '', exitCode: 0 });
    await assert.rejects(run(['nope']), /OCI runtime exec failed: .*"nope": executable file not found in \$PATH/);
    const { Id } = await execs.create(id, { Cmd: ['touch', '/done'] });
    await execs.startDetached(Id);
    await waitFor('the detached exec', async () => (await execs.inspect(Id)).ExitCode === 0);
    assert.equal((await containers.archiveStat(id, '/done')).name, 'done');
  }));

test('restart policy, auto-removal, anonymous volumes, health', () =>
  withEngine(async (engine) => {
    const { containers, volumes } = engine;
    const id = await create(engine, 'again', {
      Cmd: ['sh', '-c', 'echo x >> /runs; [ $(wc -l < /runs) = 3 ] && sleep 1000; exit 1'],
      HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 5 } },
    });
    await containers.start(id);
    await waitFor('the third run', async () => {
      const { State, RestartCount } = await containers.inspect(id);
      return State.Status === 'running' && RestartCount === 2;
    });

    const once = await create(engine, 'once', {
      Cmd: ['touch', '/data/x'],
      Volumes: { '/data': {} },
      HostConfig: { AutoRemove: true },
    });
    assert.equal((await volumes.list()).Volumes.length, 1);
    const removed = await containers.wait(once, 'removed');
    await containers.start(once);
    assert.deepEqual(await removed.outcome, { exitCode: 0 });
    assert.deepEqual((await volumes.list()).Volumes, []);
    await create(engine, 'once');

    const healthy = await create(engine, 'healthy', {
      Healthcheck: { Test: ['CMD-SHELL', 'echo fine; test -e /ok'], Interval: 100e6, Retries: 2 },
    });
    await containers.start(healthy);
    const health = async () => (await containers.inspect(healthy)).State.Health;
    await waitFor('unhealthy', async () => (await health())?.Status === 'unhealthy');
    assert.equal((await health())!.Log!.at(-1)!.Output, 'fine\n');
    const touch = await engine.execs.create(healthy, { Cmd: ['touch', '/ok'] });
    await engine.execs.startDetached(touch.Id);
    await waitFor('healthy', async () => (await health())?.Status === 'healthy');
  }));

test('cp and commit', () =>
  withEngine(async (engine) => {
    const { containers } = engine;
    const id = await create(engine, 'files', { Cmd: ['sh', '-c', 'echo made > /made'] });
    const exit = await containers.wait(id, 'next-exit');
    await containers.start(id);
    await exit.outcome;
    const { stat, tar } = await containers.archiveGet(id, '/made');
    assert.equal(stat.name, 'made');
    const archive = Buffer.concat(await Array.fromAsync(tar));
    const bytes = (async function* () {
      yield archive;
    })();
    await containers.archivePut(id, '/tmp', bytes);
    assert.equal((await containers.archiveStat(id, '/tmp/made')).size, 5);
    await assert.rejects(containers.archiveStat(id, '/none'), {
      code: 'not-found',
      message: /Could not find the file \/none in container/,
    });
    await containers.commit(id, { repo: 'made', tag: '1', changes: ['CMD ["cat", "/tmp/made"]'] });
    assert.deepEqual(await engine.run({ image: 'made:1', network: 'none' }), {
      exitCode: 0,
      stdout: 'made\n',
      stderr: '',
    });
  }));

test('twenty at once', () =>
  withEngine(async (engine) => {
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        engine.run({ image: 'busybox', command: ['echo', String(index)], network: 'none' }),
      ),
    );
    assert.deepEqual(
      results.map(({ stdout }) => Number(stdout)),
      [...results.keys()],
    );
    assert.deepEqual(await engine.containers.list({ all: true }), []);
  }));

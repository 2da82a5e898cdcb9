/** `gantry why`: each cause that it knows, made to happen, and named. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerCreateRequest, HostConfig } from '../../src/api/container.ts';
import type { WhyDocument } from '../../src/api/why.ts';
import { Engine } from '../../src/index.ts';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { killedEngine } from '../support/killed-engine.ts';
import { leftBehind } from '../support/leak-check.ts';
import { privateRoots, withEngine } from '../support/private-engine.ts';

before(() => assert.equal(process.getuid?.(), 0, 'these tests run containers: run them as root'));

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await holds()) return;
    await sleep(100);
  }
  assert.fail(`never: ${what}`);
}

const kinds = (document: WhyDocument): string[] => document.Findings.map(({ Kind }) => Kind);

/** Creates and starts a container, lets `work` do something to it, and gives what is said of it once it has ended. */
async function why(
  engine: Engine,
  script: string | undefined,
  more: Partial<ContainerCreateRequest> = {},
  work?: (id: string) => Promise<unknown>,
): Promise<WhyDocument> {
  const { containers } = engine;
  const { HostConfig: hostConfig, ...config } = more;
  const { Id } = await containers.create({
    Image: 'busybox',
    ...(script !== undefined && { Cmd: ['sh', '-c', script] }),
    ...config,
    HostConfig: { NetworkMode: 'none', ...hostConfig },
  });
  const exit = await containers.wait(Id, 'next-exit');
  try {
    await containers.start(Id);
  } catch {
    return containers.why(Id);
  }
  await work?.(Id);
  await exit.outcome;
  return containers.why(Id);
}

test('why it ended: by itself, by whom, out of memory, of a signal from elsewhere', () =>
  withEngine(async (engine) => {
    const { containers } = engine;
    const ready = async (id: string): Promise<void> =>
      until('it printed', async () => {
        for await (const _ of (await containers.logs(id, { stdout: true, stderr: true })).output) return true;
        return false;
      });
    const finished = await why(engine, 'true');
    assert.deepEqual(kinds(finished), ['finished']);
    assert.deepEqual(
      finished.Facts.map(({ Kind }) => Kind),
      ['started', 'ended'],
    );

    const failed = await why(engine, 'echo one; echo two >&2; exit 3');
    assert.deepEqual(kinds(failed), ['failed']);
    assert.match(failed.Findings[0]!.Text, /code 3, by itself/);
    assert.deepEqual(failed.Output.toSorted(), ['one', 'two']);

    const stopped = await why(engine, 'trap "exit 0" TERM; echo r; while :; do sleep 0.05; done', {}, async (id) => {
      await ready(id);
      await containers.stop(id);
    });
    assert.deepEqual(kinds(stopped), ['stopped']);
    assert.match(stopped.Findings[0]!.Text, /code 0 after SIGTERM, which the program .* sent to stop/);

    const late = await why(engine, 'trap "" TERM; echo r; while :; do sleep 0.05; done', {}, async (id) => {
      await ready(id);
      await containers.stop(id, { timeoutSeconds: 1 });
    });
    assert.deepEqual(kinds(late), ['stop-timed-out']);
    assert.match(late.Findings[0]!.Hint!, /--init/);

    const killed = await why(engine, 'sleep 1000', {}, (id) => containers.kill(id));
    assert.match(killed.Findings[0]!.Text, /killed it with SIGKILL \(code 137\)/);
    const outside = await why(engine, 'sleep 1000', {}, async (id) => {
      process.kill((await containers.inspect(id)).State.Pid, 'SIGKILL');
    });
    assert.deepEqual(kinds(outside), ['signalled']);
    assert.match(outside.Findings[0]!.Text, /SIGKILL, which did not come through the engine/);

    const hungry = await why(engine, 'x=x; while :; do x=$x$x$x$x; done', {
      HostConfig: { Memory: 16 << 20, MemorySwap: 16 << 20 },
    });
    assert.equal(kinds(hungry)[0], 'oom-killed');
    assert.match(hungry.Findings[0]!.Text, /16 MiB/);

    // removed ones are remembered, those that go by themselves too
    const { Id } = await containers.create(
      { Image: 'busybox', Cmd: ['sh', '-c', 'exit 4'], HostConfig: { NetworkMode: 'none', AutoRemove: true } },
      { name: 'gone' },
    );
    const gone = await containers.wait(Id, 'removed');
    await containers.start(Id);
    await gone.outcome;
    const departed = await containers.why('gone');
    assert.equal(departed.State, 'removed');
    assert.deepEqual(kinds(departed), ['removed', 'failed']);
    assert.match(departed.Findings[1]!.Text, /code 4/);
    assert.equal((await containers.why(Id.slice(0, 12))).Id, Id);
    await containers.remove(finished.Id);
    assert.match((await containers.why(finished.Id)).Findings[0]!.Text, /program .* removed it/);
    await assert.rejects(containers.why('nobody'), { code: 'not-found' });
  }));

test('why it did not start, or could not do its work', () =>
  withEngine(async (engine, { directory }) => {
    const source = join(directory, 'source');
    mkdirSync(source);
    writeFileSync(join(source, 'plain'), 'garbage\0', { mode: 0o755 });
    const taken = createServer().listen(0);
    await new Promise((resolve) => taken.once('listening', resolve));
    const port = String((taken.address() as { port: number }).port);
    const cases: readonly (readonly [string, Partial<ContainerCreateRequest>, string?])[] = [
      ['command-not-found', { Cmd: ['/nope'] }],
      ['command-not-found', { Cmd: ['nope'] }],
      ['command-not-executable', { Cmd: ['/etc/passwd'] }],
      ['wrong-architecture', { Cmd: ['/s/plain'], HostConfig: { Binds: [`${source}:/s`] } }],
      ['user-missing', { Cmd: ['true'], User: 'nobodyhere' }],
      [
        'port-taken',
        { HostConfig: { NetworkMode: 'bridge', PortBindings: { '80/tcp': [{ HostIp: '', HostPort: port }] } } },
      ],
      ['network-missing', { HostConfig: { NetworkMode: 'nowhere' } }],
      ['joined-container-gone', { HostConfig: { NetworkMode: 'container:nobody' } }],
      [
        'device-missing',
        {
          HostConfig: {
            Devices: [{ PathOnHost: '/dev/nope', PathInContainer: '/dev/nope', CgroupPermissions: 'rwm' }],
          },
        },
      ],
      ['read-only', { HostConfig: { ReadonlyRootfs: true } }, 'echo x > /var/file'],
      ['permission-denied', { User: '1000' }, 'echo x > /etc/file'],
      ['name-not-found', {}, 'wget -q http://nobody.invalid/'],
    ];
    for (const [kind, request, script] of cases) {
      let document: WhyDocument;
      try {
        document = await why(engine, script ?? (request.Cmd ? undefined : 'true'), request);
      } catch (error) {
        // what can be known at create is refused there
        assert.fail(`${kind}: ${(error as Error).message}`);
      }
      assert.ok(
        document.Findings.some(({ Kind }) => Kind === kind),
        `${kind}: ${JSON.stringify(document.Findings)} ${document.Output.join('\n')}`,
      );
      assert.ok(document.Findings.find(({ Kind }) => Kind === kind)!.Hint, kind);
    }
    taken.close();
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      HostConfig: { NetworkMode: 'none', Mounts: [{ Type: 'bind', Source: source, Target: '/s' }] },
    });
    assert.deepEqual(kinds(await engine.containers.why(Id)), ['never-started']);
    rmSync(source, { recursive: true });
    await assert.rejects(engine.containers.start(Id));
    assert.deepEqual(kinds(await engine.containers.why(Id)), ['mount-source-missing']);
  }));

test('why it restarts, or does not; why it is unhealthy, paused, depends on another', () =>
  withEngine(async (engine) => {
    const { containers } = engine;
    const run = async (script: string, name: string, hostConfig: HostConfig, more = {}): Promise<void> => {
      await containers.create(
        { Image: 'busybox', Cmd: ['sh', '-c', script], ...more, HostConfig: { NetworkMode: 'none', ...hostConfig } },
        { name },
      );
      await containers.start(name);
    };
    const has = (name: string, kind: string): Promise<void> =>
      until(`${name}: ${kind}`, async () => kinds(await containers.why(name)).includes(kind));
    await run('echo no; exit 7', 'loops', { RestartPolicy: { Name: 'always' } });
    await has('loops', 'restarting');
    await until('it counts', async () => /restarted [2-9]/.test(JSON.stringify(await containers.why('loops'))));
    await containers.stop('loops').catch(() => {});
    await has('loops', 'not-restarted');
    await run('exit 7', 'tried', { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 1 } });
    await until('it gave up', async () => /tried 1 times/.test(JSON.stringify(await containers.why('tried'))));
    await run('true', 'done', { RestartPolicy: { Name: 'on-failure' } });
    await until('it is done', async () => /without an error/.test(JSON.stringify(await containers.why('done'))));

    const Healthcheck = { Test: ['CMD-SHELL', 'echo not well; exit 1'], Interval: 2e8, Retries: 1 };
    await run('sleep 1000', 'unwell', {}, { Healthcheck });
    await has('unwell', 'unhealthy');
    const unwell = await containers.why('unwell');
    assert.match(unwell.Findings[0]!.Text, /ended with 1 and said: not well/);
    assert.ok(unwell.Facts.some(({ Kind, What }) => Kind === 'health' && What === 'unhealthy'));
    await containers.pause('unwell');
    assert.equal(kinds(await containers.why('unwell'))[0], 'paused');
    await containers.unpause('unwell');

    const labels = (service: string, needs: string): Record<string, string> => ({
      'com.docker.compose.project': 'p',
      'com.docker.compose.service': service,
      'com.docker.compose.depends_on': needs,
    });
    await run('exit 9', 'db', {}, { Labels: labels('db', '') });
    await has('db', 'failed');
    await run('exit 1', 'web', {}, { Labels: labels('web', 'db:service_healthy:false,cache:service_started:false') });
    await has('web', 'dependency');
    const texts = (await containers.why('web')).Findings.map(({ Text }) => Text).join('\n');
    assert.match(texts, /depends on db \(service_healthy\), which ended with code 9/);
    assert.match(texts, /depends on cache \(service_started\), which has no container/);
  }));

test('why it cannot be reached', () =>
  withEngine(async (engine) => {
    const { containers, networks } = engine;
    await networks.create({
      Name: 'inside',
      Internal: true,
      IPAM: { Config: [{ Subnet: `10.${60 + randomInt(30)}.${randomInt(255)}.0/24` }] },
    });
    await containers.create(
      {
        Image: 'busybox',
        Cmd: ['sh', '-c', 'httpd -p 127.0.0.1:7000; exec httpd -f -p 9000'],
        ExposedPorts: { '80/tcp': {} },
        HostConfig: {
          NetworkMode: 'bridge',
          PortBindings: {
            '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }],
            '7000/tcp': [{ HostIp: '', HostPort: '' }],
          },
        },
      },
      { name: 'web' },
    );
    await containers.start('web');
    await until('both listen', async () => kinds(await containers.why('web')).includes('listens-on-loopback'));
    await until('the other listens', async () =>
      /it listens on .*9000/.test(JSON.stringify(await containers.why('web'))),
    );
    const found = kinds(await containers.why('web'));
    for (const kind of ['nothing-listens', 'published-on-loopback', 'running']) assert.ok(found.includes(kind), kind);
    await networks.disconnect('bridge', { Container: 'web' });
    const cut = await containers.why('web');
    assert.equal(kinds(cut)[0], 'no-network');
    assert.ok(cut.Facts.some(({ Kind, What, By }) => Kind === 'disconnected' && What === 'bridge' && By));
    await networks.connect('inside', { Container: 'web' });
    assert.ok(kinds(await containers.why('web')).includes('internal-network'));
    await containers.remove('web', { force: true });
    await networks.remove('inside');
  }));

test('facts outlive the engine; what happened without one is found', async () => {
  const roots = await privateRoots();
  const request = (script: string, more: HostConfig = {}): ContainerCreateRequest => ({
    Image: 'busybox',
    Cmd: ['sh', '-c', script],
    HostConfig: { NetworkMode: 'none', ...more },
  });
  await killedEngine(roots.options, [
    ['images', 'pull', 'busybox', {}],
    ['containers', 'create', request('sleep 1000'), { name: 'killed' }],
    ['containers', 'start', 'killed'],
    ['containers', 'kill', 'killed', 'KILL'],
    ['containers', 'create', request('sleep 0.5; exit 5'), { name: 'alone' }],
    ['containers', 'start', 'alone'],
  ]);
  await sleep(1000);
  const engine = await Engine.open(roots.options);
  try {
    assert.deepEqual(kinds(await engine.containers.why('killed')), ['killed']);
    await until('its end is seen', async () => (await engine.containers.inspect('alone')).State.Status === 'exited');
    const alone = await engine.containers.why('alone');
    assert.match(alone.Findings[0]!.Text, /code 5/);
    assert.deepEqual(
      alone.Facts.map(({ Kind }) => Kind),
      ['started', 'ended'],
    );
  } finally {
    for (const { Id } of await engine.containers.list({ all: true }))
      await engine.containers.remove(Id, { force: true });
    await engine.close();
  }
  await roots.discard();
});

test('the command, over the API: who did it, and a host that was restarted', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-why-'));
  const daemon = new DaemonProcess({ directory });
  const gantry = (...words: string[]): ReturnType<typeof runInProcess> =>
    runInProcess(words, { env: daemon.clientEnv });
  let left: string[] = [];
  await daemon.start();
  try {
    await daemon.importBusybox();
    assert.equal((await gantry('run', '-d', '--name', 'web', '--network', 'none', 'busybox', 'sleep', '1000')).code, 0);
    assert.match(
      (await gantry('why', 'web')).stdout,
      /^web \([0-9a-f]{12}, busybox\) is running\n[^]*- it has run for /,
    );
    assert.equal((await gantry('stop', '-t', '0', 'web')).code, 0);
    const { stdout } = await gantry('why', 'web');
    assert.match(stdout, new RegExp(`- \`.*\` \\(pid ${process.pid}, uid 0\\) asked it to stop`));
    const document = JSON.parse((await gantry('why', '--format', 'json', 'web')).stdout) as WhyDocument;
    assert.match(
      document.Facts.find(({ Kind }) => Kind === 'signal')!.By!.Request!,
      /^POST \/v1\.\d+\/containers\/.*\/stop$/,
    );
    assert.equal((await gantry('start', 'web')).code, 0);
    const pid = Number((await gantry('inspect', '-f', '{{.State.Pid}}', 'web')).stdout);
    const monitor = Number(/^PPid:\s(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
    await daemon.kill();
    // what is left after a reboot: the data, and nothing that runs
    process.kill(monitor, 'SIGKILL');
    process.kill(pid, 'SIGKILL');
    rmSync(join(directory, 'run'), { recursive: true, force: true });
    const cgroups = `find /sys/fs/cgroup -depth -type d -path '*/${daemon.cgroupParent}*'`;
    await until('its cgroups are gone', async () => {
      spawnSync('sh', ['-c', `${cgroups} -exec rmdir {} + 2>/dev/null`]);
      return spawnSync('sh', ['-c', cgroups], { encoding: 'utf8' }).stdout === '';
    });
    await daemon.start();
    assert.match((await gantry('why', 'web')).stdout, /it ran when the host was restarted/);
    assert.equal((await gantry('rm', 'web')).code, 0);
    assert.match((await gantry('why', 'web')).stdout, /is removed\n- `.*` \(pid \d+, uid 0\) removed it/);
    assert.match((await gantry('why', 'nobody')).stderr, /No such container: nobody/);
    assert.match((await gantry('why', '--format', 'xml', 'web')).stderr, /use text or json/);
  } finally {
    await gantry('rm', '-f', 'web');
    await daemon.stop();
    left = await leftBehind(daemon);
    rmSync(directory, { recursive: true, force: true });
  }
  assert.deepEqual(left, []);
});

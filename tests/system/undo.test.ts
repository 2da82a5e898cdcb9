/** `gantry undo` and its trash: what comes back, what it is bounded by, and that no crash loses or doubles anything. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineOptions } from '../../src/engine/config.ts';
import { Engine } from '../../src/index.ts';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { type Call, killedEngine } from '../support/killed-engine.ts';
import { leftBehind } from '../support/leak-check.ts';
import { type PrivateRoots, printed, privateRoots } from '../support/private-engine.ts';

before(() => assert.equal(process.getuid?.(), 0, 'these tests run containers: run them as root'));

const DAY = 86_400_000;
const POLICY = { maxAgeMs: DAY, maxSize: { share: 0.5 } };
const subnet = (): string => `10.${60 + randomInt(30)}.${randomInt(255)}.0/24`;

async function withTrash(
  work: (engine: Engine, roots: PrivateRoots) => Promise<void>,
  options: EngineOptions = {},
): Promise<void> {
  const roots = await privateRoots();
  const engine = await Engine.open({ ...roots.options, trash: POLICY, ...options });
  try {
    await engine.images.pull('busybox', {});
    await work(engine, roots);
  } finally {
    for (const { Id } of await engine.containers.list({ all: true })) {
      await engine.containers.remove(Id, { force: true, volumes: true });
    }
    await engine.trash.empty();
    await engine.close();
  }
  await roots.discard();
}

async function output(engine: Engine, name: string): Promise<string> {
  return (await printed((await engine.containers.logs(name, { stdout: true, stderr: true })).output)).stdout;
}

async function runToEnd(engine: Engine, name: string): Promise<void> {
  const exit = await engine.containers.wait(name, 'next-exit');
  await engine.containers.start(name);
  await exit.outcome;
}

test('a container, its volumes, a network and an image come back as they were; their names are free meanwhile', () =>
  withTrash(async (engine, { options }) => {
    const { containers, images, networks, volumes, trash } = engine;
    await networks.create({ Name: 'net', Labels: { a: '1' }, IPAM: { Config: [{ Subnet: subnet() }] } });
    await containers.create(
      {
        Image: 'busybox',
        Cmd: ['sh', '-c', 'cat /own /data/f /anon/f 2>/dev/null; echo own >/own; echo d >/data/f; echo a >/anon/f'],
        Volumes: { '/anon': {} },
        HostConfig: { NetworkMode: 'net', Binds: ['data:/data'] },
      },
      { name: 'web' },
    );
    await runToEnd(engine, 'web');
    const before = await containers.inspect('web');
    const network = await networks.inspect('net');
    await containers.remove('web', { volumes: true });
    await volumes.remove('data');
    await networks.remove('net');
    await images.remove('busybox');
    assert.deepEqual((await containers.list({ all: true })).length, 0);
    assert.deepEqual((await volumes.list()).Volumes, []);
    assert.deepEqual(await images.list(), []);
    await assert.rejects(images.inspect('busybox'), { code: 'not-found' });
    await assert.rejects(volumes.inspect('data'), { code: 'not-found' });
    assert.equal((await containers.why('web')).State, 'removed');

    // the names are another's meanwhile: nothing of theirs is touched
    await volumes.create({ Name: 'data' });
    const list = await trash.list();
    assert.deepEqual(list.Operations.flatMap(({ Items }) => Items.map(({ Kind }) => Kind)).toSorted(), [
      'container',
      'image',
      'network',
      'volume',
      'volume',
    ]);
    assert.ok(list.Size > 1_000_000, `${list.Size}`);
    const clash = await trash.restore({ Ids: ['data'] });
    assert.match(clash.Problems[0]!.Problem, /a volume named data exists/);
    await volumes.remove('data');
    assert.deepEqual(
      (await trash.restore({ Ids: [] })).Restored.map(({ Kind, Name }) => `${Kind} ${Name}`),
      ['volume data'],
    );
    // that was the empty one
    await volumes.remove('data');
    await trash.empty([(await trash.list()).Operations[0]!.Id]);

    for (const name of ['busybox:latest', 'net', 'data', 'web']) {
      const { Restored, Problems } = await trash.restore({ Ids: [name] });
      assert.deepEqual(Problems, []);
      assert.ok(
        Restored.some(({ Name }) => Name === name),
        name,
      );
    }
    assert.equal((await trash.list()).Size, 0);
    assert.equal(
      existsSync(join(options.dataRoot!, 'volumes/.trash')) &&
        readdirSync(join(options.dataRoot!, 'volumes/.trash')).length > 0,
      false,
    );
    const after = await containers.inspect('web');
    assert.deepEqual(after, before);
    assert.deepEqual(await networks.inspect('net'), network);
    assert.equal((await images.inspect('busybox')).Id, before.Image);
    assert.equal(await output(engine, 'web'), '');
    await runToEnd(engine, 'web');
    assert.equal(await output(engine, 'web'), 'own\nd\na\n');
    await assert.rejects(trash.restore({ Ids: ['nothing'] }), { code: 'not-found' });
    await containers.remove('web', { volumes: true });
    for (const volume of ['data']) await volumes.remove(volume);
    await networks.remove('net');
  }));

test('prunes and tags go into it, --rm containers do not; a restart of the engine changes nothing', async () => {
  const roots = await privateRoots();
  const options = { ...roots.options, trash: POLICY };
  const request = (AutoRemove: boolean): object => ({
    Image: 'busybox',
    Cmd: ['sh', '-c', 'echo x >/v/f'],
    Volumes: { '/v': {} },
    HostConfig: { NetworkMode: 'none', AutoRemove },
  });
  const calls: Call[] = [
    ['images', 'pull', 'busybox', {}],
    ['images', 'tag', 'busybox', 'again', '1'],
    ['images', 'remove', 'again:1'],
    ['containers', 'create', request(false), { name: 'pruned' }],
    ['containers', 'start', 'pruned'],
    ['containers', 'stop', 'pruned'],
    ['containers', 'create', request(true), { name: 'auto' }],
    ['containers', 'start', 'auto'],
  ];
  await killedEngine(options, calls.slice(0, 5));
  let engine = await Engine.open(options);
  await engine.containers.stop('pruned', { timeoutSeconds: 0 }).catch(() => {});
  await engine.containers.prune(new Map());
  await engine.volumes.prune(new Map([['all', ['1']]]));
  await engine.images.prune(new Map([['dangling', ['false']]]));
  const { Id } = await engine.containers
    .create(request(true) as never)
    .catch((error: Error) => ({ Id: error.message }));
  assert.match(Id, /No such image/);
  await engine.close();
  engine = await Engine.open(options);
  const kinds = (await engine.trash.list()).Operations.map(({ Items }) => `${Items[0]!.Kind} ${Items[0]!.Name}`);
  assert.deepEqual(
    kinds.map((text) => text.replace(/[0-9a-f]{64}/, 'ID')),
    ['image busybox:latest', 'volume ID', 'container pruned', 'image again:1'],
  );
  for (const name of ['busybox:latest', 'again:1', 'pruned']) {
    assert.deepEqual((await engine.trash.restore({ Ids: [name] })).Problems, [], name);
  }
  assert.deepEqual((await engine.images.list())[0]!.RepoTags?.toSorted(), ['again:1', 'busybox:latest']);
  // its anonymous volume came with it
  assert.equal((await engine.volumes.list()).Volumes.length, 1);
  const auto = await engine.containers.create(request(true) as never, { name: 'auto' });
  const gone = await engine.containers.wait(auto.Id, 'removed');
  await engine.containers.start(auto.Id);
  await gone.outcome;
  assert.equal((await engine.trash.list()).Operations.length, 0);
  await engine.containers.remove('pruned', { volumes: true });
  await engine.trash.empty();
  await engine.close();
  await roots.discard();
});

test('it is bounded by size, and by the disk’s free space: removal frees a full disk', async () => {
  const roots = await privateRoots();
  const data = roots.options.dataRoot!;
  mkdirSync(data, { recursive: true });
  assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', data]).status, 0);
  const used = (): number => Number(/(\d+)%/.exec(spawnSync('df', [data], { encoding: 'utf8' }).stdout)![1]);
  const settles = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
    for (let tries = 0; tries < 600; tries++) {
      if (await holds()) return;
      await sleep(100);
    }
    assert.fail(`never: ${what}`);
  };
  const engine = await Engine.open({ ...roots.options, trash: { maxAgeMs: DAY, maxSize: { bytes: 16 << 20 } } });
  try {
    const volume = async (name: string, mebibytes: number): Promise<void> => {
      const { Mountpoint } = await engine.volumes.create({ Name: name });
      writeFileSync(join(Mountpoint, 'f'), Buffer.alloc(mebibytes << 20));
    };
    for (const name of ['one', 'two', 'three']) {
      await volume(name, 7);
      await engine.volumes.remove(name);
    }
    const names = async (): Promise<string[]> =>
      (await engine.trash.list()).Operations.flatMap(({ Items }) => Items.map(({ Name }) => Name));
    await settles('the oldest went', async () => (await names()).join() === 'three,two');
    // not even this is kept when the disk is full, and what was kept gives way
    const { Mountpoint } = await engine.volumes.create({ Name: 'full' });
    assert.throws(() => writeFileSync(join(Mountpoint, 'f'), Buffer.alloc(64 << 20)), { code: 'ENOSPC' });
    assert.equal(used(), 100);
    await engine.volumes.remove('full');
    assert.ok(used() < 60, `${used()} %`);
    const { bavail, bsize } = statfsSync(data);
    const fill = await engine.volumes.create({ Name: 'last' });
    writeFileSync(join(fill.Mountpoint, 'f'), Buffer.alloc(bavail * bsize - (2 << 20)));
    await settles('the oldest gave way', async () => (await names()).join() === 'three');
    await engine.volumes.remove('last');
    // more than the trash may have: it goes as soon as that is seen
    await settles('the disk has room again', () => used() < 60);
  } finally {
    await engine.close();
    spawnSync('umount', [data]);
  }
  await roots.discard();
});

test('killed at any moment of rm and undo: each thing is there once, or once in the trash, with all that was in it', async () => {
  const roots = await privateRoots();
  const options = { ...roots.options, trash: POLICY };
  const create = (name: string): Call => [
    'containers',
    'create',
    {
      Image: 'busybox',
      Cmd: ['sh', '-c', 'echo own >/own; echo d >/data/f'],
      HostConfig: { NetworkMode: 'none', Binds: [`${name}:/data`] },
    },
    { name },
  ];
  await killedEngine(options, [
    ['images', 'pull', 'busybox', {}],
    create('c1'),
    ['containers', 'start', 'c1'],
    ['networks', 'create', { Name: 'n1', IPAM: { Config: [{ Subnet: subnet() }] } }],
  ]);
  let engine = await Engine.open(options);
  for (let tries = 0; (await engine.containers.inspect('c1')).State.Running; tries++) {
    assert.ok(tries < 600);
    await sleep(50);
  }
  await engine.close();
  const round: Call[] = [
    ['containers', 'remove', 'c1'],
    ['volumes', 'remove', 'c1'],
    ['networks', 'remove', 'n1'],
    ['images', 'remove', 'busybox'],
    ['trash', 'restore', { Ids: ['busybox:latest'] }],
    ['trash', 'restore', { Ids: ['n1'] }],
    // the volume comes with it
    ['trash', 'restore', { Ids: ['c1'] }],
    ['trash', 'restore', { Ids: ['c1'] }],
  ];
  for (let time = 0; time < 5; time++) {
    await killedEngine(options, Array.from({ length: 200 }, () => round).flat(), { afterMs: randomInt(120) });
    engine = await Engine.open(options);
    const trashed = (await engine.trash.list()).Operations.flatMap(({ Items }) => Items);
    const live = {
      container: (await engine.containers.list({ all: true })).map(({ Names }) => Names[0]!.slice(1)),
      volume: (await engine.volumes.list()).Volumes.map(({ Name }) => Name),
      network: (await engine.networks.list()).filter(({ Name }) => Name === 'n1').map(({ Name }) => Name),
      image: (await engine.images.list()).flatMap(({ RepoTags }) => RepoTags ?? []),
    };
    for (const [kind, names] of Object.entries(live)) {
      const kept = trashed.filter(({ Kind }) => Kind === kind).map(({ Name }) => Name);
      assert.equal(names.length + kept.length, 1, `${kind}: ${names.join()} and in the trash ${kept.join()}`);
    }
    for (const { Name, Kind } of trashed.toSorted((a, b) => (a.Kind > b.Kind ? -1 : 1))) {
      if (live.container.includes(Name) || (await engine.trash.list()).Operations.length === 0) continue;
      const { Problems } = await engine.trash.restore({ Ids: [Name] }).catch((error: Error) => {
        // a container brings its volume with it
        if (Kind === 'volume' || Kind === 'container') return { Problems: [] };
        throw error;
      });
      assert.deepEqual(Problems, []);
    }
    const { Mountpoint } = await engine.volumes.inspect('c1');
    assert.deepEqual(readdirSync(Mountpoint), ['f']);
    const { stat } = await engine.containers.archiveGet('c1', '/own');
    assert.equal(stat.size, 4);
    await engine.close();
  }
  engine = await Engine.open(options);
  await engine.containers.remove('c1');
  await engine.trash.empty();
  await engine.close();
  await roots.discard();
});

describe('the command', () => {
  test('one undo brings back what one command took; --no-trash, --empty, df, and the setting', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'gantry-undo-'));
    const daemon = new DaemonProcess({ directory, trash: true });
    const env = daemon.clientEnv;
    const gantry = (...words: string[]): ReturnType<typeof runInProcess> => runInProcess(words, { env });
    const docker = (...words: string[]): string => {
      const { status, stdout, stderr } = spawnSync('docker', words, { env, encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      return stdout.trim();
    };
    let left: string[] = [];
    await daemon.start();
    try {
      await daemon.importBusybox();
      for (const name of ['aa', 'bb'])
        docker('create', '--name', name, '--network', 'none', '-v', `${name}:/v`, 'busybox');
      docker('rm', 'aa', 'bb');
      docker('volume', 'rm', 'aa', 'bb');
      const listed = JSON.parse(
        `[${(await gantry('undo', '--list', '--format', 'json')).stdout.trim().replaceAll('\n', ',')}]`,
      ) as {
        Operation: string;
        Kind: string;
        Name: string;
        By: string;
      }[];
      assert.deepEqual(listed.map(({ Kind, Name }) => `${Kind} ${Name}`).toSorted(), [
        'container aa',
        'container bb',
        'volume aa',
        'volume bb',
      ]);
      // one operation for each of the two commands
      assert.equal(new Set(listed.map(({ Operation }) => Operation)).size, 2);
      assert.deepEqual(
        listed.filter(({ Kind }) => Kind === 'container').map(({ By }) => By),
        ['docker rm aa bb', 'docker rm aa bb'],
      );
      assert.match((await gantry('system', 'df')).stdout, /^Trash +4 +0 /m);
      assert.deepEqual((await gantry('undo')).stdout.split('\n').toSorted(), [
        '',
        'Restored volume aa',
        'Restored volume bb',
      ]);
      assert.match((await gantry('undo', 'aa')).stdout, /Restored container aa/);
      assert.equal(docker('ps', '-aq', '--filter', 'name=^aa$').length, 12);
      assert.match((await gantry('undo', 'nothing')).stderr, /nothing in the trash that is called nothing/);
      // for good
      assert.equal((await gantry('rm', '--no-trash', 'aa')).code, 0);
      assert.match((await gantry('undo', 'aa')).stderr, /nothing in the trash that is called aa/);
      assert.match((await gantry('undo', '--empty', '-f')).stdout, /^Total reclaimed space: /);
      assert.match((await gantry('undo')).stderr, /there is nothing in the trash/);
      docker('volume', 'rm', 'aa', 'bb');

      const project = join(directory, 'project');
      mkdirSync(project);
      writeFileSync(
        join(project, 'compose.yaml'),
        'name: shop\nservices: {web: {image: busybox, command: sleep 1000, init: true, volumes: ["data:/v"], network_mode: none}}\nvolumes: {data: {}}\n',
      );
      const compose = (...words: string[]): ReturnType<typeof gantry> =>
        gantry('compose', '--project-directory', project, ...words);
      const up = await compose('up', '-d');
      assert.equal(up.code, 0, up.stderr);
      docker('exec', 'shop-web-1', 'sh', '-c', 'echo kept >/v/f');
      const down = await compose('down', '-v', '-t', '0');
      assert.equal(down.code, 0, down.stderr);
      assert.equal(docker('volume', 'ls', '-q'), '');
      const undone = await gantry('undo');
      assert.match(undone.stdout, /Restored volume shop_data\n[^]*Restored container shop-web-1/, undone.stderr);
      docker('start', 'shop-web-1');
      assert.equal(docker('exec', 'shop-web-1', 'cat', '/v/f'), 'kept');
      assert.equal((await compose('down', '-v', '-t', '0', '--no-trash')).code, 0);
      await gantry('undo', '--empty', '-f');
    } finally {
      spawnSync('sh', ['-c', 'docker rm -f $(docker ps -aq)'], { env });
      await gantry('undo', '--empty', '-f');
      await daemon.stop();
      left = await leftBehind(daemon);
      rmSync(directory, { recursive: true, force: true });
    }
    assert.deepEqual(left, []);
  });
});

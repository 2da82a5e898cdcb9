import assert from 'node:assert/strict';
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { ContainerCreateRequest, HostConfig } from '../../src/api/container.ts';
import type { Engine } from '../../src/index.ts';
import { printed, withEngine } from '../support/private-engine.ts';

before(() => assert.equal(process.getuid?.(), 0, 'these tests run containers: run them as root'));

async function create(
  engine: Engine,
  script: string,
  hostConfig: HostConfig = {},
  more: Partial<ContainerCreateRequest> = {},
): Promise<string> {
  const Cmd = ['sh', '-c', `{ ${script}\n} 2>&1`];
  const HostConfig = { NetworkMode: 'none', ...hostConfig };
  return (await engine.containers.create({ Image: 'busybox', Cmd, ...more, HostConfig })).Id;
}

/** Runs it once more, and gives what it printed in all its runs. */
async function runOf(engine: Engine, id: string): Promise<string> {
  const exit = await engine.containers.wait(id, 'next-exit');
  await engine.containers.start(id);
  await exit.outcome;
  const { output } = await engine.containers.logs(id, { stdout: true, stderr: true });
  return (await printed(output)).stdout.trim();
}

async function run(...args: Parameters<typeof create>): Promise<string> {
  const [engine] = args;
  const id = await create(...args);
  try {
    return await runOf(engine, id);
  } finally {
    await engine.containers.remove(id, { force: true, volumes: true });
  }
}

test('images as mounts: read-only, parts of them, kept while a container has them', () =>
  withEngine(async (engine) => {
    const maker = await create(engine, 'mkdir /made; echo layered > /made/file; ln -s /etc /made/out');
    await runOf(engine, maker);
    await engine.containers.commit(maker, { repo: 'tools' });
    await engine.containers.remove(maker);
    const mounted = (Subpath = ''): HostConfig => ({
      Mounts: [{ Type: 'image', Source: 'tools', Target: '/img', ...(Subpath && { ImageOptions: { Subpath } }) }],
    });
    assert.match(
      await run(engine, 'cat /img/made/file; ls -d /img/bin; touch /img/x', mounted()),
      /^layered\n\/img\/bin\ntouch: .*Read-only file system$/,
    );
    assert.equal(await run(engine, 'cat /img/file', mounted('made')), 'layered');
    assert.equal(await run(engine, 'cat /img', mounted('made/file')), 'layered');
    assert.equal(await run(engine, 'ls /img/passwd', mounted('made/out')), '/img/passwd', 'links end in the image');
    await assert.rejects(run(engine, 'true', mounted('nosuch')), /cannot access path .*no such file or directory/);
    await assert.rejects(run(engine, 'true', mounted('../etc')), /subpath must be a relative path/);
    await assert.rejects(create(engine, 'true', { Mounts: [{ Type: 'image', Source: 'nosuch', Target: '/img' }] }), {
      code: 'invalid-argument',
      message: /No such image: nosuch/,
    });

    const user = await create(engine, 'cat /img/made/file', mounted());
    const [point] = (await engine.containers.inspect(user)).Mounts;
    assert.deepEqual(
      { ...point, Source: '' },
      { Type: 'image', Name: 'tools', Source: '', Destination: '/img', Mode: '', RW: false, Propagation: 'rprivate' },
    );
    await assert.rejects(engine.images.remove('tools'), { code: 'conflict' });
    await engine.images.remove('tools', { force: true });
    assert.equal(await runOf(engine, user), 'layered', 'its layers stay without its name');
    await engine.containers.remove(user);
  }));

test('the life of volumes: kept without containers, renamed, copied, exported and imported', () =>
  withEngine(async (engine, { options }) => {
    const { volumes } = engine;
    const at = (name: string, more = ''): HostConfig => ({ Binds: [`${name}:/v${more}`] });
    await run(engine, 'echo one > /v/file', at('data'));
    assert.equal(await run(engine, 'cat /v/file', at('data')), 'one', 'a new container has the files');
    const stopped = await create(engine, 'true', at('data'));
    await assert.rejects(volumes.rename('data', 'other'), /volume is in use/);
    await engine.containers.remove(stopped);
    await volumes.rename('data', 'other');
    await volumes.clone('other', { Name: 'copy' });
    await run(engine, 'echo two > /v/file', at('copy'));
    const { Name: snapshot } = await volumes.snapshot('copy');
    await volumes.import('back', await volumes.export(snapshot));
    assert.equal(await run(engine, 'cat /v/file', at('other')), 'one');
    assert.equal(await run(engine, 'cat /v/file', at('back', ':ro')), 'two');
    assert.equal(existsSync(join(options.dataRoot!, 'volumes/data')), false);
    for (const name of ['other', 'copy', snapshot, 'back']) await volumes.remove(name);
    assert.deepEqual((await volumes.list()).Volumes, []);
  }));

test('whose the files are: U gives them to the container’s user, idmap shows them as its own', () =>
  withEngine(async (engine, { directory }) => {
    const source = join(directory, 'source');
    mkdirSync(join(source, 'sub'), { recursive: true });
    writeFileSync(join(source, 'file'), 'x');
    writeFileSync(join(source, 'other'), 'x');
    symlinkSync('/etc/passwd', join(source, 'link'));
    for (const name of ['', 'file', 'sub']) chownSync(join(source, name), 1500, 1600);
    chownSync(join(source, 'other'), 1700, 1700);
    const User = '25:26';

    const look = 'stat -c "%u:%g" /x /x/file /x/other; echo new > /x/sub/made && echo written';
    const mapped = await run(engine, look, { Binds: [`${source}:/x:idmap`] }, { User });
    assert.equal(mapped, '25:26\n25:26\n1700:1700\nwritten');
    assert.equal(statSync(join(source, 'sub/made')).uid, 1500, 'what is made inside is the owner’s outside');
    assert.equal(statSync(join(source, 'file')).uid, 1500);
    assert.match(
      await run(engine, 'touch /x/file', { Binds: [`${source}:/x:idmap,ro`] }, { User }),
      /Read-only file system/,
    );
    assert.equal(await run(engine, 'cat /x', { Binds: [`${source}/file:/x:idmap`] }, { User }), 'x');

    assert.equal(await run(engine, look, { Binds: [`${source}:/x:U`] }, { User }), '25:26\n25:26\n25:26\nwritten');
    for (const name of ['', 'file', 'other', 'sub/made', 'link']) {
      assert.equal(lstatSync(join(source, name)).uid, 25, name);
    }
    assert.equal(statSync('/etc/passwd').uid, 0, 'no symlink is followed');
    symlinkSync('/etc', join(directory, 'etc'));
    for (const path of ['/etc', join(directory, 'etc'), '/sys/kernel']) {
      await assert.rejects(run(engine, 'true', { Binds: [`${path}:/x:U,ro`] }, { User }), /the host needs it as it is/);
    }

    await run(engine, 'echo mine > /v/file', { Binds: ['data:/v:U'] }, { User });
    assert.equal(await run(engine, 'stat -c %u /v', { Binds: ['data:/v'] }), '25');
    await engine.volumes.remove('data');
  }));

test('what is edited outside is seen inside at once, with its inotify event', () =>
  withEngine(async (engine, { directory }) => {
    const source = join(directory, 'src');
    mkdirSync(source);
    writeFileSync(join(source, 'server.js'), 'one');
    // the host's own Node with its libraries: what nodemon and its like are built on
    const script = `
      const names = new Set();
      require('node:fs').watch('/app/src', (event, name) => {
        names.add(name);
        if (names.size === 2) console.log([...names].sort().join(' '), require('node:fs').readFileSync('/app/src/server.js', 'utf8')), process.exit();
      });
      console.log('ready');`;
    const host = ['/usr', '/lib', '/lib64'].filter((path) => existsSync(path)).map((path) => `${path}:${path}:ro`);
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      Cmd: ['/node', '-e', script],
      HostConfig: {
        NetworkMode: 'none',
        Binds: [...host, `${process.execPath}:/node:ro`, `${source}:/app/src`],
      },
    });
    await engine.containers.start(Id);
    const logs = await engine.containers.logs(Id, {
      stdout: true,
      stderr: true,
      follow: true,
      signal: AbortSignal.timeout(20_000),
    });
    let seen = '';
    for await (const { data } of logs.output) {
      seen += Buffer.from(data).toString();
      if (seen !== 'ready\n') continue;
      writeFileSync(join(source, 'server.js'), 'two');
      writeFileSync(join(source, 'new.js'), '');
    }
    assert.equal(seen, 'ready\nnew.js server.js two\n');
    const inside = await run(engine, 'cat /app/src/server.js', { Binds: [`${source}:/app/src`] });
    assert.equal(inside, 'two');
  }));

test('what a container writes of its own stays over a restart, and goes with the container', () =>
  withEngine(async (engine, { directory }) => {
    const writer = await create(engine, 'cat /note; echo kept > /note');
    await runOf(engine, writer);
    assert.match(await runOf(engine, writer), /kept$/);
    await engine.containers.remove(writer);
    assert.match(await run(engine, 'cat /note'), /No such file/);

    const config = join(directory, 'app.conf');
    writeFileSync(config, 'setting');
    const one = { Binds: [`${config}:/etc/app.conf:ro`] };
    assert.match(
      await run(engine, 'cat /etc/app.conf; echo x > /etc/app.conf', one),
      /^setting.*\n?.*Read-only file system/,
    );
    assert.equal(readFileSync(config, 'utf8'), 'setting');
    const { Warnings, Id } = await engine.containers.create({
      Image: 'busybox',
      HostConfig: { NetworkMode: 'none', Binds: [`${directory}/typo:/x`] },
    });
    assert.deepEqual(Warnings, [
      `The host path ${directory}/typo does not exist: it is made, as an empty directory of root.`,
    ]);
    await engine.containers.remove(Id);

    const first = await create(engine, 'echo anonymous > /data/f', {}, { Volumes: { '/data': {} } });
    await runOf(engine, first);
    const again = await run(engine, 'cat /data/f', { VolumesFrom: [first] });
    assert.equal(again, 'anonymous');
    const volume = (await engine.containers.inspect(first)).Mounts[0]!.Name!;
    await engine.containers.remove(first);
    assert.equal(
      await run(engine, 'cat /data/f', { Binds: [`${volume}:/data`] }),
      'anonymous',
      'rm without -v keeps it',
    );
    await engine.volumes.remove(volume);
  }));

test('what mounts are mounted on is made as runc makes it, inside the root whatever the links of the image say', () =>
  withEngine(async (engine, { directory }) => {
    const links =
      'mkdir /data; ln -s /data /in; ln -s /gone/far /nowhere; ln -s ../../../../../../gone/up /up; mkdir -m 700 /own';
    const maker = await create(engine, links);
    await runOf(engine, maker);
    await engine.containers.commit(maker, { repo: 'linked' });
    await engine.containers.remove(maker);
    const [file, shared] = [join(directory, 'file'), join(directory, 'shared')];
    writeFileSync(file, 'of the host');
    mkdirSync(join(shared, 'link-target'), { recursive: true });
    symlinkSync('/data', join(shared, 'leads'));
    const places =
      '/new /new/a /new/a/b /data/c /gone /gone/far /gone/far/d /gone/up /gone/up/e /own /own/f /files /files/g /tmpfs';
    const stat = `stat -c '%n %a %u:%g %F' ${places}`;
    const Binds = [
      ...['/new/a/b', '/in/c', '/nowhere/d', '/up/e', '/own/f'].map((place, index) => `v${index}:${place}`),
      `${file}:/files/g`,
      `${shared}:/shared`,
      'v5:/shared/deep/er',
      'v6:/shared/leads/h',
      `${shared}:/only:ro`,
    ];
    const mounted = await create(
      engine,
      'stat -c %a /shared/deep; cat /files/g; touch /in/c/x; ls /data/c',
      { Binds, Tmpfs: { '/tmpfs': '' } },
      { Image: 'linked' },
    );
    assert.equal(await runOf(engine, mounted), '755\nof the hostx');
    const changes = await engine.containers.changes(mounted);
    assert.deepEqual(
      changes.filter(({ Kind }) => Kind === 1).map(({ Path }) => Path),
      [...places.split(' ').filter((place) => place !== '/own'), '/data/h', '/only', '/shared'].sort(),
    );
    // in the host's own directory as well, but not where a link of it would lead
    assert.equal(statSync(join(shared, 'deep/er')).mode & 0o7777, 0o755);
    assert.ok(!existsSync(join(shared, 'data')) && !existsSync('/gone'));
    await engine.containers.commit(mounted, { repo: 'kept' });
    await engine.containers.remove(mounted);
    const kinds = new Map([
      ['/own', '700'],
      ['/files/g', '755 0:0 regular empty file'],
    ]);
    const expected = places.split(' ').map((place) => `${place} ${kinds.get(place) ?? '755'} 0:0 directory`);
    assert.equal(
      await run(engine, stat, {}, { Image: 'kept' }),
      expected.map((line) => line.replace('file 0:0 directory', 'file')).join('\n'),
    );
    for (const name of Array.from({ length: 7 }, (_, index) => `v${index}`)) await engine.volumes.remove(name);
  }));

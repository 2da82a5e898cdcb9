import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
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

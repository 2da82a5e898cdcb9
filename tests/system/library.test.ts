import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { type BuildEvent, Engine } from '../../src/index.ts';
import { privateRoots, withEngine } from '../support/private-engine.ts';

test('the example of the library runs a container', async () => {
  const roots = await privateRoots();
  const { stdout } = await promisify(execFile)(process.execPath, ['examples/library/run.ts', roots.options.dataRoot!]);
  assert.match(stdout, /^Hello from [0-9a-f]{12}, reader \(exit code 3\)\n$/);
  await roots.discard();
});

test('the example of the library builds an image', async () => {
  const roots = await privateRoots();
  const { stdout } = await promisify(execFile)(process.execPath, [
    'examples/library/build.ts',
    roots.options.dataRoot!,
  ]);
  assert.match(
    stdout,
    /^FROM busybox: cached\nARG NAME: cached\nRUN --mount=type=secret[^\n]+: run\nCMD \["cat", "\/greeting"\]: run\nsha256:[0-9a-f]{12}: Hello, reader\n$/,
  );
  await roots.discard();
});

test('build() takes a directory, writes files and archives, and tells each step', () =>
  withEngine(async (engine, { directory }) => {
    const context = join(directory, 'context');
    await mkdir(context);
    await writeFile(join(context, 'a.txt'), 'content');
    await writeFile(join(context, 'Dockerfile'), 'FROM scratch\nCOPY a.txt /b.txt\n');
    const events: BuildEvent[] = [];
    const [files, archive, cache] = ['files', 'image.tar', 'cache'].map((name) => join(directory, name));
    const built = await engine.build({
      context,
      outputs: [{ type: 'local', dest: files! }, { type: 'oci', dest: archive! }, { type: 'image' }],
      cacheTo: [`type=local,dest=${cache}`],
      tags: ['made:1'],
      onEvent: (event) => events.push(event),
    });
    assert.equal(await readFile(join(files!, 'b.txt'), 'utf8'), 'content');
    assert.equal((await stat(archive!)).isFile(), true);
    assert.deepEqual(
      events
        .map((event) => `${event.type} ${'vertex' in event ? event.vertex.text : ''}`)
        .filter((text) => !text.startsWith('output')),
      ['started FROM scratch', 'done FROM scratch', 'started COPY a.txt /b.txt', 'done COPY a.txt /b.txt'],
    );
    await engine.images.remove('made:1', {});
    await engine.builder.prune({ all: true });
    const origins: string[] = [];
    const again = await engine.build({
      context,
      cacheFrom: [`type=local,src=${cache}`],
      onEvent: (event) => void (event.type === 'done' && origins.push(event.origin)),
    });
    assert.deepEqual([again.id, origins], [built.id, ['cached', 'cached']]);
    await assert.rejects(engine.build({ context: join(directory, 'none') }), {
      code: 'invalid-argument',
      message: /is not there/,
    });
    await assert.rejects(engine.build({ context, outputs: [{ type: 'tar' }] }), { message: /needs a dest/ });
    const failed = engine.build({ dockerfileText: 'FROM busybox\nRUN exit 7\n', networkMode: 'none' });
    await assert.rejects(failed, { exitCode: 7 });
  }));

test('run() gives output and code, takes input, ends with its signal', () =>
  withEngine(async (engine) => {
    const run = { image: 'busybox', network: 'none' };
    const upper = await engine.run({ ...run, command: ['tr', 'a-z', 'A-Z'], stdin: 'shout' });
    assert.deepEqual(upper, { exitCode: 0, stdout: 'SHOUT', stderr: '' });
    const failed = await engine.run({ ...run, command: ['sh', '-c', 'echo no >&2; exit 9'] });
    assert.deepEqual(failed, { exitCode: 9, stdout: '', stderr: 'no\n' });
    await assert.rejects(engine.run({ ...run, command: ['nope'] }), { code: 'no-such-command' });
    await assert.rejects(engine.run({ ...run, command: ['yes'], maxOutput: 1000 }), { code: 'too-large' });
    const signal = AbortSignal.timeout(300);
    await assert.rejects(engine.run({ ...run, command: ['sleep', '1000'], signal }), { code: 'cancelled' });
    assert.deepEqual(await engine.containers.list({ all: true }), []);
  }));

test('open() refuses a data root that another engine owns, and says which', () =>
  withEngine(async (_engine, { options }) => {
    await assert.rejects(Engine.open(options), {
      code: 'unavailable',
      message: new RegExp(`is in use by the engine with pid ${process.pid}: `),
    });
  }));

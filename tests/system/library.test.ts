import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Engine } from '../../src/index.ts';
import { privateRoots, withEngine } from '../support/private-engine.ts';

test('the example of the library runs a container', async () => {
  const roots = await privateRoots();
  const { stdout } = await promisify(execFile)(process.execPath, ['examples/library/run.ts', roots.options.dataRoot!]);
  assert.match(stdout, /^Hello from [0-9a-f]{12}, reader \(exit code 3\)\n$/);
  await roots.discard();
});

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

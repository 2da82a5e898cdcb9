import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Containers } from './containers/containers.ts';
import { fakeContext } from './containers/fakes.ts';
import { reconcile } from './reconcile.ts';

test('the exit code of a container that ends while it is taken over is its own', async () => {
  const dataRoot = mkdtempSync(join(tmpdir(), 'gantry-reconcile-'));
  const before = fakeContext({ dataRoot });
  const containers = new Containers(before);
  const { Id: id } = await containers.create({ Image: 'busybox', Cmd: ['true'] }, { name: 'ending' });
  await containers.start(id);
  const after = { ...fakeContext({ dataRoot, tasks: before.tasks }), store: before.store };
  const task = before.tasks.running.get(id)!;
  // its group is gone before it is asked whether it is frozen
  const isFrozen = async (): Promise<boolean> => {
    task.end(34);
    throw Object.assign(new Error('ENOENT: no such file or directory'), { code: 'ENOENT' });
  };
  await reconcile({ ...after, isFrozen });
  await after.background.settled();
  const { State } = await new Containers(after).inspect(id);
  assert.deepEqual([State.Status, State.ExitCode, State.Error], ['exited', 34, '']);
  await before.close();
});

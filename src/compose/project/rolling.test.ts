import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from '../../client/client.ts';
import type { Value } from '../model/value.ts';
import type { Observed } from './observe.ts';
import type { Service } from './project.ts';
import { type Replacement, RollingUpdate, updatePolicy } from './rolling.ts';

function service(deploy: object): Service {
  return {
    name: 'web',
    model: { deploy: deploy as unknown as Value },
    replicas: 3,
    builds: false,
    image: 'x',
    dependencies: new Map(),
  };
}

/** Updates three containers of which the new third falls ill, and `ill` when they come back. Gives what was done, in order. */
async function updated(deploy: object, ill: readonly string[] = []): Promise<{ calls: string[]; error: string }> {
  const calls: string[] = [];
  const say =
    (what: string) =>
    async (id: string): Promise<void> =>
      void calls.push(`${what} ${id}`);
  const containers = {
    inspect: async () => ({ NetworkSettings: { Ports: {} } }),
    rename: async () => {},
    start: say('start'),
    remove: say('remove'),
  };
  const update = new RollingUpdate(
    { containers } as unknown as Client,
    updatePolicy(service(deploy))!,
    {
      make: async ({ number }) => ({ id: `new${number}`, ports: {} }),
      start: say('start'),
      ready: async (id) => {
        if (id === 'new3' || ill.includes(id)) throw new Error(`${id} is ill`);
      },
      stop: async ({ old }) => void calls.push(`stop ${old.id}`),
    },
    () => {},
  );
  const steps = [1, 2, 3].map((number): Replacement => ({
    kind: 'recreate',
    service: 'web',
    number,
    name: `web-${number}`,
    old: { id: `old${number}` } as Observed,
    reason: '',
  }));
  const error = await update.run('web', steps).then(
    () => '',
    (reason: unknown) => (reason as Error).message,
  );
  return { calls: calls.slice(calls.findIndex((call) => call.endsWith('new3')) + 2), error };
}

const update_config = { order: 'start-first', failure_action: 'rollback' };

test('a rollback goes as its own configuration says', async () => {
  // Without one as the update went: the old one is back before the new one goes.
  const plain = await updated({ update_config });
  assert.equal(plain.error, 'update of web failed and was rolled back: new3 is ill');
  assert.deepEqual(plain.calls, ['start old2', 'remove new2', 'start old1', 'remove new1']);

  const stopFirst = await updated({ update_config, rollback_config: { order: 'stop-first' } });
  assert.deepEqual(stopFirst.calls, [
    'remove new2',
    'start old2',
    'remove new2',
    'remove new1',
    'start old1',
    'remove new1',
  ]);

  const atOnce = await updated({ update_config, rollback_config: { order: 'start-first', parallelism: 0 } });
  assert.deepEqual(atOnce.calls, ['start old2', 'start old1', 'remove new2', 'remove new1']);
});

test('a rollback that fails pauses, or goes on', async () => {
  const paused = await updated({ update_config, rollback_config: { order: 'start-first' } }, ['old2']);
  assert.equal(paused.error, 'update of web failed and its rollback did, too (old2 is ill): new3 is ill');
  // What was not taken back stays as it was updated, and its old one is not kept beside it.
  assert.deepEqual(paused.calls, ['start old2', 'remove old1']);

  const going = await updated(
    { update_config, rollback_config: { order: 'start-first', failure_action: 'continue' } },
    ['old2'],
  );
  assert.match(going.error, /its rollback did, too/);
  assert.deepEqual(going.calls, ['start old2', 'start old1', 'remove new1']);

  const tolerant = await updated({ update_config, rollback_config: { order: 'start-first', max_failure_ratio: 0.5 } }, [
    'old2',
  ]);
  assert.deepEqual(tolerant.calls, ['start old2', 'start old1', 'remove new1']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from '../../client/client.ts';
import { limitedClient } from './limited-client.ts';

test('what changes something waits for its turn, streams until their end; reading does not wait', async () => {
  let [running, most] = [0, 0];
  const work = async (): Promise<void> => {
    most = Math.max(most, ++running);
    for (let i = 0; i < 5; i++) await Promise.resolve();
    running--;
  };
  async function* lines(): AsyncGenerator<number> {
    most = Math.max(most, ++running);
    for (let i = 0; i < 3; i++) {
      await Promise.resolve();
      yield i;
    }
    running--;
  }
  const real = {
    containers: {
      start: async (id: string) => {
        await work();
        if (id === 'bad') throw new Error('bad');
      },
      inspect: async () => running,
    },
    images: { pull: lines },
    networks: {},
    volumes: {},
    builder: {},
  } as unknown as Client;
  for (const limit of [1, 2]) {
    most = 0;
    const client = limitedClient(real, limit);
    const pull = async (): Promise<number[]> => {
      const found: number[] = [];
      for await (const line of client.images.pull({ image: 'x' } as never)) found.push(line as unknown as number);
      return found;
    };
    const all = [
      client.containers.start('a'),
      client.containers.start('bad').catch(() => {}),
      pull(),
      client.containers.start('b'),
      pull(),
    ];
    assert.equal(typeof (await client.containers.inspect('a')), 'number');
    assert.deepEqual((await Promise.all(all)).filter(Array.isArray), [
      [0, 1, 2],
      [0, 1, 2],
    ]);
    assert.equal(most, limit);
    assert.equal(running, 0);
  }
});

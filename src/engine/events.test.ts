import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineEvent } from '../api/system.ts';
import { EventLog } from './events.ts';

async function take(events: AsyncIterable<EngineEvent>): Promise<string[]> {
  const seen: string[] = [];
  for await (const { Type, Action } of events) seen.push(`${Type} ${Action}`);
  return seen;
}

test('subscribe() gives past events since a time, then live ones until the abort', async () => {
  let clock = 0n;
  const log = new EventLog(() => clock);
  for (const action of ['create', 'start', 'die']) {
    clock += 1_000_000_000n;
    log.publish('container', action, 'id', { name: 'web' });
  }
  const stop = new AbortController();
  const seen = take(log.subscribe({ since: 2_000_000_000n, signal: stop.signal }));
  log.publish('network', 'disconnect', 'n', {});
  stop.abort();
  log.publish('container', 'destroy', 'id', {});
  assert.deepEqual(await seen, ['container start', 'container die', 'network disconnect']);
  assert.equal(log.listeners, 0);
  assert.deepEqual(await take(log.subscribe({ since: 0n, until: 1_000_000_000n })), ['container create']);
});

test('no two events have the same time', async () => {
  const log = new EventLog(() => 5n);
  log.publish('image', 'tag', 'i', {});
  log.publish('image', 'tag', 'i', {});
  const times: bigint[] = [];
  for await (const event of log.subscribe({ since: 0n, until: 5n })) times.push(event.timeNano);
  assert.deepEqual(times, [5n]);
});

test('filters: values of a key are alternatives, keys must all hold', async () => {
  const log = new EventLog(() => 1n);
  log.publish('container', 'health_status: healthy', 'abc', { name: 'web', image: 'nginx:1', tier: 'front' });
  log.publish('container', 'die', 'abd', { name: 'db', image: 'postgres' });
  log.publish('image', 'pull', 'nginx:1', { name: 'nginx' });
  const matching = (...filters: [string, string[]][]): Promise<string[]> =>
    take(log.subscribe({ since: 0n, until: 100n, filters: new Map(filters), signal: AbortSignal.abort() }));
  assert.deepEqual(await matching(['event', ['health_status', 'pull']]), [
    'container health_status: healthy',
    'image pull',
  ]);
  assert.deepEqual(await matching(['container', ['web', 'abd']]), [
    'container health_status: healthy',
    'container die',
  ]);
  assert.deepEqual(await matching(['type', ['container']], ['label', ['tier=front']]), [
    'container health_status: healthy',
  ]);
  assert.deepEqual(await matching(['image', ['nginx']]), ['container health_status: healthy', 'image pull']);
  assert.throws(() => log.subscribe({ filters: new Map([['nonsense', ['x']]]) }), {
    code: 'invalid-argument',
    message: "invalid filter 'nonsense'",
  });
});

test('a reader that does not read loses the oldest events, and holds up nobody', async () => {
  const log = new EventLog();
  const stop = new AbortController();
  const events = log.subscribe({ signal: stop.signal });
  for (let index = 0; index < 5000; index++) log.publish('container', String(index), 'id', {});
  stop.abort();
  const seen = await take(events);
  assert.deepEqual([seen.length, seen[0], seen.at(-1)], [4096, 'container 904', 'container 4999']);
});

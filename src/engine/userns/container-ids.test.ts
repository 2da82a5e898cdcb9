import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostConfig } from '../../api/container.ts';
import type { ContainerIds, ContainerRecord } from '../../state/containers.ts';
import { idsFor, isUsernsMode } from './container-ids.ts';
import { remappedIds, subordinateRange } from './subordinate-ids.ts';

const pool = { base: 1_000_000, size: 200_000 };
const remap: ContainerIds = { uid: { base: 100_000, size: 65_536 }, gid: { base: 200_000, size: 65_536 } };

function record(id: string, ids?: ContainerIds): ContainerRecord {
  return { id, name: id, ...(ids && { ids }) } as ContainerRecord;
}

const auto = (others: ContainerRecord[], UsernsMode = 'auto', more: HostConfig = {}): ContainerIds | undefined =>
  idsFor({ UsernsMode, ...more }, others, { remap: undefined, pool });

test('ranges that nobody else has; a gap is filled, the end is told', () => {
  const first = auto([])!;
  assert.deepEqual(first, { uid: { base: 1_000_000, size: 65_536 }, gid: { base: 1_000_000, size: 65_536 } });
  const second = auto([record('a', first)])!;
  assert.equal(second.uid.base, 1_065_536);
  const third = auto([record('a', first), record('b', second)])!;
  assert.equal(third.uid.base, 1_131_072);
  assert.throws(() => auto([record('a', first), record('b', second), record('c', third)]), { code: 'conflict' });
  assert.equal(auto([record('a', first), record('c', third)])!.uid.base, 1_065_536);
  assert.equal(
    auto([record('a', first), record('b', second), record('c', third)], 'auto:size=1000')!.uid.base,
    1_196_608,
  );
  assert.throws(() => auto([], 'auto:size=300000'), { code: 'invalid-argument' });
});

test('modes, and what cannot be shared', () => {
  for (const mode of ['', 'host', 'auto', 'auto:size=5']) assert.ok(isUsernsMode(mode), mode);
  for (const mode of ['private', 'auto:', 'auto:size=', 'auto:x=1', 'keep-id']) assert.ok(!isUsernsMode(mode), mode);
  assert.equal(auto([], 'host'), undefined);
  assert.equal(auto([], ''), undefined);
  const remapped = (hostConfig: HostConfig, others: ContainerRecord[] = []): ContainerIds | undefined =>
    idsFor(hostConfig, others, { remap, pool });
  assert.deepEqual(remapped({}), remap);
  assert.equal(remapped({ UsernsMode: 'host', Privileged: true }), undefined);
  for (const hostConfig of [{ Privileged: true }, { PidMode: 'host' }, { NetworkMode: 'host' }]) {
    assert.throws(() => remapped(hostConfig), /user namespaces/);
  }
  const ids = auto([])!;
  assert.deepEqual(auto([record('x', ids)], 'auto', { NetworkMode: 'container:x' }), ids);
  assert.deepEqual(auto([record('x', ids)], '', { PidMode: 'container:x' }), ids);
  assert.equal(auto([record('x')], 'auto', { PidMode: 'container:x' }), undefined);
});

test('subordinate ids as dockerd reads them', () => {
  const files: Record<string, string> = {
    '/etc/subuid': 'other:1:2\ndockremap:100000:65536\nlow:10:65536\n',
    '/etc/subgid': 'dockremap:200000:65536\nlow:10:65536\n',
  };
  const read = (path: string): string => files[path]!;
  assert.deepEqual(remappedIds('default', read), remap);
  assert.deepEqual(remappedIds('dockremap:dockremap', read), remap);
  assert.throws(() => remappedIds('nobody', read), /\/etc\/subuid has no line for nobody: add one/);
  assert.throws(() => remappedIds('dockremap:nobody', read), /\/etc\/subgid has no line for nobody/);
  assert.throws(() => remappedIds('low', read), /below its length/);
  assert.equal(
    subordinateRange('/etc/subuid', 'x', () => {
      throw new Error('not there');
    }),
    undefined,
  );
});

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { blockLines, ioLines, isFrozen, parseProcCgroup, readCgroupStats } from './cgroup-stats.ts';

function hostWith(files: Readonly<Record<string, string>>): { root: string; [Symbol.dispose](): void } {
  const root = mkdtempSync(join(tmpdir(), 'gantry-cgroup-'));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(root, name, '..'), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return { root, [Symbol.dispose]: () => rmSync(root, { recursive: true }) };
}

test('parseProcCgroup() reads hybrid hosts', () => {
  const groups = parseProcCgroup('4:cpu,cpuacct:/a\n3:memory:/b\n1:name=systemd:/c\n0::/u\n');
  assert.deepEqual(Object.fromEntries(groups.controllers), {
    cpu: '/a',
    cpuacct: '/a',
    memory: '/b',
    'name=systemd': '/c',
  });
  assert.equal(groups.unified, '/u');
});

test('readCgroupStats() reads version 2', async () => {
  using host = hostWith({
    'proc/7/cgroup': '0::/gantry/x/init.scope\n',
    'proc/8/cgroup': '0::/somebody\n',
    'somebody/memory.current': '9\n',
    'gantry/x/cpu.stat':
      'usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 5\nnr_throttled 2\nthrottled_usec 9\n',
    'gantry/x/memory.current': '4096\n',
    'gantry/x/memory.max': 'max\n',
    'gantry/x/memory.stat': 'anon 1\nfile 2\n',
    'gantry/x/pids.current': '3\n',
    'gantry/x/pids.max': '100\n',
    'gantry/x/io.stat': '8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n',
    'gantry/x/cgroup.freeze': '1\n',
  });
  const stats = await readCgroupStats(7, 'x', host.root, join(host.root, 'proc'));
  assert.deepEqual(stats.cpu, { total: 30_000, user: 10_000, kernel: 20_000 });
  assert.deepEqual(stats.throttling, { periods: 5, throttled: 2, nanos: 9000 });
  assert.deepEqual(stats.memory, { usage: 4096, limit: undefined, stats: { anon: 1, file: 2 } });
  assert.deepEqual(stats.pids, { current: 3, limit: 100 });
  assert.deepEqual(stats.io.bytes, [
    { major: 8, minor: 0, op: 'read', value: 1 },
    { major: 8, minor: 0, op: 'write', value: 2 },
  ]);
  assert.equal(await isFrozen(7, 'x', host.root, join(host.root, 'proc')), true);
  const none = await readCgroupStats(8, 'x', host.root, join(host.root, 'proc'));
  assert.equal(none.memory.usage, undefined, 'no cgroup of its own');
});

test('readCgroupStats() reads version 1', async () => {
  using host = hostWith({
    'proc/7/cgroup': '3:cpu,cpuacct:/x\n2:memory:/x\n1:freezer:/x\n',
    'cpuacct/x/cpuacct.usage': '77\n',
    'cpuacct/x/cpuacct.stat': 'user 1\nsystem 2\n',
    'memory/x/memory.usage_in_bytes': '10\n',
    'memory/x/memory.limit_in_bytes': '20\n',
    'memory/x/memory.stat': 'cache 1\n',
    'freezer/x/freezer.state': 'THAWED\n',
  });
  const stats = await readCgroupStats(7, 'x', host.root, join(host.root, 'proc'));
  assert.deepEqual([stats.cpu.total, stats.cpu.user, stats.cpu.kernel], [77, 10_000_000, 20_000_000]);
  assert.deepEqual([stats.memory.usage, stats.memory.limit, stats.memory.stats], [10, 20, { cache: 1 }]);
  assert.equal(stats.pids.current, undefined);
  assert.equal(await isFrozen(7, 'x', host.root, join(host.root, 'proc')), false);
});

test('lines of block devices', () => {
  assert.deepEqual(blockLines('8:0 Read 4096\n8:0 Total 4096\nTotal 4096\n'), [
    { major: 8, minor: 0, op: 'read', value: 4096 },
    { major: 8, minor: 0, op: 'total', value: 4096 },
  ]);
  assert.deepEqual(ioLines(''), { bytes: [], operations: [] });
});

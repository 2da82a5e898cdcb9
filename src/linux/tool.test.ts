import assert from 'node:assert/strict';
import { openSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { identify, isAlive, signalProcess } from './process.ts';
import { spawnProcess } from './spawn.ts';
import { runTool } from './tool.ts';

test('a tool gets its stdin and nothing else of ours', async () => {
  const script = 'cat; echo words >&2; ls /proc/self/fd; grep -E "Sig(Blk|Ign)" /proc/self/status; env';
  const result = await runTool('/bin/sh', ['-c', script], { stdin: 'given\n', env: ['PATH=/bin:/usr/bin', 'A=b'] });
  const lines = result.stdout.toString().split('\n');
  assert.equal(lines[0], 'given');
  assert.deepEqual(lines.slice(1, 5), ['0', '1', '2', '3']); // 3 is the directory that ls reads
  assert.ok(lines.includes('SigIgn:\t0000000000000000'), lines.join());
  assert.ok(lines.includes('SigBlk:\t0000000000000000'));
  assert.ok(lines.includes('A=b'));
  assert.equal(result.stderr, 'words');
});

test('failures say what the tool said', async () => {
  const sh = (script: string, options = {}) => runTool('/bin/sh', ['-c', script], options);
  await assert.rejects(sh('echo bad >&2; exit 3'), { code: 'internal', message: 'sh failed (exit 3): bad' });
  await assert.rejects(runTool('/bin/nosuch', []), { code: 'unavailable' });
  await assert.rejects(sh('sleep 100 & sleep 100', { timeoutMs: 50 }), { code: 'timeout' });
  await assert.rejects(sh('yes', { maxOutput: 10_000 }), { code: 'too-large' });
  await assert.rejects(sh('sleep 100', { signal: AbortSignal.timeout(50) }), { code: 'cancelled' });
  assert.equal((await sh('exit 3', { accept: [0, 3] })).exitCode, 3);
});

test('many at once are all reaped, with their own status', async () => {
  const codes = Array.from({ length: 40 }, (_, index) => index);
  const results = await Promise.all(codes.map((code) => runTool('/bin/sh', ['-c', `exit ${code}`], { accept: codes })));
  assert.deepEqual(
    results.map((result) => result.exitCode),
    codes,
  );
});

test('a process is known by pid and start time, and only that one is signalled', async () => {
  const null0 = openSync('/dev/null', 'r+');
  const child = await spawnProcess({
    path: '/bin/sleep',
    argv: ['sleep', '100'],
    env: [],
    fds: [null0, null0, null0],
    cwd: '/usr',
  });
  const identity = identify(child.pid)!;
  assert.equal(readlinkSync(`/proc/${child.pid}/cwd`), '/usr');
  assert.equal(signalProcess({ ...identity, startTime: identity.startTime - 1 }, 9), false);
  assert.ok(isAlive(identity));
  assert.equal(signalProcess(identity, 15), true);
  assert.deepEqual(await child.exited, { signal: 15 });
  assert.equal(isAlive(identity), false);
  assert.equal(signalProcess(identity, 15), false);
  await assert.rejects(spawnProcess({ path: '/nosuch', argv: ['x'], env: [], fds: [] }), { code: 'ENOENT' });
});

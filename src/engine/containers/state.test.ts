import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER_RUN } from '../../state/containers.ts';
import { ended, paused, restartCancelled, resumed, running, startFailed, stateDocument } from './state.ts';

const AT = '2026-01-02T03:04:05Z';
const EXIT = { exitCode: 137, oomKilled: true, exitedAt: '2026-01-02T03:05:00Z' };

test('a run goes from created over running and paused to exited', () => {
  const run = running(NEVER_RUN, { pid: 7, pidStartTime: 70 }, AT);
  assert.deepEqual(
    [run.status, run.pid, run.startedAt, paused(run).status, resumed(paused(run)).status],
    ['running', 7, AT, 'paused', 'running'],
  );
  const end = ended(paused(run), EXIT, 'exited');
  assert.deepEqual(
    [end.status, end.pid, end.pidStartTime, end.exitCode, end.oomKilled, end.finishedAt],
    ['exited', 0, 0, 137, true, EXIT.exitedAt],
  );
  const again = running(end, { pid: 8, pidStartTime: 80 }, AT);
  assert.deepEqual([again.exitCode, again.oomKilled, again.finishedAt], [0, false, EXIT.exitedAt]);
});

test('a restarting container counts as running, until a person stops it', () => {
  const waiting = ended(running(NEVER_RUN, { pid: 7, pidStartTime: 70 }, AT), EXIT, 'restarting');
  const { Status, Running, Restarting, Pid } = stateDocument(waiting);
  assert.deepEqual([Status, Running, Restarting, Pid], ['restarting', true, true, 0]);
  assert.equal(stateDocument(restartCancelled(waiting)).Running, false);
});

test('startFailed() leaves a new container created, with the code that a shell gives', () => {
  const failed = startFailed(NEVER_RUN, 'no such file', 127);
  assert.deepEqual([failed.status, failed.exitCode, failed.error], ['created', 127, 'no such file']);
});

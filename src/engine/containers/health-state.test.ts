import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HealthState, healthTimings } from './health-state.ts';

const SECOND = 1_000_000_000;

function result(exitCode: number) {
  return { Start: '', End: '', ExitCode: exitCode, Output: '' };
}

test('healthTimings() has Docker’s defaults', () => {
  assert.deepEqual(healthTimings({ Interval: 0, Timeout: 2 * SECOND }), {
    intervalMs: 30_000,
    timeoutMs: 2000,
    startPeriodMs: 0,
    startIntervalMs: 5000,
    retries: 3,
  });
});

test('a container is unhealthy after as many failures as retries, and healthy after one success', () => {
  const health = new HealthState(healthTimings({ Interval: SECOND, Retries: 2 }));
  const seen = [1, 1, 1, 0, 1, 0].map((code) => [health.add(result(code), 1000), health.document.Status]);
  assert.deepEqual(seen, [
    [false, 'starting'],
    [true, 'unhealthy'],
    [false, 'unhealthy'],
    [true, 'healthy'],
    [false, 'healthy'],
    [false, 'healthy'],
  ]);
  assert.equal(health.document.Log!.length, 5);
});

test('failures in the start period do not count; its end, or the first success, changes the pace', () => {
  const timings = healthTimings({
    Interval: 10 * SECOND,
    StartPeriod: 5 * SECOND,
    StartInterval: SECOND,
    Retries: 1,
  });
  const health = new HealthState(timings);
  assert.equal(health.nextDelayMs(0), 1000);
  assert.equal(health.add(result(1), 1000), false);
  assert.deepEqual([health.document.Status, health.document.FailingStreak], ['starting', 0]);
  assert.equal(health.add(result(1), 5000), true);
  assert.equal(health.document.Status, 'unhealthy');

  const quick = new HealthState(timings);
  assert.equal(quick.add(result(0), 1000), true);
  assert.deepEqual([quick.document.Status, quick.nextDelayMs(1000)], ['healthy', 10_000]);
  assert.equal(quick.add(result(1), 2000), true);
});

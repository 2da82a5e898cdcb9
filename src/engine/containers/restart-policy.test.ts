import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRestartPolicy, RestartBackoff, shouldRestart, shouldStartWithEngine } from './restart-policy.ts';

const RUN = { exitCode: 1, restartCount: 0, stoppedByHand: false };

test('RestartBackoff doubles from 100 ms to a minute, and begins anew after a steady run', () => {
  const backoff = new RestartBackoff();
  const delays = Array.from({ length: 12 }, () => backoff.next(50));
  assert.deepEqual(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
  assert.equal(backoff.next(10_000), 100);
  assert.equal(backoff.next(9_999), 200);
});

test('shouldRestart() follows the policy', () => {
  assert.equal(shouldRestart(undefined, RUN), false);
  assert.equal(shouldRestart({ Name: 'no' }, RUN), false);
  assert.equal(shouldRestart({ Name: 'always' }, { ...RUN, exitCode: 0 }), true);
  assert.equal(shouldRestart({ Name: 'always' }, { ...RUN, stoppedByHand: true }), false);
  assert.equal(shouldRestart({ Name: 'on-failure' }, { ...RUN, exitCode: 0 }), false);
  assert.equal(shouldRestart({ Name: 'on-failure', MaximumRetryCount: 2 }, { ...RUN, restartCount: 1 }), true);
  assert.equal(shouldRestart({ Name: 'on-failure', MaximumRetryCount: 2 }, { ...RUN, restartCount: 2 }), false);
});

test('shouldStartWithEngine() remembers what people stopped, for unless-stopped only', () => {
  const stopped = { everStarted: true, stoppedByHand: true, exitCode: 0, restartCount: 0 };
  assert.equal(shouldStartWithEngine({ Name: 'always' }, stopped), true);
  assert.equal(shouldStartWithEngine({ Name: 'unless-stopped' }, stopped), false);
  assert.equal(shouldStartWithEngine({ Name: 'unless-stopped' }, { ...stopped, stoppedByHand: false }), true);
  assert.equal(shouldStartWithEngine({ Name: 'always' }, { ...stopped, everStarted: false }), false);
});

test('checkRestartPolicy() refuses in Docker’s words', () => {
  assert.throws(() => checkRestartPolicy({ Name: 'foo' as never }), {
    code: 'invalid-argument',
    message:
      "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
  });
  assert.throws(
    () => checkRestartPolicy({ Name: 'always', MaximumRetryCount: 2 }),
    /can only be used with 'on-failure'/,
  );
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { nowNanos } from './time.ts';

test('nowNanos() follows the clock when it jumps, there and back', (context) => {
  const milliseconds = (): number => Number(nowNanos() / 1_000_000n);
  const real = Date.now.bind(Date);
  assert.ok(Math.abs(milliseconds() - real()) < 100);
  for (const jump of [3600_000, -3600_000, 10 * 365 * 86_400_000, -10 * 365 * 86_400_000]) {
    const mocked = context.mock.method(Date, 'now', () => real() + jump);
    assert.ok(Math.abs(milliseconds() - real() - jump) < 100, `${jump}`);
    mocked.mock.restore();
    assert.ok(Math.abs(milliseconds() - real()) < 100);
  }
});

test('nowNanos() is finer than a millisecond', () => {
  const parts = new Set(Array.from({ length: 1000 }, () => nowNanos() % 1_000_000n));
  assert.ok(parts.size > 1);
});

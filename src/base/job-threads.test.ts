import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { JobThreads } from './job-threads.ts';

describe('threads for jobs', () => {
  it('give a thread that comes free to who waits, and start another when none does', async () => {
    const threads = new JobThreads();
    const taken = new Set<unknown>();
    const first = await threads.take();
    const rest = Array.from({ length: 30 }, () => threads.take());
    let left = rest.length;
    for (const one of rest) {
      const worker = await one;
      taken.add(worker);
      left--;
      threads.giveBack(worker);
    }
    assert.equal(left, 0);
    assert.ok(!taken.has(first), 'one that was not given back was given out');
    assert.ok(taken.size < rest.length / 2, `${taken.size} threads for ${rest.length} jobs`);
    // None comes free: each still gets one.
    const held = await Promise.all(Array.from({ length: 12 }, () => threads.take()));
    assert.equal(new Set([...held, first]).size, 13);
    await Promise.all([...held, first].map((worker) => worker.terminate()));
  });
});

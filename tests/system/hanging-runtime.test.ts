import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { leftovers, TaskHost } from '../support/task-host.ts';

const host = new TaskHost();
const runner = host.runner({ startTimeoutMs: 1000 });
after(() => host[Symbol.dispose]());

/** Processes of a runtime that has to do with this place. */
function runtimeProcesses(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((command) => command.includes(host.execRoot) && !command.includes('node'));
}

// runc reads the container's user database when it starts a process; nobody ever writes into this one
for (const runtime of ['runc', 'crun']) {
  test(`${runtime}: a user database that is a FIFO holds up neither start nor exec for long`, async () => {
    const id = `fifo-${runtime}`;
    mkdirSync(join(host.rootfs, 'etc'), { recursive: true });
    const passwd = join(host.rootfs, 'etc/passwd');
    rmSync(passwd, { force: true });
    const task = await runner.start(host.request(id, ['sleep', '1000'], { runtime }));
    try {
      execFileSync('mkfifo', [passwd]);
      const request = {
        id: `e-${runtime}`,
        process: { cwd: '/', args: ['true'], env: ['PATH=/bin'], user: { uid: 5, gid: 5 } },
      };
      const started = performance.now();
      const outcome = await task.exec({ ...request, stdin: false, stdout: true, stderr: true }).then(
        async (exec) => (await exec.exited).exitCode,
        (error: Error) => error,
      );
      assert.ok(performance.now() - started < 10_000);
      if (outcome instanceof Error) {
        assert.match(outcome.message, /started no process within 1 s/);
        assert.equal((outcome as Error & { code: string }).code, 'timeout');
      } else assert.equal(outcome, 0, 'this runtime reads no user database');
      for (let tries = 0; runtimeProcesses().some((command) => command.includes(' exec ')) && tries < 100; tries++)
        await sleep(20);
      assert.deepEqual(
        runtimeProcesses().filter((command) => command.includes(' exec ')),
        [],
      );
      assert.deepEqual(readdirSync(join(host.execRoot, 'execs')), []);
      const again = host.request(`${id}-2`, ['true'], { runtime });
      const second = await runner.start(again).then(
        () => undefined,
        (error: Error) => error,
      );
      if (second) assert.match(second.message, /made no container within 1 s/);
      await runner.forget(`${id}-2`);
      assert.deepEqual(leftovers(host, `${id}-2`), []);
    } finally {
      rmSync(passwd, { force: true });
      await runner.forget(id);
    }
    assert.deepEqual(leftovers(host, id), []);
    assert.equal(existsSync(join(host.execRoot, 'tasks', id)), false);
  });
}

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OciSpec } from '../../src/runtime/spec/oci-spec.ts';
import { leftovers, TaskHost } from '../support/task-host.ts';

const host = new TaskHost();
after(() => host[Symbol.dispose]());
const runner = host.runner();

for (const runtime of ['crun', 'runc']) {
  test(`${runtime}: a task runs, its exit code is known, nothing is left`, async () => {
    const id = `exit-${runtime}`;
    const task = await runner.start(host.request(id, ['sh', '-c', 'echo out; echo err >&2; exit 7'], { runtime }));
    assert.ok(task.pid > 0 && task.pidStartTime > 0);
    const exit = await task.exited;
    assert.equal(exit.exitCode, 7);
    assert.equal(exit.oomKilled, false);
    assert.match(exit.exitedAt, /^\d{4}-.*Z$/);
    const log = readFileSync(host.logPath(id), 'utf8');
    assert.match(log, /^\S+ stdout F out$/m);
    assert.match(log, /^\S+ stderr F err$/m);
    await runner.forget(id);
    assert.deepEqual(leftovers(host, id), []);
  });

  test(`${runtime}: commands that cannot run fail in Docker's words and leave nothing`, async () => {
    const cases = [
      ['nosuch', 'no-such-command', 'exec: "nosuch": executable file not found in $PATH'],
      ['/nosuch/x', 'no-such-command', 'exec: "/nosuch/x": stat /nosuch/x: no such file or directory'],
      ['/etc', 'not-executable', 'exec: "/etc": '],
      ['/etc/plain', 'not-executable', 'exec: "/etc/plain": permission denied'],
    ] as const;
    for (const [command, code, words] of cases) {
      const id = `fail-${runtime}`;
      await assert.rejects(
        runner.start(host.request(id, [command], { runtime })),
        (error: Error & { code: string }) => {
          assert.equal(error.code, code, error.message);
          const prefix = `failed to create task for container: failed to create shim task: OCI runtime create failed: ${runtime} create failed: unable to start container process: `;
          assert.ok(error.message.startsWith(prefix + words), error.message);
          return true;
        },
      );
      await runner.forget(id);
      assert.deepEqual(leftovers(host, id), []);
    }
  });

  test(`${runtime}: kill, kill all, forget of a running task`, async () => {
    const id = `kill-${runtime}`;
    const task = await runner.start(host.request(id, ['sh', '-c', 'sleep 1000 & sleep 1000'], { runtime }));
    await task.kill(9);
    assert.equal((await task.exited).exitCode, 137);
    await assert.rejects(task.kill(9), { code: 'not-found' });
    await runner.forget(id);
    await runner.start(host.request(id, ['sleep', '1000'], { runtime }));
    await runner.forget(id);
    assert.deepEqual(leftovers(host, id), []);
  });
}

test('crun: a compiled seccomp filter is kept, and confines as the first did', async () => {
  const seccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64'],
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 }],
  };
  for (const round of ['compiled', 'kept']) {
    const id = `seccomp-${round}`;
    const request = host.request(id, ['sh', '-c', 'grep ^Seccomp: /proc/self/status; mkdir /tmp/x']);
    request.spec.linux.seccomp = seccomp;
    const task = await host.runner().start(request);
    assert.notEqual((await task.exited).exitCode, 0);
    const log = readFileSync(host.logPath(id), 'utf8');
    assert.match(log, /F Seccomp:\t2$/m);
    assert.match(log, /Operation not permitted/);
    const config = JSON.parse(readFileSync(`${host.execRoot}/tasks/${id}/config.json`, 'utf8')) as OciSpec;
    assert.equal(typeof config.annotations?.['run.oci.seccomp_bpf_data'], round === 'kept' ? 'string' : 'undefined');
    await runner.forget(id);
    assert.deepEqual(leftovers(host, id), []);
  }
});

for (const runtime of ['crun', 'runc']) {
  test(`${runtime}: paused, resumed, limited, its processes counted`, async () => {
    // of this process alone: what is frozen in the cgroup of another would stop both
    const id = `verbs-${runtime}-${process.pid}`;
    const task = await runner.start(host.request(id, ['sh', '-c', 'sleep 1000 & wait'], { runtime }));
    while ((await task.processes()).length < 2) await sleep(10);
    const unified = existsSync('/sys/fs/cgroup/cgroup.controllers');
    const cgroup = (controller: string, file: string): string =>
      readFileSync(`/sys/fs/cgroup/${unified ? '' : controller}/gantry/${id}/${file}`, 'utf8').trim();
    const frozen = (): string =>
      unified
        ? `${/^frozen (\d)$/m.exec(cgroup('', 'cgroup.events'))?.[1]} ${cgroup('', 'cgroup.freeze')}`
        : cgroup('freezer', 'freezer.state');
    await task.pause();
    // the kernel stops them one after the other
    while (['FREEZING', '0 1'].includes(frozen())) await sleep(10);
    assert.equal(frozen(), unified ? '1 1' : 'FROZEN');
    await task.resume();
    assert.match(frozen(), unified ? / 0$/ : /^THAWED$/);
    await task.update({ memory: { limit: 64 * 1024 * 1024 }, pids: { limit: 33 } });
    assert.equal(cgroup('memory', unified ? 'memory.max' : 'memory.limit_in_bytes'), String(64 * 1024 * 1024));
    assert.equal(cgroup('pids', 'pids.max'), '33');
    await task.kill(15, { all: true }); // the first process has no handler for it, and ends when its child has
    assert.notEqual((await task.exited).exitCode, 137);
    await runner.forget(id);
    assert.deepEqual(leftovers(host, id), []);
  });

  test(`${runtime}: a process killed for want of memory is told`, async () => {
    const id = `oom-${runtime}`;
    const request = host.request(id, ['sh', '-c', 'x=$(head -c 100000000 /dev/zero | tr "\\0" a)'], { runtime });
    const limit = 16 * 1024 * 1024;
    request.spec.linux.resources = { ...request.spec.linux.resources, memory: { limit, swap: limit } };
    const exit = await (await runner.start(request)).exited;
    assert.equal(exit.exitCode, 137);
    assert.equal(exit.oomKilled, true);
    await runner.forget(id);
    assert.deepEqual(leftovers(host, id), []);
  });

  test(`${runtime}: a process killed for want of memory is told while the container runs`, async () => {
    const id = `oom-one-${runtime}`;
    const hungry =
      'until [ -e /tmp/go ]; do sleep 0.1; done; (x=$(head -c 100000000 /dev/zero | tr "\\0" a)); exec sleep 600';
    const request = host.request(id, ['sh', '-c', hungry], { runtime });
    const limit = 16 * 1024 * 1024;
    request.spec.linux.resources = { ...request.spec.linux.resources, memory: { limit, swap: limit } };
    const task = await runner.start(request);
    const told = new Promise<void>((resolve) => {
      assert.ok(task.watchMemory(resolve));
    });
    writeFileSync(`/proc/${task.pid}/root/tmp/go`, '');
    await told;
    await task.kill(9, { all: true });
    assert.equal((await task.exited).oomKilled, true);
    await runner.forget(id);
    assert.deepEqual(leftovers(host, id), []);
  });
}

test('what cannot be is refused before anything is made', async () => {
  const id = 'refused';
  const log = { path: '/tmp/a:b', maxBytes: 0, maxFiles: 1 };
  await assert.rejects(runner.start({ ...host.request(id, ['true']), log }), { code: 'invalid-argument' });
  await assert.rejects(runner.start({ ...host.request(id, ['true']), runtime: 'nosuch' }), {
    code: 'invalid-argument',
    message: 'unknown or invalid runtime name: nosuch',
  });
  await runner.forget(id);
  await runner.forget('never-was');
  assert.deepEqual(leftovers(host, id), []);
});

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { ProcessSpec } from '../../src/runtime/spec/oci-spec.ts';
import type { ExecProcess, ExecRequest, Task } from '../../src/runtime/task.ts';
import { leftovers, TaskHost } from '../support/task-host.ts';

const host = new TaskHost();
const runner = host.runner();

for (const runtime of ['crun', 'runc']) {
  let task: Task;
  before(async () => {
    task = await runner.start(host.request(`exec-${runtime}`, ['sleep', '1000'], { runtime }));
  });
  after(async () => {
    await runner.forget(task.id);
    assert.deepEqual(leftovers(host, task.id), []);
  });

  test(`${runtime}: streams apart, exit code, environment`, async () => {
    const exec = await task.exec(
      request(['sh', '-c', 'echo "$X"; echo bad >&2; exit 3'], { env: ['PATH=/bin', 'X=y z'] }),
    );
    assert.ok(exec.pid > 0);
    assert.deepEqual(await collect(exec), { 1: 'y z\n', 2: 'bad\n' });
    assert.deepEqual(await exec.exited, { exitCode: 3 });
  });

  test(`${runtime}: stdin reaches it, and its end`, async () => {
    const exec = await task.exec(request(['sh', '-c', 'wc -c; echo done'], {}, { stdin: true }));
    const output = collect(exec);
    await exec.write(Buffer.alloc(300_000, 'x'));
    await exec.closeStdin();
    assert.deepEqual(await output, { 1: '300000\ndone\n', 2: '' });
    await assert.rejects(exec.write(Buffer.from('x')), { code: 'conflict' });
  });

  test(`${runtime}: much output, in order and whole`, async () => {
    const exec = await task.exec(request(['seq', '1', '200000']));
    const { 1: text } = await collect(exec);
    assert.equal(text, `${Array.from({ length: 200_000 }, (_, index) => index + 1).join('\n')}\n`);
  });

  test(`${runtime}: a terminal, typed into and resized`, async () => {
    // A runtime may set the size only after the process began: programs hear of it by SIGWINCH.
    const until = (size: string): string =>
      `until [ "$(stty size 2>&1)" = "${size}" ]; do sleep 0.01; done; echo "${size}"`;
    const script = `${until('30 100')}; read line; ${until('40 120')}; echo "got $line"; exit 5`;
    const exec = await task.exec(
      request(['sh', '-c', script], { terminal: true }, { stdin: true, consoleSize: { rows: 30, columns: 100 } }),
    );
    let text = '';
    for await (const chunk of exec.output) {
      assert.equal(chunk.stream, 1);
      text += Buffer.from(chunk.data).toString();
      if (text === '30 100\r\n') {
        await exec.resize({ rows: 40, columns: 120 });
        await exec.write(Buffer.from('hello\n'));
      }
    }
    assert.equal(text, '30 100\r\nhello\r\n40 120\r\ngot hello\r\n');
    assert.deepEqual(await exec.exited, { exitCode: 5 });
    await assert.rejects(exec.resize({ rows: 1, columns: 1 }), { code: 'conflict' });
  });

  test(`${runtime}: commands that cannot run fail in Docker's words`, async () => {
    const cases = [
      ['nosuch', 'no-such-command', 'exec: "nosuch": executable file not found in $PATH'],
      ['/nosuch', 'no-such-command', 'exec: "/nosuch": stat /nosuch: no such file or directory'],
      ['/etc/plain', 'not-executable', 'exec: "/etc/plain": permission denied'],
    ] as const;
    for (const terminal of [false, true]) {
      for (const [command, code, words] of cases) {
        const message = `OCI runtime exec failed: exec failed: unable to start container process: ${words}`;
        await assert.rejects(task.exec(request([command], { terminal })), { code, message });
      }
    }
    await assert.rejects(task.exec(request(['true'], { cwd: '/nosuch' })), /no such file or directory/);
  });

  test(`${runtime}: killed, and none of its files are left`, async () => {
    const exec = await task.exec(request(['sleep', '1000']));
    await exec.kill(9);
    assert.deepEqual(await exec.exited, { exitCode: 137 });
    await exec.kill(9);
    assert.equal(existsSync(`${host.execRoot}/execs/exec-1.pid`), false);
  });
}

after(() => host[Symbol.dispose]());

let number = 0;
function request(args: string[], process: Partial<ProcessSpec> = {}, change: Partial<ExecRequest> = {}): ExecRequest {
  return {
    id: `exec-${++number}`,
    process: { cwd: '/', args, env: ['PATH=/bin'], user: { uid: 0, gid: 0 }, ...process },
    stdin: false,
    stdout: true,
    stderr: true,
    ...change,
  };
}

async function collect(exec: ExecProcess): Promise<{ 1: string; 2: string }> {
  const parts: Record<1 | 2, Buffer[]> = { 1: [], 2: [] };
  for await (const chunk of exec.output) parts[chunk.stream].push(Buffer.from(chunk.data));
  return { 1: Buffer.concat(parts[1]).toString(), 2: Buffer.concat(parts[2]).toString() };
}

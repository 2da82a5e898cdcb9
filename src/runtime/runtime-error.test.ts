import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lastWords, runtimeError } from './runtime-error.ts';

const CREATE = 'failed to create task for container: failed to create shim task: OCI runtime create failed: ';

test('runc’s log lines become Docker’s sentence', () => {
  const words =
    'time="2026-01-01T00:00:00Z" level=warning msg="something"\n' +
    'time="2026-01-01T00:00:00Z" level=error msg="runc create failed: unable to start container process: exec: \\"nosuch\\": executable file not found in $PATH"\n';
  const error = runtimeError({ doing: 'create', runtime: 'runc', words, command: 'nosuch' });
  assert.equal(error.code, 'no-such-command');
  assert.equal(
    error.message,
    `${CREATE}runc create failed: unable to start container process: exec: "nosuch": executable file not found in $PATH`,
  );
});

test('crun’s words become runc’s', () => {
  const cases: [string, string, string, string][] = [
    [
      'executable file `x` not found in $PATH: No such file or directory',
      'x',
      'no-such-command',
      'exec: "x": executable file not found in $PATH',
    ],
    [
      'executable file `/x` not found in $PATH: No such file or directory',
      '/x',
      'no-such-command',
      'exec: "/x": stat /x: no such file or directory',
    ],
    ['open executable: Permission denied', './x', 'not-executable', 'exec: "./x": permission denied'],
    ['mount `/a` to `b`: No space left on device', 'x', 'no-space', 'mount `/a` to `b`: no space left on device'],
    ['something else', 'x', 'internal', 'something else'],
    ['', 'x', 'internal', 'it ended without a word'],
  ];
  for (const [words, command, code, told] of cases) {
    const error = runtimeError({ doing: 'create', runtime: 'crun', words, command });
    assert.equal(error.code, code);
    assert.equal(error.message, `${CREATE}crun create failed: unable to start container process: ${told}`);
  }
});

test('the last error of a log is found in any form, and damaged lines are no harm', () => {
  assert.equal(lastWords('{"level":"error","msg":"one"}\n{"level":"warning","msg":"two"}\n'), 'one');
  assert.equal(lastWords('{broken\nplain words\n'), 'plain words');
  assert.equal(lastWords('time=x level=error msg="bad \\x escape"'), 'bad \\x escape');
  assert.equal(lastWords(''), '');
});

test('a limit of open files that the runtime runs into itself is told as that, whichever file it was', () => {
  const told = (words: string, openFiles: number | undefined): string =>
    runtimeError({ doing: 'create', runtime: 'crun', words, command: 'sh', openFiles }).message;
  for (const words of [
    'openat2 `proc/keys`: Too many open files',
    'writing file `/sys/fs/cgroup/cpuset/gantry/383a/cpuset.cpus`: Invalid argument',
    'error loading seccomp filter into kernel: error patching filter: pipe2: too many open files',
  ]) {
    assert.match(
      told(words, 10),
      /: the limit of 10 open files \(--ulimit nofile\) is too low for crun to start it: use 64 or more$/,
    );
    assert.doesNotMatch(told(words, 1024), /--ulimit/);
    assert.doesNotMatch(told(words, undefined), /--ulimit/);
  }
  assert.doesNotMatch(told('executable file `sh` not found in $PATH', 10), /--ulimit/);
});

import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ComposeBench, OBEYS, until } from './support.ts';

const bench = new ComposeBench();
before(() => bench.start());
after(() => bench.close());

test('up: output of all with their names, an interrupt stops all in order', async () => {
  const pair = bench.project('pair', {
    'compose.yaml': `services:
  first: {image: busybox, command: ["sh", "-c", "echo one; ${OBEYS}"]}
  second: {image: busybox, command: ["sh", "-c", "echo two; ${OBEYS}"], depends_on: [first]}
  quiet: {image: busybox, attach: false, command: ["sh", "-c", "echo hidden; ${OBEYS}"]}
`,
  });
  const up = pair.spawn('up');
  await up.says(/^first-1 +\| one$/m);
  await up.says(/^second-1 +\| two$/m);
  up.child.kill('SIGINT');
  assert.equal(await up.ended, 130);
  assert.match(up.stdout, /^second-1 +\| bye$[^]*^second-1 exited with code 0$/m);
  assert.doesNotMatch(up.stdout, /hidden/);
  assert.ok(up.stderr.indexOf('pair-second-1  Stopped') < up.stderr.indexOf('pair-first-1  Stopping'), up.stderr);
  assert.equal((await pair.run('ps', '-q')).stdout, '');
  await pair.down();
});

test('--exit-code-from and --abort-on-container-exit: the first end ends all', async () => {
  const tests = bench.project('suite', {
    'compose.yaml': `services:
  db: {image: busybox, command: ["sh", "-c", "${OBEYS}"]}
  tests: {image: busybox, command: ["sh", "-c", "echo checking; exit 3"], depends_on: [db]}
`,
  });
  const from = tests.spawn('up', '--exit-code-from', 'tests', '--no-color', '-t', '5');
  assert.equal(await from.ended, 3, from.stderr);
  assert.match(from.stdout, /^tests-1 +\| checking$/m);
  const abort = tests.spawn('up', '--abort-on-container-exit', '-t', '5');
  assert.equal(await abort.ended, 3, abort.stderr);
  const failure = tests.spawn('up', '--abort-on-container-failure', '--no-log-prefix', '--attach', 'tests', '-t', '5');
  assert.equal(await failure.ended, 3, failure.stderr);
  assert.equal(failure.stdout.split('\n')[0], 'checking');
  assert.equal((await tests.run('ps', '-q')).stdout, '');
  assert.match((await tests.try(['up', '--exit-code-from', 'nowhere'])).stderr, /no such service: nowhere/);
  await tests.down();
});

test('an up that is interrupted or killed at any moment can be run again', async () => {
  const many = bench.project('many', {
    'compose.yaml': `services:
${[1, 2, 3, 4, 5].map((n) => `  s${n}: {image: busybox, command: ["sh", "-c", "${OBEYS}"], volumes: ["v${n}:/v"]${n > 1 ? `, depends_on: [s${n - 1}]` : ''}}`).join('\n')}
volumes: {${[1, 2, 3, 4, 5].map((n) => `v${n}: `).join(', ')}}
`,
  });
  const moments = [
    'Network many_default  Created',
    /many-s2-1 {2}(Created|Starting)/, // made already by a first one that was killed late
    'many-s3-1  Starting',
    'many-s4-1  Started',
  ];
  for (const [i, moment] of moments.entries()) {
    // all anew: what the one before came to by then is not known
    const up = many.spawn('up', '-d', ...(i >= 2 ? ['--force-recreate', '-t', '2'] : []));
    await up.says(moment);
    up.child.kill(i % 2 === 0 ? 'SIGKILL' : 'SIGINT');
    await up.ended;
  }
  await many.run('up', '-d', '-t', '2');
  const names = (await many.run('ps', '-a', '--format', 'json')).stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { Name: string; State: string });
  assert.deepEqual(
    names.map(({ Name, State }) => `${Name} ${State}`),
    [1, 2, 3, 4, 5].map((n) => `many-s${n}-1 running`),
  );
  await many.down();
  assert.doesNotMatch(await bench.docker('volume', 'ls'), /many/);
});

test('watch: sync, ignored, removed, restart, exec, rebuild', async () => {
  const live = bench.project('live', {
    'compose.yaml': `services:
  web:
    build: .
    command: ["sh", "-c", "echo began; ${OBEYS}"]
    develop:
      watch:
        - {path: src, action: sync, target: /app/src, ignore: [skipped/], initial_sync: true}
        - {path: conf, action: sync+restart, target: /app/conf}
        - {path: run, action: sync+exec, target: /app/run, exec: {command: sh -c "cat /app/run/* >/ran"}}
        - {path: deps.txt, action: rebuild}
`,
    Dockerfile: 'FROM busybox\nCOPY deps.txt /deps.txt\n',
    'deps.txt': 'one\n',
    'src/a.txt': 'first\n',
    'src/skipped/b.txt': 'no\n',
    'conf/c.txt': 'c\n',
    'run/r.txt': 'r\n',
  });
  const has = async (path: string): Promise<string> =>
    (await live.try(['exec', '-T', 'web', 'sh', '-c', `cat ${path} 2>/dev/null; true`])).stdout;
  const watch = live.spawn('watch', '--quiet');
  await watch.says('Watch enabled');
  assert.equal(await has('/app/src/a.txt'), 'first\n', 'the first sync');
  assert.equal(await has('/app/src/skipped/b.txt'), '');
  live.write('src/a.txt', 'second\n');
  await until(
    async () => (await has('/app/src/a.txt')) === 'second\n',
    () => 'the edit',
  );
  writeFileSync(join(live.directory, 'src/skipped/b.txt'), 'still no\n');
  rmSync(join(live.directory, 'src/a.txt'));
  await until(
    async () => (await has('/app/src/a.txt')) === '',
    () => 'the removal',
  );
  bench.project('live', { 'src/deep/er/d.txt': 'deep\n' });
  await until(
    async () => (await has('/app/src/deep/er/d.txt')) === 'deep\n',
    () => 'a new directory',
  );
  assert.equal(await has('/app/src/skipped/b.txt'), '');
  live.write('run/r.txt', 'run this\n');
  await until(
    async () => (await has('/ran')) === 'run this\n',
    () => 'the exec',
  );
  live.write('conf/c.txt', 'changed\n');
  await watch.says('service(s) ["web"] restarted');
  assert.equal(await has('/app/conf/c.txt'), 'changed\n');
  const [before_] = await live.ids('web');
  live.write('deps.txt', 'two\n');
  await watch.says('service "web" successfully built');
  assert.notEqual((await live.ids('web'))[0], before_);
  assert.equal(await has('/deps.txt'), 'two\n');
  watch.child.kill('SIGINT');
  assert.equal(await watch.ended, 130);
  await live.run('stop', '-t', '5');
  const up = live.spawn('up', '--watch', '--quiet-build');
  await up.says('Watch enabled');
  live.write('src/a.txt', 'attached\n');
  await until(
    async () => (await has('/app/src/a.txt')) === 'attached\n',
    () => 'the edit beside the output',
  );
  up.child.kill('SIGINT');
  assert.equal(await up.ended, 130);
  assert.match(up.stdout, /web-1 +\| began/);
  await live.down('--rmi', 'local');
});

test('up --menu: keys switch the watch, let go, and stop', async () => {
  const menu = bench.project('menu', {
    'compose.yaml': `services:
  web:
    image: busybox
    command: ["sh", "-c", "while :; do echo line; sleep 0.3; done"]
    stop_grace_period: 0s
    develop: {watch: [{path: src, action: sync, target: /src}]}
`,
    'src/a.txt': 'a\n',
  });
  const first = menu.terminal('up', '--menu');
  await first.says(/web-1 +\| .*line/);
  await first.says('w Enable Watch   d Detach   Ctrl+C Stop');
  first.child.stdin!.write('w');
  await first.says('Watch enabled');
  await first.says('w Disable Watch   d Detach');
  menu.write('src/a.txt', 'changed\n');
  await first.says('Syncing service "web"');
  first.stdout = '';
  first.child.stdin!.write('w');
  await first.says('w Enable Watch');
  first.child.stdin!.write('d');
  assert.equal(await first.ended, 0);
  // Each row of the menu was taken back before something else came.
  const rows = first.stdout.split('\n').filter((row) => row.includes('d Detach'));
  const kept = first.stdout.split('\x1b[1A\r\x1b[J').length - 1;
  assert.ok(kept >= rows.length, first.stdout);
  assert.equal((await menu.run('ps', '--status', 'running', '-q')).stdout.trim().split('\n').length, 1);
  const second = menu.terminal('up', '--menu');
  await second.says('d Detach');
  second.child.stdin!.write('\x03');
  assert.equal(await second.ended, 130);
  assert.equal((await menu.run('ps', '--status', 'running', '-q')).stdout, '');
  assert.equal((await menu.try(['up', '-d', '--menu'])).code, 1);
  await menu.down();
});

test('watch without anything to watch', async () => {
  const none = bench.project('none', { 'compose.yaml': 'services: {a: {image: busybox}}\n' });
  const ended = await none.try(['watch']);
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, /consider setting a 'develop' section/);
  assert.equal(readFileSync(join(none.directory, 'compose.yaml'), 'utf8'), 'services: {a: {image: busybox}}\n');
});

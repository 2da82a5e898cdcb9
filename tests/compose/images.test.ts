/** Images of services: pulled by their policies, built, pushed; what may be done at once; services that others provide. */
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TestRegistry } from '../registry/test-registry.ts';
import { ComposeBench, OBEYS, type TestProject } from './support.ts';

const bench = new ComposeBench();
let registry: TestRegistry;
before(async () => {
  await bench.start();
  registry = await TestRegistry.open();
  for (const name of ['app', 'db']) {
    await bench.docker('tag', 'busybox', `${registry.host}/${name}:1`);
    await bench.docker('push', `${registry.host}/${name}:1`);
  }
});
after(async () => {
  await registry[Symbol.asyncDispose]();
  await bench.close();
});

async function forget(...names: string[]): Promise<void> {
  for (const name of names) await bench.docker('rmi', `${registry.host}/${name}:1`);
}

async function isHere(name: string): Promise<boolean> {
  return (await bench.docker('images', '-q', `${registry.host}/${name}:1`)) !== '';
}

async function tagged(name: string): Promise<string> {
  return bench.docker('image', 'inspect', '-f', '{{.Metadata.LastTagTime}}', `${registry.host}/${name}:1`);
}

/** Exit code and what was said of services and images, sorted. */
async function say(project: TestProject, ...words: string[]): Promise<[number, string[]]> {
  const { code, stderr } = await project.try(words);
  const lines = stderr.split('\n').filter((line) => / {2}(Pulled|Pushed|Skipped)$|^WARN|manifest unknown/.test(line));
  return [code, lines.map((line) => line.trim().replaceAll(registry.host, 'R')).sort()];
}

test('pull: named services, their dependencies, policies, failures', async () => {
  const project = bench.project('pulls', {
    'compose.yaml': `services:
  web: {image: "${registry.host}/app:1", depends_on: [db]}
  twin: {image: "${registry.host}/app:1"}
  db: {image: "${registry.host}/db:1"}
  never: {image: "${registry.host}/app:1", pull_policy: never, profiles: [n]}
  gone: {image: "${registry.host}/gone:1", profiles: [x]}
  built: {image: "${registry.host}/built:1", build: {dockerfile_inline: "FROM busybox"}, profiles: [b]}
  local: {build: {dockerfile_inline: "FROM busybox"}, profiles: [b]}
`,
  });
  await forget('app', 'db');
  assert.deepEqual(await say(project, 'pull', '-q', 'web'), [0, ['Image R/app:1  Pulled']]);
  assert.equal(await isHere('db'), false);
  assert.deepEqual(await say(project, 'pull', '-q', '--policy', 'missing', '--include-deps', 'web'), [
    0,
    ['Image R/db:1  Pulled', 'Service web  Skipped'],
  ]);
  // Two services of one image pull it once.
  assert.deepEqual(await say(project, 'pull', '-q'), [0, ['Image R/app:1  Pulled', 'Image R/db:1  Pulled']]);
  assert.deepEqual(await say(project, 'pull', 'never'), [0, ['Service never  Skipped']]);
  const failed = await say(project, 'pull', '-q', 'gone');
  assert.equal(failed[0], 1);
  assert.match(failed[1].join(), /manifest unknown/);
  const ignored = await say(project, '--profile', 'x', 'pull', '-q', '--ignore-pull-failures');
  assert.equal(ignored[0], 0);
  assert.match(
    ignored[1].join('\n'),
    /Image R\/app:1 {2}Pulled\nImage R\/db:1 {2}Pulled\nWARN.*gone: .*manifest unknown/,
  );
  assert.deepEqual(await say(project, 'pull', '-q', '--ignore-buildable', 'built', 'local'), [
    0,
    ['Service built  Skipped', 'Service local  Skipped'],
  ]);
  const unbuilt = await say(project, 'pull', '-q', 'built');
  assert.equal(unbuilt[0], 1);
  assert.match(unbuilt[1].join(), /must be built from source: gantry compose build built/);
  assert.equal((await project.try(['pull', '--policy', 'sometimes'])).code, 1);
  assert.match((await project.try(['pull', 'nobody'])).stderr, /no such service: nobody/);
});

test('up pulls what is missing, and what its policy finds too old', async () => {
  const file = (policy: string): string =>
    `services: {a: {image: "${registry.host}/app:1", network_mode: none, pull_policy: ${policy}, command: [sh, -c, "${OBEYS}"]}}\n`;
  const project = bench.project('policies', { 'compose.yaml': file('never') });
  await forget('app');
  assert.match((await project.try(['create'])).stderr, /is missing and its pull policy is never/);
  project.write('compose.yaml', file('missing'));
  await project.run('create', '--quiet-pull');
  const first = await tagged('app');
  for (const [policy, pulls] of [
    ['daily', false],
    ['weekly', false],
    ['every_12h', false],
    ['always', true],
    ['every_0s', true],
  ] as const) {
    project.write('compose.yaml', file(policy));
    const { stderr } = await project.run('create', '--quiet-pull');
    assert.equal(/ {2}Pulled$/m.test(stderr), pulls, `${policy}: ${stderr}`);
  }
  assert.notEqual(await tagged('app'), first);
  const always = await project.run('up', '--no-start', '--quiet-pull', '--pull', 'always');
  assert.match(always.stderr, / {2}Pulled$/m);
  await project.down();
});

test('build --push and push: what was built goes to its registry', async () => {
  const project = bench.project('pushes', {
    'compose.yaml': `services:
  one: {image: "${registry.host}/one:1", build: {dockerfile_inline: "FROM busybox\\nLABEL n=1"}, depends_on: [two]}
  two: {image: "${registry.host}/two:1", build: {dockerfile_inline: "FROM busybox\\nLABEL n=2"}}
  local: {build: {dockerfile_inline: "FROM busybox"}}
  other: {image: "${registry.host}/app:1"}
`,
  });
  const there = async (name: string): Promise<boolean> =>
    (await fetch(`http://${registry.host}/v2/${name}/manifests/1`, { method: 'HEAD' })).status === 200;
  const early = await project.try(['push', '-q', 'two']);
  assert.equal(early.code, 1);
  assert.match(early.stderr, /An image does not exist locally with the tag: .*two/);
  assert.equal((await project.try(['push', '-q', '--ignore-push-failures', 'two'])).code, 0);
  await project.run('build', '-q', '--push', 'one');
  assert.deepEqual([await there('one'), await there('two')], [true, false]);
  await project.run('build', '-q', 'two');
  assert.deepEqual(await say(project, 'push', '-q', '--include-deps', 'one'), [
    0,
    ['Image R/one:1  Pushed', 'Image R/two:1  Pushed'],
  ]);
  assert.equal(await there('two'), true);
  assert.deepEqual((await say(project, 'push', '-q', 'local', 'other'))[1], [
    'Image R/app:1  Skipped',
    'Image pushes-local  Skipped',
  ]);
});

test('--parallel and COMPOSE_PARALLEL_LIMIT', async () => {
  const names = ['a', 'b', 'c', 'd'];
  const project = bench.project('few', {
    'compose.yaml': `services:\n${names.map((name) => `  ${name}: {image: busybox, network_mode: none, command: [sh, -c, "${OBEYS}"]}\n`).join('')}`,
  });
  await project.run('--parallel', '1', 'up', '-d');
  assert.deepEqual((await project.run('ps', '--services')).stdout.trim().split('\n').sort(), names);
  await project.run('--parallel', '2', 'restart', '-t', '2');
  for (const [words, env, says] of [
    [['--parallel', '0'], {}, /a parallelism of 0 would do nothing/],
    [[], { COMPOSE_PARALLEL_LIMIT: 'many' }, /COMPOSE_PARALLEL_LIMIT must be an integer \(found: "many"\)/],
    [['--parallel', 'many'], {}, /invalid argument "many"/],
  ] as const) {
    const ended = await project.try([...words, 'ps'], env);
    assert.notEqual(ended.code, 0);
    assert.match(ended.stderr, says);
  }
  assert.equal((await project.try(['down', '-t', '2'], { COMPOSE_PARALLEL_LIMIT: '1' })).code, 0);
});

test('attach: output of a container that runs; signals reach it', async () => {
  const project = bench.project('attaches', {
    'compose.yaml': `services:\n  a: {image: busybox, network_mode: none, scale: 2, command: [sh, -c, "trap 'echo got it; exit 3' USR1; while :; do echo on; sleep 0.1; done"]}\n`,
  });
  assert.match((await project.try(['attach', 'a'])).stderr, /service "a" is not running/);
  await project.run('up', '-d');
  const attached = project.spawn('attach', '--no-stdin', '--index', '2', 'a');
  await attached.says('on\n');
  attached.child.kill('SIGUSR1');
  assert.equal(await attached.ended, 3, attached.stderr);
  assert.match(attached.stdout, /got it\n$/);
  assert.match((await project.try(['attach', '--index', '7', 'a'])).stderr, /no container with index 7/);
  assert.equal((await project.run('ps', '-q')).stdout.trim().split('\n').length, 1);
  await project.down();
});

test('a provider makes its service, and sets variables of those that depend on it', async () => {
  const project = bench.project('provided', {
    'compose.yaml': `services:
  my-db:
    provider: {type: gantrytest, options: {kind: mysql, names: [a, b], unknown: x}}
  app: {image: busybox, network_mode: none, command: [sh, -c, "${OBEYS}"], depends_on: [my-db], environment: {OWN: "1"}}
  other: {image: busybox, network_mode: none, command: [sh, -c, "${OBEYS}"]}
`,
    'bin/docker-gantrytest': `#!/bin/sh
echo "$@" >>"$CALLS"
case "$2" in
  metadata) echo '{"description": "a test", "up": {"parameters": [{"name": "kind", "required": true}, {"name": "names"}]}, "down": {"parameters": []}}' ;;
  *) [ "$3" = down ] || cat "$SAYS" ;;
esac
exit "\${CODE:-0}"
`,
    says: `{"type": "info", "message": "it is being made"}
{"type": "debug", "message": "a detail"}
{"type": "setenv", "message": "URL=db://here?a=b"}
{"type": "rawsetenv", "message": "PLAIN=1"}
`,
  });
  chmodSync(join(project.directory, 'bin/docker-gantrytest'), 0o755);
  const calls = join(project.directory, 'calls');
  const env = {
    PATH: `${join(project.directory, 'bin')}:${process.env['PATH']}`,
    CALLS: calls,
    SAYS: join(project.directory, 'says'),
  };
  const up = await project.try(['up', '-d'], env);
  assert.equal(up.code, 0, up.stderr);
  assert.match(up.stderr, /Service my-db {2}Creating\n Service my-db {2}it is being made\n Service my-db {2}Created\n/);
  assert.doesNotMatch(up.stderr, /a detail/);
  const environment = (await project.run('exec', '-T', 'app', 'env')).stdout;
  assert.match(environment, /^MY_DB_URL=db:\/\/here\?a=b$/m);
  assert.match(environment, /^PLAIN=1$/m);
  assert.match(environment, /^OWN=1$/m);
  assert.doesNotMatch((await project.run('exec', '-T', 'other', 'env')).stdout, /MY_DB/);
  // Nothing changed, nothing is made anew; another value makes its user anew.
  const ids = await project.ids('app');
  assert.equal((await project.try(['up', '-d'], env)).code, 0);
  assert.deepEqual(await project.ids('app'), ids);
  const one = await project.try(['run', '--rm', '-T', 'app', 'env'], env);
  assert.match(one.stdout, /^MY_DB_URL=/m, one.stderr);
  project.write('says', '{"type": "setenv", "message": "URL=db://there"}\n');
  assert.equal((await project.try(['up', '-d', '-t', '2'], env)).code, 0);
  assert.notDeepEqual(await project.ids('app'), ids);
  assert.equal((await project.try(['down', '-t', '2'], env)).code, 0);
  assert.deepEqual(
    [...new Set(readFileSync(calls, 'utf8').trim().split('\n'))],
    [
      'compose metadata',
      'compose --project-name=provided up --kind=mysql --names=a --names=b my-db',
      'compose --project-name=provided down my-db',
    ],
  );

  for (const [says, code, words] of [
    ['{"type": "error", "message": "no luck"}\n', '1', /service my-db: provider gantrytest: no luck/],
    ['', '3', /provider gantrytest: it ended with code 3/],
    ['hello\n', '0', /it printed what is no message: hello/],
    ['{"type": "dance", "message": ""}\n', '0', /a message of an unknown type: "dance"/],
    ['{"type": "setenv", "message": "nothing"}\n', '0', /it sets no variable with "nothing"/],
  ] as const) {
    project.write('says', says);
    const failed = await project.try(['up', '-d'], { ...env, CODE: code });
    assert.equal(failed.code, 1, failed.stderr);
    assert.match(failed.stderr, words);
    assert.equal(await bench.docker('ps', '-aq'), '', 'nothing is created');
  }
  rmSync(join(project.directory, 'bin'), { recursive: true });
  const gone = await project.try(['up', '-d'], env);
  assert.match(gone.stderr, /there is no program docker-gantrytest or gantrytest in the PATH/);
});

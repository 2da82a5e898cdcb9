/** What is wrong is said at once, with its place, and nothing is created. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ComposeBench, OBEYS } from './support.ts';

const bench = new ComposeBench();
before(() => bench.start());
after(() => bench.close());

const RUNS = `image: busybox, command: ["sh", "-c", "${OBEYS}"]`;
const CASES: readonly (readonly [name: string, compose: string, says: RegExp])[] = [
  [
    'an unknown key',
    `services: {a: {${RUNS}, porst: []}}`,
    /compose\.yaml:1:\d+: services\.a additional properties 'porst' not allowed: did you mean 'ports'\?$/m,
  ],
  [
    'an unknown key of the whole',
    `servics: {a: {${RUNS}}}`,
    /compose\.yaml:1:1: compose file additional properties 'servics' not allowed: did you mean 'services'\?$/m,
  ],
  [
    'an unknown key in one of several forms, and nothing like it',
    `services: {a: {${RUNS}, build: {contxt: .}}, b: {${RUNS}, zzz: 1}}`,
    /compose\.yaml:1:\d+: services\.a\.build additional properties 'contxt' not allowed: did you mean 'context'\?$/m,
  ],
  [
    'a key like no other',
    `services: {a: {${RUNS}, zzzzz: 1}}`,
    /services\.a additional properties 'zzzzz' not allowed$/m,
  ],
  [
    'a cycle',
    `services: {a: {${RUNS}, depends_on: [b]}, b: {${RUNS}, depends_on: [a]}}`,
    /compose\.yaml:1:\d+: dependency cycle detected: a -> b -> a/,
  ],
  [
    'a missing variable',
    `services: {a: {${RUNS}, hostname: "\${NOT_SET:?give it}"}}`,
    /compose\.yaml:1:\d+: required variable NOT_SET is missing a value: give it/,
  ],
  [
    'a port clash',
    `services: {a: {${RUNS}, ports: ["18080:80"]}, b: {${RUNS}, ports: ["18080:80"]}}`,
    /compose\.yaml:1:\d+: services\.b: port 18080\/tcp of the host is published by services\.a already/,
  ],
  [
    'an external network that is not there',
    `services: {a: {${RUNS}, networks: [n]}}\nnetworks: {n: {external: true, name: out-there}}`,
    /network out-there declared as external, but could not be found/,
  ],
  [
    'an external volume that is not there',
    `services: {a: {${RUNS}, volumes: ["vol:/v"]}}\nvolumes: {vol: {external: true}}`,
    /external volume "vol" not found/,
  ],
  [
    'a secret whose file is not there',
    `services: {a: {${RUNS}, secrets: [s]}}\nsecrets: {s: {file: ./nowhere}}`,
    /the file of secret "s" cannot be read/,
  ],
  [
    'a secret whose variable is not set',
    `services: {a: {${RUNS}, secrets: [s]}}\nsecrets: {s: {environment: NOT_SET}}`,
    /environment variable "NOT_SET" required by secret "s" is not set/,
  ],
  [
    'a field that cannot be honoured',
    `services: {a: {${RUNS}, credential_spec: {file: c.json}}}`,
    /services\.a\.credential_spec is not supported: it is for containers of Windows; remove it/,
  ],
  [
    'an isolation of another system',
    `services: {a: {${RUNS}, isolation: hyperv}}`,
    /services\.a\.isolation is not supported: on Linux there is only 'default', not "hyperv"/,
  ],
  ['models', `services: {a: {${RUNS}, models: [m]}}\nmodels: {m: {model: x}}`, /services\.a\.models is not supported/],
  [
    'a missing include',
    `include: [nowhere.yaml]\nservices: {a: {${RUNS}}}`,
    /nowhere\.yaml: no such file or directory/,
  ],
  [
    'an include of what is no Compose file',
    `include: ["../../../../../../etc/passwd"]\nservices: {a: {${RUNS}}}`,
    /\/etc\/passwd:1:1: top-level object must be a mapping|\/etc\/passwd:\d+:\d+: yaml/,
  ],
  [
    'a restart policy that is none',
    `services: {a: {${RUNS}, restart: maybe}}`,
    /compose\.yaml:1:\d+: services\.a\.restart: invalid restart policy "maybe"/,
  ],
  ['an image that is none', `services: {a: {image: "Not An Image"}}`, /invalid reference format/],
  [
    'an update order that is none',
    `services: {a: {${RUNS}, deploy: {update_config: {order: sideways}}}}`,
    /update_config\.order value must be one of/,
  ],
  [
    'what is to happen when unhealthy',
    `services: {a: {${RUNS}, x-on-unhealthy: explode}}`,
    /x-on-unhealthy must be none or restart/,
  ],
];

for (const [i, [name, compose, says]] of CASES.entries())
  test(name, async () => {
    const project = bench.project(`bad${i}`, { 'compose.yaml': `${compose}\n` });
    const ended = await project.try(['up', '-d']);
    assert.equal(ended.code, 1, ended.stderr);
    assert.match(ended.stderr, says);
    assert.equal(ended.stderr.trim().split('\n').length, 1, `one sentence: ${ended.stderr}`);
    assert.equal(await bench.docker('ps', '-aq'), '');
    assert.doesNotMatch(await bench.docker('network', 'ls'), /bad/);
    assert.doesNotMatch(await bench.docker('volume', 'ls'), /bad/);
  });

test('files beyond all measure end soon, in little memory', async () => {
  const bomb = ['x-0: &x0 [a, a, a, a, a, a, a, a, a]'];
  for (let i = 1; i < 12; i++)
    bomb.push(`x-${i}: &x${i} [${Array.from({ length: 9 }, () => `*x${i - 1}`).join(', ')}]`);
  const deep = `x-deep: ${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  const long = `services: {a: {${RUNS}, environment: {A: "${'${V:-'.repeat(5000)}${'}'.repeat(5000)}"}}}`;
  for (const [i, text] of [bomb.join('\n'), deep, long].entries()) {
    const project = bench.project(`bomb${i}`, { 'compose.yaml': `${text}\nx-services: {}\n` });
    const before_ = process.memoryUsage().rss;
    const ended = await project.try(['config', '-q']);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /compose\.yaml:\d+:\d+: /);
    assert.ok(process.memoryUsage().rss - before_ < 512 * 2 ** 20);
  }
  const large = bench.project('large', { 'compose.yaml': `services: {a: {${RUNS}}}\n#${'x'.repeat(17 * 2 ** 20)}\n` });
  assert.match((await large.try(['config', '-q'])).stderr, /larger than 16 MiB/);
});

test('secrets and configs with their owner and mode', async () => {
  const kept = bench.project('kept', {
    'compose.yaml': `services:
  a:
    ${RUNS.replace(', command', '\n    command')}
    secrets: [s, {source: v, target: /etc/v, uid: "5", gid: "6", mode: 0400}]
    configs: [{source: c, target: /etc/c.conf, mode: 0640}, d]
secrets: {s: {file: ./s.txt}, v: {environment: FROM_ENV}}
configs: {c: {content: "a=\${NOT_SET:-1}\\n"}, d: {file: ./d.txt}}
`,
    's.txt': 'secret\n',
    'd.txt': 'plain\n',
  });
  const up = await kept.try(['up', '-d'], { FROM_ENV: 'value' });
  assert.equal(up.code, 0, up.stderr);
  const { stdout } = await kept.try(
    ['exec', '-T', 'a', 'sh', '-c', 'cat /run/secrets/s /etc/v /etc/c.conf /d; stat -c "%u:%g %a" /etc/v /etc/c.conf'],
    { FROM_ENV: 'value' },
  );
  assert.equal(stdout, 'secret\nvaluea=1\nplain\n5:6 400\n0:0 640\n');
  const down = await kept.try(['down', '-v', '-t', '2'], { FROM_ENV: 'value' });
  assert.equal(down.code, 0, down.stderr);
});

test('pre_start: in order, once or for each, before the container; a failure keeps it from starting', async () => {
  const steps = bench.project('steps', {
    'compose.yaml': `services:
  a:
    ${RUNS.replace(', command', '\n    command')}
    scale: 2
    volumes: ["data:/data"]
    environment: {WHO: service}
    pre_start:
      - {command: ["sh", "-c", "echo once $$WHO >>/data/log"]}
      - {command: ["sh", "-c", "echo each $$WHO >>/data/log"], per_replica: true, environment: {WHO: step}, user: "0"}
volumes: {data: {}}
`,
  });
  await steps.run('up', '-d');
  await steps.run('up', '-d');
  const { stdout } = await steps.run('exec', '-T', 'a', 'cat', '/data/log');
  assert.equal(stdout, 'once service\neach step\neach step\n');
  assert.equal((await steps.run('ps', '-aq')).stdout.trim().split('\n').length, 2, 'their containers are gone');
  await steps.run('down', '-t', '2', '-v');
  steps.write('compose.yaml', `services: {a: {${RUNS}, pre_start: [{command: [sh, -c, exit 4]}]}}\n`);
  const failed = await steps.try(['up', '-d']);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /pre_start step steps-a-1-pre_start-1 exited with status code 4/);
  assert.equal((await steps.run('ps', '-q')).stdout, '');
  assert.match((await steps.run('ps', '-a')).stdout, /steps-a-1-pre_start-1/);
  await steps.run('down', '-t', '2');
});

test('include and -f of a git repository: by reference and path, and no way out of it', async () => {
  const far = bench.project('far', {
    'sub/compose.yaml': `services: {far: {${RUNS}, environment: {FROM: repository}}}\n`,
    'more.yaml': `services: {more: {${RUNS}}}\n`,
  });
  symlinkSync('/etc/hostname', join(far.directory, 'way-out.yaml'));
  const git = (...words: string[]): string => {
    const ended = spawnSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', '-C', far.directory, ...words], {
      encoding: 'utf8',
    });
    assert.equal(ended.status, 0, ended.stderr);
    return ended.stdout.trim();
  };
  git('init', '-q', '-b', 'main');
  git('add', '.');
  git('commit', '-q', '-m', 'files');
  git('tag', '-a', 'v1', '-m', 'one');
  const bare = join(bench.directory, 'far.git');
  git('clone', '-q', '--bare', '.', bare);
  const near = bench.project('near', {
    'compose.yaml': `include: ["${bare}#main:sub", "${bare}#v1:more.yaml"]\nservices: {a: {${RUNS}}}\n`,
  });
  assert.equal((await near.run('config', '--services')).stdout, 'a\nfar\nmore\n');
  assert.match((await near.run('config', '--format', 'json')).stdout, /"FROM": "repository"/);
  assert.equal(
    (await near.run('-f', `${bare}#${git('rev-parse', 'HEAD')}:more.yaml`, 'config', '--services')).stdout,
    'more\n',
  );
  for (const [end, says] of [
    ['#main:../../../../etc', /compose\.yaml:1:\d+: .*is outside of the repository/],
    ['#main:way-out.yaml', /compose\.yaml:1:\d+: .*leads out of the repository/],
    ['#main:nowhere', /compose\.yaml:1:\d+: .*the repository has no nowhere/],
    ['#nowhere', /compose\.yaml:1:\d+: .*the repository has no nowhere/],
  ] as const) {
    near.write('compose.yaml', `include: ["${bare}${end}"]\nservices: {a: {${RUNS}}}\n`);
    const ended = await near.try(['config']);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, says);
  }
});

test('a directory where a file should be', async () => {
  const project = bench.project('folder', { 'other.txt': '' });
  mkdirSync(join(project.directory, 'compose.yaml'));
  writeFileSync(join(project.directory, 'x'), '');
  assert.match((await project.try(['config'])).stderr, /is a directory/);
});

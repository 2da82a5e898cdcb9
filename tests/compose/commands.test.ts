import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ComposeBench, OBEYS, type TestProject, until } from './support.ts';

const bench = new ComposeBench();
before(() => bench.start());
after(() => bench.close());

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

let shop: TestProject;

test('up -d: dependencies first, each as it is wanted, and --wait until all are ready', async () => {
  shop = bench.project('shop', {
    'compose.yaml': `services:
  db:
    image: busybox
    command: ["sh", "-c", "touch /data/ready; ${OBEYS}"]
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, test, -e, /data/ready], interval: 300ms, retries: 100}
  job:
    image: busybox
    command: ["sh", "-c", "test -e /data/ready && echo job done"]
    volumes: ["data:/data"]
    depends_on: {db: {condition: service_healthy}}
  web:
    build: {context: app, args: {WHO: world}}
    command: ["sh", "-c", "echo out; echo err >&2; ${OBEYS}"]
    ports: ["127.0.0.1::80"]
    environment: {A: "1"}
    depends_on: {db: {condition: service_healthy}, job: {condition: service_completed_successfully}}
    post_start: [{command: sh -c "echo started >/hook"}]
volumes: {data: }
`,
    'app/Dockerfile': `FROM busybox
ARG WHO
RUN mkdir /www && echo "hello $WHO" >/www/index.html
CMD ["sh"]
`,
  });
  const { stderr } = await shop.run('up', '-d', '--wait', '--wait-timeout', '60', 'web');
  const order = ['shop-db-1  Healthy', 'shop-job-1  Exited', 'shop-web-1  Started'].map((text) => stderr.indexOf(text));
  assert.ok(order[0]! >= 0 && order[0]! < order[1]! && order[1]! < order[2]!, stderr);
  // others that run are not waited for
  assert.doesNotMatch((await shop.run('up', '-d', '--wait', 'db')).stderr, /web/);
  assert.equal(
    (await shop.run('exec', '-T', 'web', 'cat', '/www/index.html', '/hook')).stdout,
    'hello world\nstarted\n',
  );
});

test('up again changes nothing; a change recreates its service alone, and keeps the volumes', async () => {
  const before_ = { db: await shop.ids('db'), web: await shop.ids('web') };
  const plan = (await shop.run('up', '--plan')).stdout;
  assert.ok(
    lines(plan).every((line) => line.startsWith('keep')),
    plan,
  );
  await shop.run('up', '-d');
  assert.deepEqual({ db: await shop.ids('db'), web: await shop.ids('web') }, before_);
  await shop.run('exec', '-T', 'db', 'sh', '-c', 'echo kept >/data/note');
  shop.write('compose.yaml', readFileSync(join(shop.directory, 'compose.yaml'), 'utf8').replace('A: "1"', 'A: "2"'));
  assert.match((await shop.run('up', '--plan')).stdout, /recreate {2}shop-web-1 {2}\(its configuration has changed/);
  await shop.run('up', '-d', '-t', '2');
  assert.deepEqual(await shop.ids('db'), before_.db);
  assert.notDeepEqual(await shop.ids('web'), before_.web);
  assert.equal((await shop.run('exec', '-T', 'web', 'sh', '-c', 'echo $A')).stdout, '2\n');
  await shop.run('up', '-d', '--force-recreate', '--no-deps', '-t', '2', 'db');
  assert.notDeepEqual(await shop.ids('db'), before_.db);
  assert.equal((await shop.run('exec', '-T', 'db', 'cat', '/data/note')).stdout, 'kept\n');
  const kept = await shop.ids('web');
  shop.write('compose.yaml', readFileSync(join(shop.directory, 'compose.yaml'), 'utf8').replace('A: "2"', 'A: "3"'));
  await shop.run('up', '-d', '--no-recreate');
  assert.deepEqual(await shop.ids('web'), kept);
});

test('--dry-run says what would be done and does nothing', async () => {
  const ids = await shop.ids('web');
  const up = await shop.run('--dry-run', 'up', '-d', '--build', '--force-recreate');
  assert.match(up.stderr, /DRY-RUN MODE - {2}Container shop-web-1 {2}Recreated/);
  for (const command of [
    ['down', '-v'],
    ['stop'],
    ['restart'],
    ['kill'],
    ['rm', '-fs'],
    ['pull'],
    ['build'],
    ['scale', 'db=3'],
    ['pause'],
  ]) {
    const ended = await shop.try(['--dry-run', ...command]);
    assert.equal(ended.code, 0, `${command.join(' ')}: ${ended.stderr}`);
    assert.match(ended.stderr, /DRY-RUN MODE/, command.join(' '));
  }
  assert.deepEqual(await shop.ids('web'), ids);
  assert.equal(lines((await shop.run('ps', '-q')).stdout).length, 2);
  assert.match((await shop.try(['--dry-run', 'exec', 'web', 'true'])).stderr, /no --dry-run; nothing was done/);
});

test('ps, images, port, top, ls, stats, volumes, version', async () => {
  assert.match(
    (await shop.run('ps')).stdout,
    /^NAME +IMAGE +COMMAND +SERVICE +CREATED +STATUS +PORTS\nshop-db-1 .*\nshop-web-1 /,
  );
  assert.equal(lines((await shop.run('ps', '-a')).stdout).length, 4);
  assert.equal((await shop.run('ps', '--services')).stdout, 'db\nweb\n');
  assert.equal(
    (await shop.run('ps', '--format', '{{.Service}} {{.State}} {{.Label "com.docker.compose.project"}}')).stdout,
    'db running shop\nweb running shop\n',
  );
  assert.match((await shop.run('ps', '--format', 'table {{.ID}}\t{{.Service}}')).stdout, /^CONTAINER ID {3}SERVICE\n/);
  assert.match((await shop.try(['ls', '--format', '{{.Name}}'])).stderr, /could not be parsed: use table or json/);
  assert.equal((await shop.run('ps', '--status', 'exited', '--services')).stdout, 'job\n');
  assert.equal((await shop.run('ps', '--filter', 'status=running', '--services')).stdout, 'db\nweb\n');
  const rows = lines((await shop.run('ps', '-a', '--format', 'json')).stdout).map(
    (line) => JSON.parse(line) as Record<string, unknown>,
  );
  assert.deepEqual(
    rows.map((row) => [row['Name'], row['State'], row['ExitCode']]),
    [
      ['shop-db-1', 'running', 0],
      ['shop-job-1', 'exited', 0],
      ['shop-web-1', 'running', 0],
    ],
  );
  assert.match((await shop.run('images')).stdout, /shop-web-1 +shop-web +latest/);
  assert.match((await shop.run('port', 'web', '80')).stdout, /^127\.0\.0\.1:\d+\n$/);
  assert.match((await shop.try(['port', 'web', '81'])).stderr, /no port 81\/tcp for container shop-web-1/);
  assert.match((await shop.run('top', 'web')).stdout, /^SERVICE +# +UID/);
  assert.match((await shop.run('ls')).stdout, /shop +running\(2\)|shop +exited\(1\), running\(2\)/);
  const listed = JSON.parse((await shop.run('ls', '-a', '--format', 'json')).stdout) as {
    Name: string;
    ConfigFiles: string;
  }[];
  assert.equal(listed.find(({ Name }) => Name === 'shop')?.ConfigFiles, join(shop.directory, 'compose.yaml'));
  assert.equal((await shop.run('ls', '-q', '--filter', 'name=nowhere')).stdout, '');
  assert.equal((await shop.run('ls', '-q', '--filter', 'name=sho')).stdout, 'shop\n');
  assert.match((await shop.run('stats', '--no-stream')).stdout, /shop-db-1[^]*shop-web-1/);
  assert.equal((await shop.run('volumes', '-q')).stdout, 'shop_data\n');
  assert.equal((await shop.run('volumes', '-q', 'web')).stdout, '');
  assert.match((await shop.run('volumes')).stdout, /^DRIVER +VOLUME NAME\nlocal +shop_data\n$/);
  assert.match((await shop.run('version', '--short')).stdout, /^\d+\.\d+/);
});

test('logs: prefixes, tails, services; stderr on stderr', async () => {
  const all = await shop.run('logs', '--no-color');
  assert.match(all.stdout, /^job-1 +\| job done$/m);
  assert.match(all.stdout, /^web-1 +\| out$/m);
  assert.match(all.stderr, /^web-1 +\| err$/m);
  assert.match((await shop.run('logs', '--no-log-prefix', 'job')).stdout, /^(job done\n)+$/);
  assert.equal((await shop.run('logs', '-n', '0', 'job')).stdout, '');
  assert.match((await shop.run('logs', '-t', 'job')).stdout, /^job-1 +\| \d{4}-\d\d-\d\dT[^ ]+ job done$/m);
  assert.match((await shop.try(['logs', 'nowhere'])).stderr, /no such service: nowhere/);
});

test('exec: exit code, environment, user, directory; what is not running', async () => {
  assert.equal((await shop.try(['exec', '-T', 'web', 'sh', '-c', 'exit 7'])).code, 7);
  const { stdout } = await shop.run(
    'exec',
    '-T',
    '-e',
    'B=b',
    '-u',
    '1:2',
    '-w',
    '/www',
    'web',
    'sh',
    '-c',
    'echo $B $(id -u) $(pwd)',
  );
  assert.equal(stdout, 'b 1 /www\n');
  assert.equal((await shop.run('exec', '-d', 'web', 'touch', '/detached')).stdout, '');
  await until(
    async () => (await shop.try(['exec', '-T', 'web', 'test', '-e', '/detached'])).code === 0,
    () => '/detached',
  );
  const bad = await shop.try(['exec', 'job', 'true']);
  assert.deepEqual([bad.code, bad.stderr], [1, 'service "job" is not running in project "shop"\n']);
  assert.match((await shop.try(['exec', '--index', '5', 'web', 'true'])).stderr, /index 5/);
});

test('cp into a service and out of it', async () => {
  shop.write('note.txt', 'a note\n');
  await shop.run('cp', join(shop.directory, 'note.txt'), 'web:/www/note.txt');
  mkdirSync(join(shop.directory, 'out'));
  await shop.run('cp', 'web:/www/note.txt', join(shop.directory, 'out/'));
  assert.equal(readFileSync(join(shop.directory, 'out/note.txt'), 'utf8'), 'a note\n');
  assert.match((await shop.try(['cp', 'web:/a', 'db:/b'])).stderr, /between services/);
});

test('run: exit codes, overrides, names, one-offs that are told apart', async () => {
  const one = await shop.try([
    'run',
    '--rm',
    '-T',
    '--no-deps',
    '-e',
    'A=9',
    '-w',
    '/www',
    '-l',
    'x=y',
    'web',
    'sh',
    '-c',
    'echo $A $(pwd); exit 3',
  ]);
  assert.deepEqual([one.code, one.stdout], [3, '9 /www\n']);
  assert.equal((await shop.run('run', '--rm', '-T', '--entrypoint', 'echo', 'web', 'hi')).stdout, 'hi\n');
  shop.write('more.env', 'M=many\n');
  const env = await shop.run(
    'run',
    '--rm',
    '-T',
    '--env-from-file',
    join(shop.directory, 'more.env'),
    '--user',
    '5',
    'web',
    'sh',
    '-c',
    'echo $M $(id -u)',
  );
  assert.equal(env.stdout, 'many 5\n');
  await shop.run('run', '-d', '--name', 'shop-extra', '-v', 'data:/d', 'web', 'sh', '-c', OBEYS);
  assert.equal((await shop.run('ps', '--services')).stdout, 'db\nweb\n');
  assert.match((await shop.run('ps', '-a')).stdout, /shop-extra/);
  assert.equal(
    await bench.docker('inspect', '-f', '{{index .Config.Labels "com.docker.compose.oneoff"}}', 'shop-extra'),
    'True',
  );
  await bench.docker('rm', '-f', 'shop-extra');
});

test('stop, start, restart, kill, pause, unpause, rm', async () => {
  await shop.run('pause', 'db');
  assert.equal((await shop.run('ps', '--status', 'paused', '--services')).stdout, 'db\n');
  await shop.run('unpause', 'db');
  const stop = await shop.run('stop', '-t', '5');
  assert.ok(stop.stderr.indexOf('shop-web-1  Stopped') < stop.stderr.indexOf('shop-db-1  Stopping'), stop.stderr);
  assert.equal((await shop.run('ps', '-q')).stdout, '');
  await shop.run('start', '--wait');
  assert.equal((await shop.run('ps', '--services')).stdout, 'db\nweb\n');
  await shop.run('restart', '-t', '2', '--no-deps', 'db');
  await shop.run('kill', '-s', 'SIGKILL', 'web');
  await until(
    async () => (await shop.run('ps', '--status', 'exited', '--services')).stdout === 'job\nweb\n',
    () => 'two ended services',
  );
  assert.match((await shop.run('rm', '-f', 'web')).stderr, /shop-web-1 {2}Removed/);
  assert.deepEqual(await shop.ids('web'), []);
  assert.match((await shop.run('rm', '-f', 'db')).stderr, /No stopped containers/);
});

test('events as text and as JSON', async () => {
  const since = String(Math.floor(Date.now() / 1000) - 600);
  const end = String(Math.floor(Date.now() / 1000) + 1);
  const text = (await shop.run('events', '--since', since, '--until', end, 'web')).stdout;
  assert.match(
    text,
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} container create [0-9a-f]{64} \(image=shop-web, name=shop-web-1/m,
  );
  const json = lines((await shop.run('events', '--json', '--since', since, '--until', end)).stdout).map(
    (line) => JSON.parse(line) as Record<string, unknown>,
  );
  assert.ok(json.some((event) => event['service'] === 'db' && event['action'] === 'start'));
});

test('scale, index, commit, export', async () => {
  await shop.run('scale', '--no-deps', 'db=3');
  assert.equal((await shop.ids('db')).length, 3);
  assert.equal((await shop.run('exec', '-T', '--index', '3', 'db', 'hostname')).code, 0);
  await shop.run('up', '-d', '--no-deps', '--scale', 'db=2', '-t', '2', 'db');
  assert.equal((await shop.ids('db')).length, 2);
  await shop.run('commit', '-m', 'as it is', 'db', 'shop-committed:1');
  assert.notEqual(await bench.docker('image', 'inspect', '-f', '{{.Id}}', 'shop-committed:1'), '');
  await shop.run('export', '-o', join(shop.directory, 'db.tar'), 'db');
  assert.ok(existsSync(join(shop.directory, 'db.tar')));
  assert.match((await shop.try(['scale', 'db=many'])).stderr, /should be SERVICE=NUM/);
  assert.match((await shop.try(['scale', 'nowhere=1'])).stderr, /no such service: nowhere/);
});

test('create and build, with flags that rule each other out', async () => {
  await shop.run('build', '--no-cache', '-q', '--build-arg', 'WHO=you', 'web');
  await shop.run('create', '--no-build', 'web');
  assert.equal(
    (await shop.run('ps', '-a', '--status', 'created', '--services')).stdout,
    'job\nweb\n'.replace('job\n', ''),
  );
  await shop.run('start', 'web');
  assert.equal((await shop.run('exec', '-T', 'web', 'cat', '/www/index.html')).stdout, 'hello you\n');
  assert.match((await shop.run('build', '--check', 'web')).stdout, /Check complete/);
  for (const words of [
    ['up', '-d', '--abort-on-container-exit'],
    ['up', '--force-recreate', '--no-recreate'],
    ['up', '--build', '--no-build'],
    ['up', '-d', '--watch'],
    ['build', '--ssh', 'default'],
    ['ls', '--filter', 'nonsense=1'],
  ])
    assert.equal((await shop.try(words)).code, 1, words.join(' '));
  assert.match((await shop.try(['upp'])).stderr, /Did you mean this\?[^]*compose up/);
});

test('wait gives the exit code; down --rmi, -v and --remove-orphans leave nothing', async () => {
  const waiting = shop.spawn('wait', 'web');
  await until(
    async () => (await shop.run('ps', '-q', 'web')).stdout !== '',
    () => 'web running',
  );
  await shop.run('stop', '-t', '5', 'web');
  assert.equal(await waiting.ended, 0);
  assert.match(waiting.stdout, /exited with status code 0/);
  shop.write(
    'compose.yaml',
    readFileSync(join(shop.directory, 'compose.yaml'), 'utf8')
      .replace('  job:', '  other:')
      .replace('job: {condition', 'other: {condition'),
  );
  const up = await shop.run('up', '-d', '-t', '2');
  assert.match(up.stderr, /Found orphan containers \(\[shop-job-1\]\)/);
  const down = await shop.run('down', '--rmi', 'local', '-t', '5');
  assert.match(down.stderr, /Image shop-web {2}Removed/);
  assert.equal((await shop.run('volumes', '-q')).stdout, 'shop_data\n');
  assert.match(down.stderr, /Network shop_default {2}Resource is still in use|Network shop_default {2}Removed/);
  await shop.run('down', '-v', '--remove-orphans');
  assert.equal((await shop.run('volumes', '-q')).stdout, '');
  assert.equal(await bench.docker('ps', '-aq'), '');
  assert.doesNotMatch(await bench.docker('network', 'ls'), /shop/);
});

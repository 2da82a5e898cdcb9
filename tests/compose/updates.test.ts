import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ComposeBench, OBEYS, type TestProject, until } from './support.ts';

const bench = new ComposeBench();
before(() => bench.start());
after(() => bench.close());

function edit(project: TestProject, from: string | RegExp, to: string): void {
  project.write('compose.yaml', readFileSync(join(project.directory, 'compose.yaml'), 'utf8').replace(from, to));
}

async function states(project: TestProject): Promise<string[]> {
  const { stdout } = await project.run('ps', '-a', '--format', 'json');
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { Name: string; State: string })
    .map(({ Name, State }) => `${Name} ${State}`);
}

const WEB = (version: string, order: string, action: string): string => `services:
  web:
    image: busybox
    command: ["sh", "-c", "mkdir /www; echo ${version} >/www/index.html; httpd -p 80 -h /www; ${OBEYS}"]
    healthcheck: {test: [CMD, wget, -q, -O, "-", "http://127.0.0.1/"], interval: 200ms, retries: 8}
    stop_grace_period: 2s
    deploy: {replicas: 2, update_config: {order: ${order}, failure_action: ${action}, parallelism: 1}}
`;

test('start-first: a new container is well before its old one goes', async () => {
  const site = bench.project('site', { 'compose.yaml': WEB('one', 'start-first', 'rollback') });
  await site.run('up', '-d', '--wait');
  const old = await site.ids('web');
  edit(site, 'echo one', 'echo two');
  const { stderr } = await site.run('up', '-d');
  const seen = [
    'site-web-1  Updating',
    'Healthy',
    'site-web-1  Updated',
    'site-web-2  Updating',
    'site-web-2  Updated',
  ];
  for (let at = 0, i = 0; i < seen.length; i++) {
    const next = stderr.indexOf(seen[i]!, at);
    assert.ok(next >= 0, `${seen[i]} in ${stderr}`);
    at = next;
  }
  assert.deepEqual(await states(site), ['site-web-1 running', 'site-web-2 running']);
  assert.ok((await site.ids('web')).every((id) => !old.includes(id)));
  assert.equal((await site.run('exec', '-T', 'web', 'cat', '/www/index.html')).stdout, 'two\n');

  edit(site, 'httpd -p 80', 'true');
  const before_ = await site.ids('web');
  const failed = await site.try(['up', '-d']);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /update of web failed and was rolled back: .*is unhealthy/);
  assert.deepEqual(await site.ids('web'), before_, 'the old ones run on');
  assert.deepEqual(await states(site), ['site-web-1 running', 'site-web-2 running']);
  await site.down();
});

test('a port of the host goes over from the old container to the new one', async () => {
  const one = bench.project('port', {
    'compose.yaml': WEB('one', 'start-first', 'pause')
      .replace('replicas: 2, ', '')
      .replace('    stop_grace', '    ports: ["127.0.0.1::80"]\n    stop_grace'),
  });
  await one.run('up', '-d', '--wait');
  const { stdout } = await one.run('port', 'web', '80');
  // The port that the engine chose becomes one that is asked for.
  edit(one, '127.0.0.1::80', `${stdout.trim()}:80`);
  await one.run('up', '-d', '--wait');
  const get = (): Promise<string> =>
    new Promise((resolve) => {
      request(`http://${stdout.trim()}/`, { agent: false }, (response) => {
        let text = '';
        response.on('data', (data: Buffer) => (text += data.toString()));
        response.on('end', () => resolve(text.trim()));
      })
        .on('error', (error) => resolve(error.message))
        .end();
    });
  assert.equal(await get(), 'one');
  edit(one, 'echo one', 'echo two');
  await one.run('up', '-d');
  assert.equal(await get(), 'two');
  assert.equal((await one.run('port', 'web', '80')).stdout, stdout);
  assert.deepEqual(await states(one), ['port-web-1 running']);
  await one.down();
});

test('stop-first: what was updated before the failure is taken back too', async () => {
  const back = bench.project('back', { 'compose.yaml': WEB('one', 'stop-first', 'rollback') });
  await back.run('up', '-d', '--wait');
  const old = await back.ids('web');
  // The first update succeeds, the second finds that it came second.
  edit(
    back,
    'echo one >/www/index.html;',
    'echo two >/www/index.html; mkdir /shared/first || touch /shared/second; test -e /shared/second && exit 4;',
  );
  edit(back, '    stop_grace', '    volumes: ["shared:/shared"]\n    stop_grace');
  edit(back, /$/, 'volumes: {shared: {}}\n');
  const failed = await back.try(['up', '-d']);
  assert.equal(failed.code, 1, failed.stderr);
  assert.match(failed.stderr, /update of web failed and was rolled back/);
  assert.deepEqual(await back.ids('web'), old);
  assert.deepEqual(await states(back), ['back-web-1 running', 'back-web-2 running']);
  assert.equal((await back.run('exec', '-T', 'web', 'cat', '/www/index.html')).stdout, 'one\n');
  await back.down();
});

test('an update that is killed leaves what the next up puts in order', async () => {
  const cut = bench.project('cut', { 'compose.yaml': WEB('one', 'start-first', 'pause') });
  await cut.run('up', '-d', '--wait');
  for (const [i, moment] of ['cut-web-1  Starting', 'cut-web-1  Updated', 'cut-web-2  Updating'].entries()) {
    edit(cut, /echo \w+ >/, `echo v${i} >`);
    const up = cut.spawn('up', '-d');
    await up.says(moment.includes('Starting') ? /_cut-web-1 {2}Starting/ : moment);
    up.child.kill('SIGKILL');
    await up.ended;
  }
  await cut.run('up', '-d', '--wait');
  assert.deepEqual(await states(cut), ['cut-web-1 running', 'cut-web-2 running']);
  assert.equal((await cut.run('exec', '-T', '--index', '2', 'web', 'cat', '/www/index.html')).stdout, 'v2\n');
  assert.ok((await cut.run('up', '--plan')).stdout.split('\n').every((line) => line === '' || line.startsWith('keep')));
  await cut.down();
});

test('x-on-unhealthy: restart, and run --on-unhealthy', async () => {
  const ill = bench.project('ill', {
    'compose.yaml': `services:
  a:
    image: busybox
    command: ["sh", "-c", "touch /well; ${OBEYS}"]
    healthcheck: {test: [CMD, test, -e, /well], interval: 200ms, retries: 2, x-on-unhealthy: restart}
`,
  });
  await ill.run('up', '-d', '--wait');
  await bench.docker(
    'run',
    '-d',
    '--name',
    'alone',
    '--on-unhealthy',
    'restart',
    '--health-cmd',
    'test -e /well',
    '--health-interval',
    '200ms',
    '--health-retries',
    '2',
    'busybox',
    'sh',
    '-c',
    `touch /well; ${OBEYS}`,
  );
  for (const name of ['ill-a-1', 'alone']) {
    const began = await bench.docker('inspect', '-f', '{{.State.StartedAt}}', name);
    await until(
      async () => (await bench.docker('inspect', '-f', '{{.State.Health.Status}}', name)) === 'healthy',
      () => 'health',
    );
    await bench.docker('exec', name, 'rm', '/well');
    await until(
      async () => {
        const [at, health] = (
          await bench.docker('inspect', '-f', '{{.State.StartedAt}} {{with .State.Health}}{{.Status}}{{end}}', name)
        ).split(' ');
        return at !== began && health === 'healthy';
      },
      () => 'another run that is healthy',
    );
  }
  await bench.docker('rm', '-f', 'alone');
  await ill.down();
});

test('after a boot the engine starts containers in the order of their dependencies', async () => {
  const boot = bench.project('boot', {
    'compose.yaml': `services:
  web: {image: busybox, restart: always, command: ["sh", "-c", "${OBEYS}"], depends_on: {app: {condition: service_healthy}}}
  app:
    image: busybox
    restart: always
    command: ["sh", "-c", "sleep 1; touch /tmp/ready; ${OBEYS}"]
    tmpfs: [/tmp]
    healthcheck: {test: [CMD, test, -e, /tmp/ready], interval: 200ms, retries: 100}
    depends_on: [db]
  db: {image: busybox, restart: always, command: ["sh", "-c", "${OBEYS}"]}
`,
  });
  await boot.run('up', '-d', '--wait');
  const ids = { web: (await boot.ids('web'))[0]!, app: (await boot.ids('app'))[0]!, db: (await boot.ids('db'))[0]! };
  const inspect = async (id: string): Promise<[number, number]> => {
    const [at, pid] = (await bench.docker('inspect', '-f', '{{.State.StartedAt}} {{.State.Pid}}', id)).split(' ');
    return [Date.parse(at!), Number(pid)];
  };
  const began = (await inspect(ids.web))[0];
  const pids = await Promise.all(Object.values(ids).map(async (id) => (await inspect(id))[1]));
  // As a boot: no engine, then no containers, then an engine.
  await bench.daemon.kill();
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await bench.daemon.start();
  await until(
    async () => (await inspect(ids.web))[1] > 0 && (await inspect(ids.web))[0] > began,
    () => 'a web that runs again',
  );
  const [web, app, db] = [await inspect(ids.web), await inspect(ids.app), await inspect(ids.db)];
  assert.ok(db[0] <= app[0], 'db before app');
  assert.ok(app[0] + 1000 <= web[0], `web waits until app is healthy: ${app[0]} ${web[0]}`);
  await boot.down();
});

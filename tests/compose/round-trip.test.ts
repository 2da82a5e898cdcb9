/** Projects that Docker's Compose has started are managed by ours, and the other way round. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ContainerInspect } from '../../src/api/container.ts';
import { pluginDirectory } from '../buildkit/plugins.ts';
import { ComposeBench, OBEYS, Running, type TestProject } from './support.ts';

const bench = new ComposeBench();
before(() => bench.start());
after(() => bench.close());

type Labels = Record<string, string>;
interface Marks {
  readonly containers: Record<
    string,
    { labels: Labels; networks: Record<string, string[]>; stopTimeout: number | null }
  >;
  readonly networks: Record<string, Labels>;
  readonly volumes: Record<string, Labels>;
}

/** Without what a machine or a directory puts into it. */
function own(labels: Labels): Labels {
  return Object.fromEntries(
    Object.entries(labels)
      .filter(([key]) => !/image$|working_dir|config_files/.test(key))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

async function marksOf(project: string): Promise<Marks> {
  const filter = `label=com.docker.compose.project=${project}`;
  const list = async (...words: string[]): Promise<string[]> => (await bench.docker(...words)).split('\n');
  const inspect = async (...words: string[]): Promise<unknown[]> =>
    JSON.parse(await bench.docker(...words)) as unknown[];
  const containers = (await inspect('inspect', ...(await list('ps', '-aq', '--filter', filter)))) as ContainerInspect[];
  const networks = await inspect('network', 'inspect', ...(await list('network', 'ls', '-q', '--filter', filter)));
  const volumes = await inspect('volume', 'inspect', ...(await list('volume', 'ls', '-q', '--filter', filter)));
  const labelled = (items: unknown[]): Record<string, Labels> =>
    Object.fromEntries(
      (items as { Name: string; Labels: Labels }[]).map(({ Name, Labels: labels }) => [Name, own(labels)]),
    );
  return {
    containers: Object.fromEntries(
      containers.map((one) => [
        one.Name.slice(1),
        {
          labels: own(one.Config.Labels ?? {}),
          networks: Object.fromEntries(
            Object.entries(one.NetworkSettings.Networks).map(([name, endpoint]) => [
              name,
              (endpoint.Aliases ?? []).filter((alias) => !one.Id.startsWith(alias)).sort(),
            ]),
          ),
          stopTimeout: one.Config.StopTimeout ?? null,
        },
      ]),
    ),
    networks: labelled(networks),
    volumes: labelled(volumes),
  };
}

test("names and labels are those of Docker's Compose 2.40, its fingerprints too", async () => {
  const trip = bench.project('trip', {
    'compose.yaml': `name: trip
services:
  db:
    image: busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    volumes: ["data:/data"]
    labels: {own: label}
  web:
    image: busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    environment: {A: "1"}
    scale: 2
    stop_grace_period: 2s
    depends_on: {db: {condition: service_started, restart: true}}
    networks: {front: {aliases: [www]}, default: }
networks: {front: {labels: {net: label}}}
volumes: {data: {labels: {vol: label}}}
`,
  });
  await trip.run('up', '-d');
  const recorded = JSON.parse(readFileSync(join(import.meta.dirname, 'labels.json'), 'utf8')) as Marks;
  assert.deepEqual(await marksOf('trip'), recorded);
  await trip.down();
});

/** docker-compose 1.29, Debian's. */
function classic(project: TestProject, ...words: string[]): string {
  const ended = spawnSync(
    'docker-compose',
    ['--project-directory', project.directory, '-f', join(project.directory, 'compose.yaml'), ...words],
    {
      env: { ...bench.env, DOCKER_HOST: bench.daemon.host, COMPOSE_INTERACTIVE_NO_CLI: '1' },
      encoding: 'utf8',
    },
  );
  assert.equal(ended.status, 0, `docker-compose ${words.join(' ')}: ${ended.stderr}${ended.error?.message ?? ''}`);
  return ended.stdout;
}

const PAIR = `version: "3.8"
services:
  db: {image: busybox, command: ["sh", "-c", "echo db is up; ${OBEYS}"], volumes: ["data:/data"]}
  web: {image: busybox, command: ["sh", "-c", "echo web is up; ${OBEYS}"], depends_on: [db], ports: ["127.0.0.1::80"]}
volumes: {data: {}}
`;

test('what docker-compose 1.29 has started is managed by ours', async () => {
  const theirs = bench.project('theirs', { 'compose.yaml': PAIR });
  classic(theirs, 'up', '-d');
  assert.equal((await theirs.run('ps', '--services')).stdout, 'db\nweb\n');
  assert.match((await theirs.run('logs', 'web')).stdout, /web is up/);
  assert.equal((await theirs.run('exec', '-T', 'db', 'sh', '-c', 'echo kept >/data/note; echo done')).stdout, 'done\n');
  await theirs.run('restart', '-t', '2', 'web');
  await theirs.run('up', '-d', '-t', '2');
  assert.equal((await theirs.run('exec', '-T', 'db', 'cat', '/data/note')).stdout, 'kept\n', 'the volume goes on');
  await theirs.down();
});

test('what ours has started is managed by docker-compose 1.29', async () => {
  const ours = bench.project('ours', { 'compose.yaml': PAIR });
  await ours.run('up', '-d');
  assert.equal(
    classic(ours, 'ps', '--services', '--filter', 'status=running').split('\n').filter(Boolean).sort().join(),
    'db,web',
  );
  assert.match(classic(ours, 'logs', '--no-color', 'db'), /db is up/);
  assert.equal(classic(ours, 'exec', '-T', 'web', 'echo', 'hi').trim(), 'hi');
  classic(ours, 'stop', '-t', '2');
  classic(ours, 'start');
  classic(ours, 'down', '-t', '2', '-v');
  assert.equal(await bench.docker('ps', '-aq'), '');
});

const NEWER = { skip: !pluginDirectory() && 'Docker Compose is not there' };

/** Docker's Compose 2.40 against the same engine. */
async function newer(project: TestProject, ...words: string[]): Promise<{ stdout: string; stderr: string }> {
  const running = new Running(
    spawn(join(pluginDirectory()!, 'docker-compose'), words, {
      cwd: project.directory,
      env: { PATH: process.env['PATH'], HOME: bench.directory, DOCKER_HOST: bench.daemon.host },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  assert.equal(await running.ended, 0, `${words.join(' ')}: ${running.stderr}`);
  return running;
}

test("what Docker's Compose 2.40 has started is managed by ours, and kept where nothing changed", NEWER, async () => {
  const theirs = bench.project('newer', { 'compose.yaml': PAIR.replace('version: "3.8"\n', '') });
  await newer(theirs, 'up', '-d');
  const before_ = (await theirs.run('ps', '-aq')).stdout;
  const { stderr } = await theirs.run('up', '-d');
  assert.doesNotMatch(stderr, /Recreate|Creating/);
  assert.equal((await theirs.run('ps', '-aq')).stdout, before_);
  assert.match((await theirs.run('logs', 'web')).stdout, /web is up/);
  theirs.write('compose.yaml', PAIR.replace('web is up', 'web is new').replace('version: "3.8"\n', ''));
  assert.match((await theirs.run('up', '--plan')).stdout, /keep +newer-db-1 [^]*recreate +newer-web-1 /);
  await theirs.run('up', '-d', '-t', '2');
  // And theirs has nothing to say against what ours made.
  assert.doesNotMatch((await newer(theirs, 'up', '-d')).stderr, /Recreate|Creating/);
  await theirs.down();
  assert.equal(await bench.docker('volume', 'ls', '-q'), '');
});

test("what ours has started is managed by Docker's Compose 2.40", NEWER, async () => {
  const ours = bench.project('older', { 'compose.yaml': PAIR.replace('version: "3.8"\n', '') });
  await ours.run('up', '-d');
  const { stderr } = await newer(ours, 'up', '-d');
  assert.doesNotMatch(stderr, /Recreate|Creating/, 'nothing is made anew');
  assert.equal((await newer(ours, 'ps', '--services')).stdout.trim().split('\n').sort().join(), 'db,web');
  assert.match((await newer(ours, 'logs', '--no-color', 'db')).stdout, /db is up/);
  assert.equal((await newer(ours, 'exec', '-T', 'web', 'echo', 'hi')).stdout.trim(), 'hi');
  assert.match((await newer(ours, 'port', 'web', '80')).stdout, /^127\.0\.0\.1:\d+\n$/);
  await newer(ours, 'up', '-d', '--scale', 'db=2', '--no-recreate');
  assert.equal((await ours.ids('db')).length, 2);
  await newer(ours, 'stop', '-t', '2');
  await newer(ours, 'start');
  await newer(ours, 'down', '-t', '2', '-v');
  assert.equal(await bench.docker('ps', '-aq'), '');
});

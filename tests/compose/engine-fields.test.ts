/** Fields that are carried out by what the engine is told, seen from inside of the containers. */
import assert from 'node:assert/strict';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ComposeBench, OBEYS } from './support.ts';

const bench = new ComposeBench();
before(() => bench.start());
after(() => bench.close());

test('use_api_socket: the engine and the credentials, where clients look for them', async () => {
  mkdirSync(join(bench.directory, '.docker'), { recursive: true });
  const auths = {
    'registry.example:5000': { auth: 'bWU6cGFzcw==' },
    'token.example': { identitytoken: 't', auth: 'bWU6' },
  };
  writeFileSync(join(bench.directory, '.docker/config.json'), JSON.stringify({ auths, detachKeys: 'ctrl-a' }));
  const service = `image: busybox, command: ["sh", "-c", "${OBEYS}"], use_api_socket: true`;
  const api = bench.project('api', {
    'compose.yaml': `services: {a: {${service}}, own: {${service}, environment: {DOCKER_CONFIG: /own}}}`,
  });
  await api.run('up', '-d');
  const inside = async (name: string, script: string): Promise<string> =>
    (await api.run('exec', '-T', name, 'sh', '-c', script)).stdout;
  assert.equal(
    await inside(
      'a',
      'echo $DOCKER_CONFIG; test -S /var/run/docker.sock && stat -c "%a %u" $DOCKER_CONFIG/config.json',
    ),
    '/run/secrets/docker\n444 0\n',
  );
  assert.deepEqual(JSON.parse(await inside('a', 'cat $DOCKER_CONFIG/config.json')), { auths });
  assert.equal(await inside('a', 'stat -c %i /var/run/docker.sock'), `${statSync(bench.daemon.socket).ino}\n`);
  assert.equal(await inside('own', 'echo $DOCKER_CONFIG'), '/own\n');
  const before_ = await api.ids('a');
  await api.run('up', '-d');
  assert.deepEqual(await api.ids('a'), before_, 'nothing has changed');
  const once = await api.run('run', '--rm', '-T', 'a', 'sh', '-c', 'test -S /var/run/docker.sock && echo there');
  assert.equal(once.stdout, 'there\n');
  assert.match((await api.run('config')).stdout, /use_api_socket: true/);
  await api.down();
});

test('interface_name: what the interface of a network is called inside', async () => {
  const named = bench.project('named', {
    'compose.yaml': `services:
  a:
    image: busybox
    command: ["sh", "-c", "${OBEYS}"]
    isolation: default
    networks: {front: {interface_name: lan7}, back: {interface_name: lan8, driver_opts: {a: b}}}
networks: {front: {}, back: {}}
`,
  });
  await named.run('up', '-d');
  assert.equal((await named.run('exec', '-T', 'a', 'ls', '/sys/class/net')).stdout, 'lan7\nlan8\nlo\n');
  const hosts = `services: {a: {image: busybox, networks: {default: {interface_name: "a/b"}}}}`;
  const bad = bench.project('badname', { 'compose.yaml': hosts });
  assert.match((await bad.try(['up', '-d'])).stderr, /a\/b/);
  await named.down();
  await bad.down();
});

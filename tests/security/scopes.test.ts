/** Scopes on a running engine: what docker, and a container with such a socket, can do through one. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gantryWords } from '../cli/command.ts';
import { has } from '../images/archive.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : !has('docker') && 'the docker CLI is not installed';

describe('scopes of a running engine', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-scopes-'));
  const daemon = new DaemonProcess({ directory });
  const run = async (program: string, args: readonly string[], env = daemon.clientEnv): Promise<string> => {
    const { stdout } = await promisify(execFile)(program, args, { env });
    return stdout.trim();
  };
  const docker = (...args: string[]): Promise<string> => run('docker', args);
  const gantry = (...args: string[]): Promise<string> => run(process.execPath, [...gantryWords, ...args]);
  /** The docker CLI by the socket of a scope. */
  const through = async (scope: string, ...args: string[]): Promise<string> => {
    const socket = join(directory, 'data/scopes', scope, 'api.sock');
    return run('docker', ['-H', `unix://${socket}`, ...args]);
  };
  const refused = async (call: Promise<string>): Promise<string> =>
    call.then(
      (said) => assert.fail(`it was let through: ${said}`),
      (error: { stderr: string }) => error.stderr,
    );
  const ask = (socketPath: string, path: string): Promise<number> =>
    new Promise((resolve) => {
      const sent = request({ socketPath, path, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on('error', () => resolve(0));
      sent.end();
    });

  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
    await docker('run', '-d', '--network', 'none', '--name', 'foreign', 'busybox', 'sleep', '600');
    await docker('tag', 'busybox', 'alias:1');
    await docker('commit', 'foreign', 'other:1');
  });
  after(async () => {
    const all = await docker('ps', '-aq');
    if (all !== '') await docker('rm', '-f', ...all.split('\n'));
    await daemon.stop();
    await nothingLeft(daemon);
  });

  test('a name that has become the beginning of another’s id reaches nothing of that', async () => {
    await gantry('scope', 'create', 'names', '--project', 'names');
    const network = await docker('network', 'create', 'others');
    const env = ['-e', 'PASSWORD=hunter2'];
    const container = await docker('run', '-d', '--name', 'other', ...env, 'busybox', 'sleep', '600');
    const [net, name] = [network.slice(0, 6), container.slice(0, 6)];
    await through('names', 'network', 'create', net);
    await through('names', 'network', 'create', 'first');
    await through('names', 'run', '-d', '--name', name, 'busybox', 'sleep', '600');
    await through('names', 'create', '--name', 'by-network', '--network', net, 'busybox', 'true');
    await through('names', 'create', '--name', 'connected', '--network', 'first', 'busybox', 'true');
    await through('names', 'network', 'connect', net, 'connected');
    await through('names', 'create', '--name', 'by-link', '--link', `${name}:x`, 'busybox', 'true');
    await through('names', 'rm', '-f', name);
    await through('names', 'network', 'rm', net);
    for (const one of ['by-network', 'connected'])
      assert.match(await refused(through('names', 'start', one)), /network [0-9a-f]{64} not found/, one);
    assert.match(await refused(through('names', 'start', 'by-link')), /could not get container for [0-9a-f]{64}/);
    assert.match(
      await refused(through('names', 'run', '--volumes-from', name, 'busybox', 'true')),
      /No such container/,
    );
    await docker('rm', '-f', 'other');
    for (const one of ['by-network', 'connected', 'by-link']) await through('names', 'rm', one);
    await docker('network', 'rm', 'others', 'first');
    await gantry('scope', 'rm', 'names');
  });

  test('one with its own containers: docker runs, lists, enters and removes them, and nothing else', async () => {
    assert.equal(await gantry('scope', 'create', 'ci', '--image', 'busybox'), join(directory, 'data/scopes/ci'));
    assert.equal(await through('ci', 'run', '--rm', '--network', 'none', 'busybox', 'echo', 'hello'), 'hello');
    await through(
      'ci',
      'run',
      '-d',
      '--network',
      'none',
      '--name',
      'own',
      '-v',
      'own-data:/data',
      'busybox',
      'sleep',
      '600',
    );
    assert.equal(await through('ci', 'exec', 'own', 'sh', '-c', 'echo x > /data/f; cat /data/f'), 'x');
    assert.equal(await through('ci', 'ps', '-a', '--format', '{{.Names}}'), 'own');
    assert.equal(await docker('inspect', '-f', '{{index .Config.Labels "gantry.scope"}}', 'own'), 'ci');
    assert.equal(await through('ci', 'volume', 'ls', '-q'), 'own-data');
    assert.equal(await through('ci', 'images', '--format', '{{.Repository}}'), 'busybox');
    const busybox = ['busybox', 'true'];
    for (const args of [
      ['run', '--rm', '--privileged', ...busybox],
      ['run', '--rm', '-v', '/:/host', ...busybox],
      ['run', '--rm', '--mount', 'type=bind,src=/etc,dst=/x', ...busybox],
      ['run', '--rm', '--pid', 'host', ...busybox],
      ['run', '--rm', '--network', 'host', ...busybox],
      ['run', '--rm', '--device', '/dev/kmsg', ...busybox],
      ['run', '--rm', '--cap-add', 'SYS_ADMIN', ...busybox],
      ['run', '--rm', '--security-opt', 'seccomp=unconfined', ...busybox],
      ['run', '--rm', '--volumes-from', 'foreign', ...busybox],
      ['run', '--rm', '--network', 'container:foreign', ...busybox],
      ['run', '--rm', '--pull', 'never', 'other:1', 'true'],
      ['run', '--rm', '-l', 'gantry.scope=x', ...busybox],
      ['exec', '--privileged', 'own', 'true'],
      ['volume', 'create', '-o', 'type=none', '-o', 'o=bind', '-o', 'device=/'],
      ['commit', 'own', 'x'],
      ['tag', 'busybox', 'x'],
      ['rmi', 'busybox'],
      ['save', 'busybox', '-o', join(directory, 'never')],
      ['system', 'df'],
      ['import', '/dev/null'],
    ]) {
      assert.match(await refused(through('ci', ...args)), /scope|No such container|not found/, args.join(' '));
    }
    for (const args of [
      ['exec', 'foreign', 'true'],
      ['stop', 'foreign'],
      ['rm', 'foreign'],
      ['logs', 'foreign'],
      ['cp', 'foreign:/etc/passwd', directory],
      ['inspect', '--type', 'container', 'foreign'],
      ['attach', '--no-stdin', 'foreign'],
      ['network', 'inspect', 'bridge'],
    ]) {
      assert.match(await refused(through('ci', ...args)), /No such container|not found/i, args.join(' '));
    }
    assert.equal(await docker('inspect', '-f', '{{.State.Running}}', 'foreign'), 'true');
    const dockerfile = join(directory, 'Dockerfile');
    writeFileSync(dockerfile, 'FROM busybox\nRUN true\n');
    assert.match(
      await refused(through('ci', 'build', '-f', dockerfile, directory)),
      /not for the scope ci: builds are the whole socket's: build there, and run the image here/,
    );
    // where buildx goes when it may not build
    assert.match(
      await refused(through('ci', 'create', '--privileged', 'moby/buildkit:buildx-stable-1')),
      /builds are the whole socket's: build there/,
    );
    // Each call is in the engine's log, with what became of it.
    assert.match(daemon.log, /scope: .*\\"scope\\":\\"ci\\".*containers\/foreign\/stop.*denied/);
    assert.match(daemon.log, /scope: .*\\"scope\\":\\"ci\\".*containers\/create.*allowed.*201/);
  });

  test('a container’s socket: looks at its project alone, is there after the engine was killed, and ends with its scope', async () => {
    const project = ['-l', 'com.docker.compose.project=shop'];
    await docker('run', '-d', '--network', 'none', '--name', 'web', ...project, 'busybox', 'sleep', '600');
    const options = ['-d', '--network', 'none', '--name', 'panel', '--api-socket', 'ro,project=shop'];
    await gantry('run', ...options, 'busybox', 'sleep', '600');
    assert.match(await docker('exec', 'panel', 'env'), /^DOCKER_HOST=unix:\/\/\/run\/gantry-api\/api\.sock$/m);
    const pid = await docker('inspect', '-f', '{{.State.Pid}}', 'panel');
    // As the container sees it.
    const socket = `/proc/${pid}/root/run/gantry-api/api.sock`;
    const look = async (): Promise<void> => {
      assert.equal(await run('docker', ['-H', `unix://${socket}`, 'ps', '-a', '--format', '{{.Names}}']), 'web');
      assert.equal(await ask(socket, '/v1.51/containers/web/json'), 200);
      assert.equal(await ask(socket, '/v1.51/containers/foreign/json'), 404);
      for (const args of [
        ['stop', 'web'],
        ['exec', 'web', 'true'],
        ['run', 'busybox', 'true'],
        ['cp', 'web:/etc/passwd', directory],
      ])
        assert.match(
          await refused(run('docker', ['-H', `unix://${socket}`, ...args])),
          /is not for the scope/,
          args.join(' '),
        );
    };
    await look();
    // The same wish is the same scope.
    await gantry('create', '--network', 'none', '--api-socket', 'ro,project=shop', 'busybox');
    const scopes = (await gantry('scope', 'ls', '--format', '{{.Name}} {{.Access}} {{.Label}}')).split('\n');
    const [name] = scopes.find((line) => line.startsWith('run-'))!.split(' ');
    assert.deepEqual(
      scopes.filter((line) => line.startsWith('run-')),
      [`${name} read-only com.docker.compose.project=shop`],
    );
    await daemon.kill();
    assert.equal(await ask(socket, '/_ping'), 0);
    await daemon.start();
    for (let tries = 0; tries < 600 && (await ask(socket, '/_ping')) !== 200; tries++) await sleep(50);
    await look();
    assert.equal(await through('ci', 'ps', '--format', '{{.Names}}'), 'own');
    assert.equal(await gantry('scope', 'rm', name!), name);
    assert.equal(await ask(socket, '/_ping'), 0);
    assert.ok(!existsSync(join(directory, 'data/scopes', name!)));
    assert.match(await refused(gantry('scope', 'rm', name!)), /No such scope/);
    assert.match(await refused(gantry('run', '--api-socket', 'nobody', 'busybox')), /No such scope: nobody/);
    assert.match(await refused(gantry('run', '--api-socket', 'ro,x', 'busybox')), /is none of ro, project=NAME/);
  });

  test('a Compose project through a scope of its own', async () => {
    await gantry('scope', 'create', 'blog', '--project', 'blog');
    const file = join(directory, 'compose.yaml');
    writeFileSync(
      file,
      `name: blog
services:
  web: { image: busybox, command: sleep 600, volumes: ["data:/data"], depends_on: [db] }
  db: { image: busybox, command: sleep 600, read_only: true }
volumes: { data: {} }
`,
    );
    const compose = (...args: string[]): Promise<string> =>
      run(process.execPath, [
        ...gantryWords,
        '-H',
        `unix://${directory}/data/scopes/blog/api.sock`,
        'compose',
        '-f',
        file,
        ...args,
      ]);
    await compose('up', '-d');
    assert.equal(await compose('exec', '-T', 'web', 'echo', 'hi'), 'hi');
    assert.equal(
      await through('blog', 'ps', '--format', '{{.Names}}').then((said) => said.split('\n').sort().join(' ')),
      'blog-db-1 blog-web-1',
    );
    await compose('down', '-v', '-t', '0');
    assert.equal(await through('blog', 'ps', '-aq'), '');
    assert.equal(await through('blog', 'volume', 'ls', '-q'), '');
  });

  test('labels of images are not taken for those of a scope', async () => {
    await run('sh', ['-c', `printf 'FROM busybox\\nLABEL gantry.scope=ci\\n' | docker build -q -t trap -`]);
    await docker('run', '-d', '--privileged', '--network', 'none', '--name', 'trapped', 'trap', 'sleep', '600');
    assert.equal(await docker('inspect', '-f', '{{index .Config.Labels "gantry.scope"}}', 'trapped'), '');
    assert.match(await refused(through('ci', 'exec', 'trapped', 'true')), /No such container/);
  });

  test('a token narrows whoever shows it', async () => {
    const [, token] = (await gantry('scope', 'create', 'deploy', '--read-only', '--token')).split('\n');
    const env = { ...daemon.clientEnv, DOCKER_CUSTOM_HEADERS: `Authorization=Bearer ${token}` };
    assert.match(await run('docker', ['ps', '--format', '{{.Names}}'], env), /^foreign$/m);
    assert.match(await refused(run('docker', ['stop', 'foreign'], env)), /is not for the scope deploy/);
    assert.ok(!daemon.log.includes(token!));
    await gantry('scope', 'rm', 'deploy');
    assert.match(await refused(run('docker', ['ps'], env)), /of no scope of this engine/);
  });
});

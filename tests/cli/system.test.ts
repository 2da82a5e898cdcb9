/** Commands about the command itself: help, completion, contexts, ssh, systemd units. No engine is needed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { COMMANDS } from '../../src/cli/registry.ts';
import { gantryWords } from './command.ts';
import { runInProcess } from './in-process.ts';
import { RecordingEngine } from './recorder.ts';

const folder = mkdtempSync(join(tmpdir(), 'gantry-system-'));
after(() => rmSync(folder, { recursive: true }));
const env = { HOME: folder, GANTRY_NO_AUTOSTART: '1', GANTRY_HOST: `unix://${join(folder, 'none.sock')}` };

test('every command has help, by each of its names', async () => {
  for (const { paths } of COMMANDS) {
    for (const path of paths) {
      const { code, stdout, stderr } = await runInProcess([...path.split(' '), '--help'], { env });
      assert.equal(code, 0, `${path}: ${stderr}`);
      assert.match(stdout, new RegExp(`^Usage:  gantry ${path}`));
    }
  }
});

test('no engine: one clear sentence', async () => {
  const { code, stderr } = await runInProcess(['ps'], { env });
  assert.equal(code, 1);
  assert.equal(stderr, `Cannot connect to the Docker daemon at ${env.GANTRY_HOST}. Is the gantry daemon running?\n`);
});

test('what was meant', async () => {
  assert.match(
    (await runInProcess(['rnu'], { env })).stderr,
    /unknown command: gantry rnu\n\nDid you mean this\?\n\tgantry run\n/,
  );
  assert.match((await runInProcess(['image', 'sl'], { env })).stderr, /Did you mean this\?\n\tgantry image ls/);
  assert.match(
    (await runInProcess(['run', '--evn', 'A=1', 'x'], { env })).stderr,
    /unknown flag: --evn\n\nDid you mean --env\?/,
  );
});

test('words of Docker that have another place here, or none', async () => {
  const gantry = (...words: string[]): ReturnType<typeof runInProcess> => runInProcess(words, { env });
  assert.match((await gantry('buildx', 'build', '--help')).stdout, /^Usage:  gantry build /);
  assert.match((await gantry('help', 'buildx', 'bake')).stdout, /^Usage:  gantry bake /);
  assert.match(
    (await gantry('buildx', 'imagetools', 'inspect', '--help')).stdout,
    /^Usage:  gantry imagetools inspect/,
  );
  assert.match((await gantry('buildx', 'du', '--help')).stdout, /^Usage:  gantry builder du/);
  for (const line of [['buildx', 'create', '--use'], ['buildx'], ['builder', 'use', 'x']]) {
    const { code, stderr } = await gantry(...line);
    assert.equal(code, 1);
    assert.match(stderr, /The engine is the only builder/);
  }
  assert.match((await gantry('swarm', 'init')).stderr, /unknown command: gantry swarm\n\nThere is no Swarm here/);
  assert.match((await gantry('plugin', 'ls')).stderr, /takes no plugins/);
  assert.match((await gantry('build', '--builder', 'far', '.')).stderr, /the engine is the only builder here/);
});

test('completion: commands, flags, values; scripts that the shells accept', async () => {
  const words = async (...line: string[]): Promise<string[]> =>
    (await runInProcess(['__complete', '--', ...line], { env })).stdout
      .split('\n')
      .flatMap((item) => (item === '' ? [] : [item.split('\t')[0]!]));
  assert.deepEqual(await words('comm'), ['commit']);
  assert.deepEqual(await words('image', 'pr'), ['prune']);
  assert.deepEqual(await words('run', '--pul'), ['--pull']);
  assert.deepEqual(await words('run', '--pull', 'a'), ['always']);
  assert.deepEqual(await words('load', '-i', ''), [':files']);
  const { stdout } = await runInProcess(['completion', 'bash'], { env });
  const check = spawnSync('bash', ['-n'], { input: stdout });
  assert.equal(check.status, 0, check.stderr.toString());
});

test('contexts: made, used, removed', async () => {
  const own = { HOME: folder, GANTRY_NO_AUTOSTART: '1' };
  const gantry = (...words: string[]): ReturnType<typeof runInProcess> => runInProcess(words, { env: own });
  assert.equal(
    (await gantry('context', 'create', 'far', '--docker', 'host=tcp://127.0.0.1:1', '--description', 'd')).code,
    0,
  );
  assert.match((await gantry('context', 'create', 'far', '--docker', 'host=tcp://x')).stderr, /already exists/);
  assert.equal((await gantry('context', 'use', 'far')).code, 0);
  assert.equal((await gantry('context', 'show')).stdout, 'far\n');
  assert.match((await gantry('ps')).stderr, /Cannot connect to the Docker daemon at tcp:\/\/127\.0\.0\.1:1/);
  assert.equal((await gantry('--context', 'default', 'context', 'show')).stdout, 'default\n');
  const listed = (await gantry('context', 'ls', '--format', 'json')).stdout.trim().split('\n');
  assert.deepEqual(
    listed.map((line) => (JSON.parse(line) as { Current: unknown }).Current),
    [false, true],
  );
  assert.match((await gantry('context', 'rm', 'far')).stderr, /in use/);
  assert.equal((await gantry('context', 'rm', '-f', 'far')).code, 0);
  assert.equal((await gantry('context', 'show')).stdout, 'default\n');
});

test('ssh://: through the ssh program, by dial-stdio at the other end', async () => {
  const socket = join(folder, 'engine.sock');
  const engine = await RecordingEngine.listen(socket);
  try {
    const bin = join(folder, 'bin');
    mkdirSync(bin, { recursive: true });
    // Another machine, which is this one: the last argument is what ssh would run there.
    writeFileSync(join(bin, 'ssh'), '#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n');
    writeFileSync(join(bin, 'gantry'), `#!/bin/sh\nexec '${process.execPath}' ${gantryWords.join(' ')} "$@"\n`);
    for (const name of ['ssh', 'gantry']) chmodSync(join(bin, name), 0o755);
    const { spawn } = await import('node:child_process');
    const child = spawn(process.execPath, [...gantryWords, '-H', `ssh://me@far${socket}`, 'rm', 'x'], {
      env: { ...process.env, HOME: folder, PATH: `${bin}:${process.env['PATH']}` },
      stdio: 'ignore',
    });
    await new Promise((resolve) => child.once('close', resolve));
    assert.deepEqual(
      engine.take().map(({ method, path }) => `${method} ${path}`),
      ['DELETE /containers/x'],
    );
  } finally {
    engine.close();
  }
});

test('system install: what it would write', async () => {
  const { stdout, code } = await runInProcess(['system', 'install', '--dry-run'], { env });
  assert.equal(code, 0);
  assert.match(stdout, /ExecStart=\/nowhere\/gantry daemon --host fd:\/\/\n/);
  assert.match(stdout, /KillMode=process/);
  assert.match(stdout, /ListenStream=\/run\/gantry\/gantry\.sock/);
});

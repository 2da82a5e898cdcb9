import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { hashSync } from 'bcryptjs';
import { gantryWords } from '../cli/command.ts';
import { has } from '../images/archive.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : !has('docker') && 'the docker CLI is not installed';

test('a daemon serves its images: another pulls one and runs it, and pushes one that runs here', { skip }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-daemon-registry-'));
  const settings = join(directory, 'registry.json');
  const htpasswd = join(directory, 'htpasswd');
  await writeFile(htpasswd, `ann:${hashSync('secret', 4)}\n`);
  await writeFile(settings, JSON.stringify({ auth: { htpasswd, anonymousPull: true } }));
  const serving = new DaemonProcess({
    directory: join(directory, 'one'),
    args: ['--registry', '127.0.0.1:0', '--registry-config', settings],
  });
  const other = new DaemonProcess({ directory: join(directory, 'two') });
  const docker = async (daemon: DaemonProcess, ...args: string[]): Promise<string> =>
    (await promisify(execFile)('docker', args, { env: daemon.clientEnv })).stdout;
  try {
    await Promise.all([serving.start(), other.start()]);
    const said = /Registry listens on (127\.0\.0\.1:\d+)/;
    while (!said.test(serving.log)) await new Promise((resolve) => setTimeout(resolve, 20));
    const host = said.exec(serving.log)![1]!;
    await serving.importBusybox();
    await docker(other, 'pull', '-q', `${host}/busybox`);
    const run = ['run', '--rm', '--network', 'none'];
    assert.equal(await docker(other, ...run, `${host}/busybox`, 'echo', 'pulled'), 'pulled\n');

    await docker(other, 'tag', `${host}/busybox`, `${host}/team/app:1`);
    await assert.rejects(docker(other, 'push', '-q', `${host}/team/app:1`), /authentication required|access denied/i);
    await docker(other, 'login', '-u', 'ann', '-p', 'secret', host);
    await docker(other, 'push', '-q', `${host}/team/app:1`);
    assert.equal(await docker(serving, ...run, 'team/app:1', 'echo', 'pushed'), 'pushed\n');
    await Promise.all([serving.stop(), other.stop()]);
    for (const { directory, bridge, cgroupParent } of [serving, other]) {
      assert.deepEqual(await leftBehind({ directory, bridge, cgroupParent }), []);
    }
  } finally {
    await Promise.all([serving.stop(), other.stop()]);
    await rm(directory, { recursive: true, force: true });
  }
});

test(
  'a running engine serves its images when a command asks it to, until that ends or it is stopped',
  { skip },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'gantry-serve-engine-'));
    const htpasswd = join(directory, 'users');
    await writeFile(htpasswd, `ann:${hashSync('secret', 4)}\n`);
    const daemon = new DaemonProcess({ directory });
    const gantry = async (...args: string[]): Promise<string> =>
      (
        await promisify(execFile)(process.execPath, [...gantryWords, ...args], {
          env: daemon.clientEnv,
          cwd: directory,
        })
      ).stdout;
    const refused = async (...args: string[]): Promise<string> => {
      const { stderr } = await gantry(...args).then(
        () => assert.fail(`${args.join(' ')} was not refused`),
        (error: { stderr: string }) => error,
      );
      return stderr;
    };
    const children: ChildProcess[] = [];
    /** Resolves once it listens. */
    const serve = async (
      ...args: string[]
    ): Promise<{ address: string; child: ChildProcess; out: () => string; ended: Promise<unknown[]> }> => {
      const child = spawn(process.execPath, [...gantryWords, 'registry', 'serve', '--engine', ...args], {
        env: daemon.clientEnv,
        cwd: directory,
      });
      children.push(child);
      const ended = once(child, 'exit');
      let [out, said] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
      for await (const chunk of child.stderr.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        said += chunk.toString();
        const address = /^registry listens on (\S+), images are those of the engine$/m.exec(said)?.[1];
        if (address !== undefined) return { address, child, out: () => out, ended };
      }
      throw new Error(`it ended: ${said}`);
    };
    const until = async (what: () => boolean | Promise<boolean>): Promise<void> => {
      for (let tries = 0; tries < 600 && !(await what()); tries++) await new Promise((go) => setTimeout(go, 50));
      assert.ok(await what());
    };
    const list = async (): Promise<string> =>
      gantry('registry', 'ls', '--format', '{{.Address}} {{.From}} {{.Logins}} {{.Status}}');
    const statusOf = (address: string, path = 'busybox/tags/list'): Promise<number> =>
      fetch(`http://${address}/v2/${path}`).then(
        (response) => response.status,
        () => 0,
      );
    try {
      await daemon.start();
      await daemon.importBusybox();
      const open = await serve('--addr', '127.0.0.1:0', '--audit');
      assert.equal(await statusOf(open.address), 200);
      assert.equal(await list(), `${open.address} a command no open\n`);
      // The same address once more, and settings that are for stores of its own.
      assert.match(await refused('registry', 'serve', '--engine', '--addr', open.address), /the address is in use/);
      await writeFile(join(directory, 'own.json'), '{"retention":[{"repositories":["**"],"keepLast":1}]}');
      assert.match(
        await refused('registry', 'serve', '--engine', '--config', 'own.json'),
        /retention is for a registry/,
      );
      assert.match(await refused('registry', 'serve', '--engine', '--root', '/x'), /choose one/);
      assert.match(await refused('registry', 'serve', '--engine', '--htpasswd', 'nobody'), /cannot read .*\/nobody/);
      assert.match(await refused('registry', 'stop', '127.0.0.1:1'), /No such registry: 127\.0\.0\.1:1/);
      // What it audits is here and in the engine's log.
      assert.equal((await fetch(`http://${open.address}/v2/x/blobs/uploads/`, { method: 'POST' })).status, 202);
      await until(() => open.out().includes('"path":"/v2/x/blobs/uploads/","status":202'));
      await until(() => daemon.log.includes('/v2/x/blobs/uploads/'));
      open.child.kill('SIGINT');
      assert.deepEqual(await open.ended, [0, null]);
      assert.equal(await statusOf(open.address), 0);
      assert.equal(await list(), '');

      // A command that was killed leaves none behind either.
      const killed = await serve('--addr', '127.0.0.1:0');
      killed.child.kill('SIGKILL');
      await killed.ended;
      await until(async () => (await list()) === '');
      assert.equal(await statusOf(killed.address), 0);

      // Kept ones are there for the next engine, with their files, wherever the command was called.
      const kept = (
        await gantry('registry', 'serve', '--engine', '-d', '--addr', '127.0.0.1:0', '--htpasswd', 'users')
      ).trim();
      assert.equal(await statusOf(kept), 401);
      await daemon.kill();
      assert.equal(await statusOf(kept), 0);
      await daemon.start();
      await until(async () => (await statusOf(kept)) === 401);
      assert.equal(await list(), `${kept} kept yes open\n`);
      // One that cannot be opened says so, and can be stopped.
      await daemon.stop();
      await rm(htpasswd);
      await daemon.start();
      assert.match(await list(), new RegExp(`^${kept} kept yes not served: cannot read `));
      assert.equal(await gantry('registry', 'stop', kept), `${kept}\n`);
      assert.equal(await list(), '');
      // Without an engine there is nothing to serve.
      await daemon.stop();
      assert.match(await refused('registry', 'serve', '--engine'), /Is the .* running\?/);
      assert.deepEqual(await leftBehind({ directory, bridge: daemon.bridge, cgroupParent: daemon.cgroupParent }), []);
    } finally {
      for (const child of children) child.kill('SIGKILL');
      await daemon.stop();
      await rm(directory, { recursive: true, force: true });
    }
  },
);

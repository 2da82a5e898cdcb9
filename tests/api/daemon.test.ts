import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';

const main = fileURLToPath(new URL('../../src/daemon/main.ts', import.meta.url));

/** The program around the engine: how it starts, what it refuses, how it ends. */
describe('the daemon as a process', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-daemon-'));
  const config = join(directory, 'daemon.json');
  const pidfile = join(directory, 'pid');
  writeFileSync(config, '{"log-level":"info"}');
  const daemon = new DaemonProcess({ directory, args: ['--config-file', config, '--pidfile', pidfile] });

  runsDaemon(daemon, { busybox: true });

  function send(
    method: string,
    path: string,
    body?: unknown,
    socketPath = daemon.socket,
  ): Promise<{ status: number; json: Record<string, unknown> }> {
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath, method, path, agent: false }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            json: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {},
          }),
        );
      });
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  function residentBytes(): number {
    const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'));
    return Number(match?.[1]) * 1024;
  }

  async function logged(text: string): Promise<void> {
    for (let tries = 0; tries < 100 && !daemon.log.includes(text); tries++) await sleep(20);
    assert.ok(daemon.log.includes(text), `${text} is not in the log:\n${daemon.log.slice(-1000)}`);
  }

  test('a second one on its socket is refused, and told whose it is', () => {
    const roots = ['--data-root', join(directory, 'other'), '--exec-root', join(directory, 'other-run')];
    const second = spawnSync(process.execPath, [main, ...roots, '--host', daemon.host], { encoding: 'utf8' });
    assert.equal(second.status, 1);
    assert.match(second.stderr, new RegExp(`is in use by process ${daemon.pid} `));
    assert.equal(Number(readFileSync(pidfile, 'utf8')), daemon.pid);
  });

  test('wrong settings are refused before anything is touched', () => {
    const wrong = spawnSync(process.execPath, [main, '--data-root', join(directory, 'none'), '--nope'], {
      encoding: 'utf8',
    });
    assert.equal(wrong.status, 1);
    assert.equal(wrong.stderr, "unknown flag: --nope\nSee 'gantry daemon --help'.\n");
    assert.equal(existsSync(join(directory, 'none')), false);
    const valid = spawnSync(process.execPath, [main, '--validate', '--config-file', config], { encoding: 'utf8' });
    assert.deepEqual([valid.status, valid.stdout], [0, 'configuration OK\n']);
  });

  test('SIGHUP reloads the log level', async () => {
    writeFileSync(config, '{"debug":true}');
    process.kill(daemon.pid!, 'SIGHUP');
    await logged('Reloaded configuration: log level debug');
    writeFileSync(config, '{"nonsense":true}');
    process.kill(daemon.pid!, 'SIGHUP');
    await logged('Configuration not reloaded: unable to configure the daemon with file');
    writeFileSync(config, '{}');
  });

  test('a body of a gigabyte costs no memory', async () => {
    const before = residentBytes();
    const status = await new Promise<number>((resolve, reject) => {
      const sent = request({ socketPath: daemon.socket, method: 'POST', path: '/containers/create', agent: false });
      const piece = Buffer.alloc(1 << 20, 0x20);
      let pieces = 0;
      const more = (): void => {
        while (pieces < 1024 && !sent.destroyed) {
          pieces++;
          if (!sent.write(piece)) return;
        }
      };
      sent.on('drain', more);
      sent.on('response', (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
        sent.destroy();
      });
      sent.on('error', reject);
      more();
    });
    assert.equal(status, 413);
    assert.ok(residentBytes() - before < 32 << 20, `grew by ${residentBytes() - before} bytes`);
    assert.equal((await send('GET', '/_ping')).status, 200);
  });

  test('stopped within two seconds under clients that wait; containers go on, and the next one knows them', async () => {
    const { json } = await send('POST', '/containers/create?name=goes-on', {
      Image: 'busybox',
      Cmd: ['sleep', '300'],
      HostConfig: { NetworkMode: 'none' },
    });
    assert.equal((await send('POST', `/containers/${String(json['Id'])}/start`)).status, 204);
    const pidOf = async (): Promise<unknown> =>
      ((await send('GET', '/containers/goes-on/json')).json['State'] as { Pid: number }).Pid;
    const pid = await pidOf();
    const clients = ['/events', '/containers/goes-on/logs?stdout=1&follow=1', '/containers/goes-on/stats'].map((path) =>
      send('GET', path).catch(() => undefined),
    );
    clients.push(send('POST', '/containers/goes-on/wait').catch(() => undefined));
    await sleep(200);
    const begun = performance.now();
    await daemon.stop();
    assert.ok(performance.now() - begun < 2500, `took ${Math.round(performance.now() - begun)} ms`);
    await Promise.all(clients);
    assert.equal(existsSync(pidfile), false);
    assert.equal(existsSync(daemon.socket), false);
    await daemon.start();
    assert.equal(await pidOf(), pid);
    assert.equal((await send('DELETE', '/containers/goes-on?force=1')).status, 204);
  });

  test('a socket that the service manager opened', async () => {
    const [opened, path] = [join(directory, 'opened.sock'), join(directory, 'activated.sock')];
    const server = createServer();
    server.listen(opened);
    await once(server, 'listening');
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
    const roots = `--data-root ${directory}/a/data --exec-root ${directory}/a/run --bridge ${daemon.bridge}a`;
    const script = `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$1" ${roots} --host fd://`;
    const child = spawn('sh', ['-c', script, process.execPath, main], { stdio: ['ignore', 'ignore', 'pipe', fd] });
    let log = '';
    child.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString()));
    const ended = once(child, 'exit');
    try {
      while (!log.includes('completed initialization') && child.exitCode === null) await sleep(20);
      // Ours would take connections otherwise; its close removes the path that it knows.
      renameSync(opened, path);
      server.close();
      assert.equal((await send('GET', '/_ping', undefined, path)).status, 200, log);
    } finally {
      child.kill('SIGTERM');
    }
    assert.deepEqual(await ended, [0, null], log);
  });
});

/** Clients that do not read, lines without an end, crowds of connections: memory stays bounded, containers and others go on. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const MIB = 1 << 20;
const directory = mkdtempSync(join(tmpdir(), 'gantry-slow-'));
const skip = process.getuid?.() === 0 ? false : 'needs root, for an engine of its own';

describe('slow clients', { skip, timeout: 180_000 }, () => {
  const daemon = new DaemonProcess({ directory });
  const sockets: Socket[] = [];
  const docker = (...args: string[]): string => {
    const result = spawnSync('docker', args, { env: daemon.clientEnv, encoding: 'utf8', timeout: 60_000 });
    assert.equal(result.status, 0, result.stderr);
    return result.stdout.trim();
  };
  /** Bytes of the daemon that only it has. */
  const memory = (): number =>
    Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))![1]) * 1024;
  /** A request whose answer nobody reads. */
  const unread = async (method: string, path: string, headers = ''): Promise<void> => {
    const socket = connect(daemon.socket);
    sockets.push(socket);
    socket.on('error', () => {});
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    socket.pause();
    socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
  };
  const close = (): void => {
    for (const socket of sockets.splice(0)) socket.destroy();
  };
  const lastLine = (name: string): number => Number(docker('logs', '--tail', '1', name));
  const until = async (what: string, holds: () => boolean): Promise<void> => {
    for (let tries = 0; !holds(); tries++) {
      assert.ok(tries < 400, what);
      await sleep(100);
    }
  };

  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
  });
  after(async () => {
    close();
    await sleep(100);
    spawnSync('docker', ['rm', '-f', 'flood', 'line'], { env: daemon.clientEnv });
    await daemon.stop();
    await nothingLeft(daemon);
  });

  test('attach and logs -f that never read: the container goes on, a reader gets all, memory is bounded', async () => {
    docker(
      'run',
      '-d',
      '--name',
      'flood',
      '--network',
      'none',
      'busybox',
      'sh',
      '-c',
      'i=0; while :; do echo $i; i=$((i+1)); done',
    );
    await until('the flood begins', () => lastLine('flood') > 1000);
    const idle = memory();
    for (let count = 0; count < 20; count++) {
      await unread(
        'POST',
        '/v1.44/containers/flood/attach?stream=1&stdout=1&logs=1',
        'Connection: Upgrade\r\nUpgrade: tcp\r\n',
      );
      await unread('GET', '/v1.44/containers/flood/logs?follow=1&stdout=1');
      await unread('GET', '/v1.44/events');
    }
    const from = lastLine('flood');
    await until('the container goes on', () => lastLine('flood') > from + 100_000);
    assert.ok(
      memory() - idle < 160 * MIB,
      `${Math.round((memory() - idle) / MIB)} MiB for 60 clients that do not read`,
    );
    const lines = docker('logs', '--tail', '20000', 'flood').split('\n').map(Number);
    assert.equal(lines.length, 20_000);
    for (let index = 1; index < lines.length; index++) assert.equal(lines[index], lines[index - 1]! + 1);
    close();
    docker('rm', '-f', 'flood');
  });

  test('a line without an end', async () => {
    docker('run', '-d', '--name', 'line', '--network', 'none', 'busybox', 'sh', '-c', "tr '\\0' x < /dev/zero");
    const idle = memory();
    const printed = (): boolean =>
      spawnSync('sh', ['-c', 'docker logs line | head -c 100'], { env: daemon.clientEnv }).stdout.length > 0;
    await until('the line begins', printed);
    await unread('GET', '/v1.44/containers/line/logs?follow=1&stdout=1');
    for (let count = 0; count < 3; count++) {
      const { status, stdout } = spawnSync('sh', ['-c', 'docker logs line | head -c 1000'], {
        env: daemon.clientEnv,
        encoding: 'utf8',
        timeout: 60_000,
      });
      assert.equal(status, 0);
      // once the line's beginning has been rotated away, nothing of it is shown
      assert.match(stdout, /^x*$/);
    }
    assert.ok(memory() - idle < 160 * MIB, `${Math.round((memory() - idle) / MIB)} MiB`);
    close();
    docker('rm', '-f', 'line');
  });

  test('thousands that come and go: nothing of them is kept', async () => {
    docker('run', '-d', '--name', 'visited', '--network', 'none', 'busybox', 'sh', '-c', 'echo hello; sleep 1000');
    const descriptors = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;
    const processes = (): number => docker('top', 'visited', '-eo', 'pid').split('\n').length;
    const upgrade = 'Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n';
    /** Sends it, and goes when the first bytes are there. */
    const visit = async (method: string, path: string, headers = '', body = ''): Promise<string> => {
      const socket = connect(daemon.socket);
      socket.on('error', () => {});
      const length = body === '' ? '' : `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\n${headers}${length}\r\n${body}`);
      const answer = await new Promise<string>((resolve) => {
        socket.once('data', (data) => resolve(data.toString()));
        socket.once('close', () => resolve(''));
      });
      socket.destroy();
      return answer;
    };
    const round = async (): Promise<void> => {
      const attach = '/containers/visited/attach?stream=1&stdout=1&stderr=1&logs=1';
      await Promise.all([
        ...Array.from({ length: 20 }, () => visit('POST', attach, upgrade)),
        ...Array.from({ length: 20 }, () => visit('GET', '/containers/visited/logs?follow=1&stdout=1')),
        ...Array.from({ length: 10 }, () => visit('GET', '/containers/visited/stats?stream=1')),
        ...Array.from({ length: 10 }, () => visit('GET', '/events')),
      ]);
      const created = await visit(
        'POST',
        '/containers/visited/exec',
        '',
        '{"Cmd":["cat"],"AttachStdin":true,"AttachStdout":true}',
      );
      const id = /"Id":\s*"([0-9a-f]{64})"/.exec(created)?.[1];
      assert.ok(id, created);
      const started = '{"Detach":false}';
      assert.match(await visit('POST', `/exec/${id}/start`, 'Connection: Upgrade\r\nUpgrade: tcp\r\n', started), /101/);
    };
    for (let rounds = 0; rounds < 4; rounds++) await round();
    await until('the first are forgotten', () => processes() <= 3);
    const [before, kept, running] = [descriptors(), memory(), processes()];
    for (let rounds = 0; rounds < 40; rounds++) await round();
    await until('as many descriptors as before', () => descriptors() <= before + 4);
    await until('as many processes as before', () => processes() <= running);
    assert.ok(memory() - kept < 64 * MIB, `${kept} → ${memory()}`);
    docker('rm', '-f', 'visited');
  });

  test('10,000 connections that say nothing: bounded, and over when their time is', async () => {
    const idle = memory();
    let closed = 0;
    for (let count = 0; count < 10_000; count++) {
      const socket = connect(daemon.socket);
      sockets.push(socket);
      socket.on('error', () => {});
      socket.on('close', () => closed++);
      socket.resume();
      if (count % 500 === 0) await sleep(5);
    }
    // Of one client, whoever else comes is served meanwhile.
    await until('the rest are turned away', () => closed >= 10_000 - 512);
    assert.ok(closed < 10_000);
    assert.equal(docker('ps', '-q', '--filter', 'name=nosuch'), '');
    assert.ok(memory() - idle < 120 * MIB, `${Math.round((memory() - idle) / MIB)} MiB`);
    // those that were let in have ten seconds for their headers
    await until('they are closed', () => closed === 10_000);
    assert.equal(docker('ps', '-q', '--filter', 'name=nosuch'), '');
    close();
  });
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import Docker from 'dockerode';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';

/** A client of many programs: testcontainers, dashboards, test suites. */
describe('dockerode', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-dockerode-'));
  const daemon = new DaemonProcess({ directory });
  const docker = new Docker({ socketPath: daemon.socket });

  runsDaemon(daemon, { busybox: true });

  function collect(
    container: Docker.Container,
    stream: NodeJS.ReadWriteStream,
  ): { out: () => string; err: () => string } {
    const texts = { out: '', err: '' };
    const [out, err] = [new PassThrough(), new PassThrough()];
    out.on('data', (chunk: Buffer) => (texts.out += chunk.toString()));
    err.on('data', (chunk: Buffer) => (texts.err += chunk.toString()));
    container.modem.demuxStream(stream, out, err);
    return { out: () => texts.out, err: () => texts.err };
  }

  async function remove(container: Docker.Container): Promise<void> {
    await container.remove({ force: true, v: true });
  }

  test('run, wait, logs, remove', async () => {
    const container = await docker.createContainer({
      Image: 'busybox',
      Cmd: ['sh', '-c', 'echo out; echo err >&2; exit 3'],
      HostConfig: { NetworkMode: 'none' },
    });
    try {
      const waiting = container.wait({ condition: 'next-exit' }) as Promise<{ StatusCode: number }>;
      await container.start();
      assert.equal((await waiting).StatusCode, 3);
      const logs = await container.logs({ stdout: true, stderr: true });
      assert.equal(logs.toString('latin1'), '\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n');
      assert.equal((await container.inspect()).State.ExitCode, 3);
    } finally {
      await remove(container);
    }
    await assert.rejects(container.inspect(), { statusCode: 404, reason: 'no such container' });
  });

  test('attach with stdin, half-closed', async () => {
    const container = await docker.createContainer({
      Image: 'busybox',
      Cmd: ['wc', '-c'],
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
      HostConfig: { NetworkMode: 'none' },
    });
    try {
      const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
      const texts = collect(container, stream);
      await container.start();
      stream.write('hello');
      stream.end(' world');
      await once(stream, 'end');
      assert.equal(texts.out(), '11\n');
    } finally {
      await remove(container);
    }
  });

  test('exec with and without a terminal, and its exit code', async () => {
    const container = await docker.createContainer({
      Image: 'busybox',
      Cmd: ['sleep', '300'],
      HostConfig: { NetworkMode: 'none' },
    });
    try {
      await container.start();
      const exec = await container.exec({
        Cmd: ['sh', '-c', 'cat; echo err >&2; exit 5'],
        AttachStdin: true,
        AttachStdout: true,
        AttachStderr: true,
      });
      const stream = await exec.start({ hijack: true, stdin: true });
      const texts = collect(container, stream);
      stream.end('typed\n');
      await once(stream, 'end');
      assert.equal(texts.out(), 'typed\n');
      assert.equal(texts.err(), 'err\n');
      assert.equal((await exec.inspect()).ExitCode, 5);

      const tty = await container.exec({ Cmd: ['tty'], AttachStdout: true, Tty: true });
      const terminal = await tty.start({ Tty: true });
      let text = '';
      for await (const chunk of terminal as AsyncIterable<Buffer>) text += chunk.toString();
      assert.match(text, /^\/dev\/pts\/0\r\n$/);
    } finally {
      await remove(container);
    }
  });

  test('archives, lists, stats and events', async () => {
    const events = await docker.getEvents({ filters: { type: ['container'] } });
    const seen: string[] = [];
    events.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().trim().split('\n'))
        seen.push((JSON.parse(line) as { Action: string }).Action);
    });
    const container = await docker.createContainer({
      Image: 'busybox',
      name: `dockerode-${process.pid}`,
      Cmd: ['sleep', '300'],
      Labels: { suite: 'dockerode' },
      HostConfig: { NetworkMode: 'none' },
    });
    try {
      await container.start();
      const tar = (await container.getArchive({ path: '/etc/passwd' })) as unknown as AsyncIterable<Buffer>;
      const chunks: Buffer[] = [];
      for await (const chunk of tar) chunks.push(chunk);
      await container.putArchive(Buffer.concat(chunks), { path: '/tmp' });
      const info = (await container.infoArchive({ path: '/tmp/passwd' })) as unknown as {
        headers: Record<string, string>;
      };
      assert.ok(info.headers['x-docker-container-path-stat']);
      const listed = await docker.listContainers({ filters: { label: ['suite=dockerode'] } });
      assert.deepEqual(
        listed.map(({ Names }) => Names),
        [[`/dockerode-${process.pid}`]],
      );
      const stats = await container.stats({ stream: false });
      assert.ok(stats.memory_stats.usage > 0);
      await container.kill();
      await container.wait();
    } finally {
      await remove(container);
    }
    while (!seen.includes('destroy')) await once(events, 'data');
    assert.deepEqual(
      seen.filter((action) => ['create', 'start', 'die', 'destroy'].includes(action)),
      ['create', 'start', 'die', 'destroy'],
    );
    (events as unknown as { destroy: () => void }).destroy();
  });
});

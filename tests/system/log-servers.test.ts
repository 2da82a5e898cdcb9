/** Log drivers that send what is printed to a server: nothing is lost while it, or the engine, is away. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';

/** A server that keeps what it is sent, as lines. */
class LineServer {
  readonly #port: number;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  text = '';

  constructor(port: number) {
    this.#port = port;
  }

  static async open(port = 0): Promise<LineServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const chosen = (server.address() as { port: number }).port;
    server.close();
    const made = new LineServer(chosen);
    await made.start();
    return made;
  }

  get address(): string {
    return `tcp://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('data', (data) => (this.text += data.toString('latin1')));
    });
    await new Promise<void>((resolve) => this.#server!.listen(this.#port, '127.0.0.1', resolve));
  }

  stop(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  /** What is behind `]: ` of each line. */
  get lines(): string[] {
    return [...this.text.matchAll(/\]: (.*)\n/g)].map(([, line]) => line!);
  }

  async until(line: string): Promise<void> {
    for (let tries = 0; !this.lines.includes(line); tries++) {
      assert.ok(tries < 600, `${line} has not come: ${JSON.stringify(this.lines.slice(-5))}`);
      await sleep(50);
    }
  }
}

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `n${from + index}`);

describe('log servers', { concurrency: 1 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-log-servers-'));
  const daemon = new DaemonProcess({ directory });
  runsDaemon(daemon, { busybox: true });
  const docker = (...words: string[]): { code: number | null; out: string; err: string } => {
    const { status, stdout, stderr } = spawnSync('docker', words, { env: daemon.clientEnv, encoding: 'utf8' });
    return { code: status, out: stdout.trim(), err: stderr.trim() };
  };
  const syslogTo = (server: LineServer, ...more: string[]): string[] => [
    '--network=none',
    '--log-driver=syslog',
    `--log-opt=syslog-address=${server.address}`,
    ...more,
  ];

  test('what a container prints arrives, also of one that is removed at its end, and logs reads it here', async () => {
    const server = await LineServer.open();
    try {
      assert.equal(
        docker(
          'run',
          '--rm',
          ...syslogTo(server),
          'busybox',
          'sh',
          '-c',
          'for n in $(seq 1 3000); do echo n$n; done; echo e >&2; printf end',
        ).code,
        0,
      );
      await server.until('end');
      assert.deepEqual(
        server.lines.filter((line) => line.startsWith('n')),
        numbers(1, 3000),
      );
      assert.match(server.text, /^<27>.*: e$/m);
      docker('run', '-d', '--name', 'kept', ...syslogTo(server), 'busybox', 'echo', 'here');
      docker('wait', 'kept');
      assert.equal(docker('logs', 'kept').out, 'here');
      assert.equal(docker('inspect', '-f', '{{.LogPath}}|{{.HostConfig.LogConfig.Type}}', 'kept').out, '|syslog');
      docker('rm', 'kept');
      docker(
        'run',
        '-d',
        '--name',
        'unread',
        ...syslogTo(server, '--log-opt=cache-disabled=true'),
        'busybox',
        'echo',
        'x',
      );
      assert.match(docker('logs', 'unread').err, /configured logging driver does not support reading/);
      docker('rm', '-f', 'unread');
    } finally {
      server.stop();
    }
  });

  test('a server that is away, and an engine that is killed: no line is lost', async () => {
    const server = await LineServer.open();
    try {
      const script = 'n=1; while [ $n -le 400 ]; do echo n$n; n=$((n+1)); sleep 0.02; done; echo over; sleep 1000';
      assert.equal(docker('run', '-d', '--name', 'talks', ...syslogTo(server), 'busybox', 'sh', '-c', script).code, 0);
      await server.until('n20');
      server.stop();
      await sleep(500);
      await daemon.kill();
      await sleep(300);
      await daemon.start();
      await sleep(500);
      await server.start();
      await server.until('over');
      const heard = new Set(server.lines);
      // what the kernel had taken for a server that ended is nobody's to send again
      const lost = numbers(1, 400).filter((line) => !heard.has(line));
      assert.ok(lost.length <= 50, lost.join(' '));
      for (const line of lost) assert.ok(Number(line.slice(1)) < 150, line);
      assert.equal(docker('rm', '-f', 'talks').code, 0);
      assert.match(daemon.log, /its output waits on this host for its log server/);
    } finally {
      server.stop();
    }
  });

  test('acknowledged lines: each arrives, whatever ends in between', async () => {
    const chunks = new Map<string, number>();
    let text = '';
    let refuse = true;
    const server = createServer((socket) => {
      socket.on('error', () => {});
      if (refuse) {
        socket.destroy();
        return;
      }
      socket.on('data', (data) => {
        const said = data.toString('latin1');
        text += said;
        for (const [, id] of said.matchAll(/chunk\xd9\x24([0-9a-f-]{36})/g)) {
          chunks.set(id!, (chunks.get(id!) ?? 0) + 1);
          socket.write(Buffer.from(`\x81\xa3ack\xd9\x24${id}`, 'latin1'));
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const flags = [
      `fluentd-address=127.0.0.1:${port}`,
      'fluentd-async=true',
      'fluentd-request-ack=true',
      'fluentd-retry-wait=100ms',
    ];
    try {
      const words = [
        'run',
        '-d',
        '--name',
        'asks',
        '--network=none',
        '--log-driver=fluentd',
        ...flags.map((flag) => `--log-opt=${flag}`),
      ];
      assert.equal(docker(...words, 'busybox', 'sh', '-c', 'for n in $(seq 1 300); do echo n$n; done').code, 0);
      docker('wait', 'asks');
      await daemon.kill();
      refuse = false;
      await daemon.start();
      for (let tries = 0; !text.includes('\xa4n300'); tries++) {
        assert.ok(tries < 600, text.slice(-200));
        await sleep(50);
      }
      const heard = [...text.matchAll(/\xa3log[\xa0-\xbf](n\d+)/g)].map(([, line]) => line!);
      assert.deepEqual([...new Set(heard)], numbers(1, 300));
      assert.equal(docker('rm', 'asks').code, 0);
    } finally {
      server.close();
    }
  });

  test('what cannot be is refused as Docker does, and leaves nothing', () => {
    for (const [driver, options, words] of [
      ['syslog', ['foo=bar'], "unknown log opt 'foo' for syslog log driver"],
      ['fluentd', ['foo=bar'], "unknown log opt 'foo' for fluentd log driver"],
      ['gelf', ['foo=bar'], 'gelf-address is a required parameter'],
      ['gcplogs', [], 'error looking up logging plugin gcplogs: plugin "gcplogs" not found'],
      ['syslog', ['syslog-address=foo'], "unsupported scheme: ''"],
      ['syslog', ['syslog-address=unix:///nonexistent'], 'stat /nonexistent: no such file or directory'],
      ['syslog', ['syslog-facility=foo'], 'invalid syslog facility'],
      ['syslog', ['syslog-format=foo'], 'Invalid syslog format'],
      [
        'syslog',
        ['syslog-address=tcp://127.0.0.1:9', 'max-size=3'],
        "unknown log opt 'max-size' for syslog log driver",
      ],
      ['syslog', ['syslog-address=udp://127.0.0.1:9', 'mode=foo'], 'logger: logging mode not supported: foo'],
      [
        'syslog',
        ['syslog-address=udp://127.0.0.1:9', 'tag={{.Foo}}'],
        'failed to initialize logging driver: template: log-tag:1:2: executing "log-tag" at <.Foo>: can\'t evaluate field Foo in type *logger.Info',
      ],
      [
        'syslog',
        ['syslog-address=tcp://127.0.0.1:9'],
        'failed to create task for container: failed to initialize logging driver: dial tcp 127.0.0.1:9: connect: connection refused',
      ],
      ['gelf', ['gelf-address=foo'], 'gelf: endpoint needs to be TCP or UDP'],
      ['gelf', ['gelf-address=udp://127.0.0.1'], 'gelf: please provide gelf-address as proto://host:port'],
      [
        'gelf',
        ['gelf-address=tcp://127.0.0.1:9', 'gelf-compression-type=gzip'],
        'compression is only supported on UDP',
      ],
      [
        'gelf',
        ['gelf-address=udp://127.0.0.1:9', 'gelf-tcp-max-reconnect=1'],
        '"gelf-tcp-max-reconnect" is only valid for TCP',
      ],
      ['fluentd', ['fluentd-address=http://foo'], "invalid fluentd-address (http://foo): unsupported scheme: 'http'"],
      [
        'fluentd',
        ['fluentd-address=tcp://h/x'],
        'invalid fluentd-address (tcp://h/x): should not contain a path element',
      ],
      ['fluentd', ['fluentd-retry-wait=x'], 'time: invalid duration "x"'],
      ['fluentd', ['fluentd-async=x'], 'strconv.ParseBool: parsing "x": invalid syntax'],
      ['splunk', [], 'failed to initialize logging driver: splunk: splunk-url is expected'],
    ] as const) {
      const flags = options.map((option) => `--log-opt=${option}`);
      const { code, err } = docker(
        'run',
        '--rm',
        '--network=none',
        `--log-driver=${driver}`,
        ...flags,
        'busybox',
        'true',
      );
      // the docker command takes any missing file for the container's program
      assert.equal(code, words.includes('no such file') ? 127 : 125, `${driver} ${options.join(' ')}`);
      assert.ok(err.includes(words), `${driver} ${options.join(' ')}: ${err}`);
    }
    assert.equal(docker('ps', '-aq').out, '');
    assert.match(
      docker('info', '-f', '{{json .Plugins.Log}}').out,
      /\["fluentd","gelf","journald","json-file","local","none","splunk","syslog"\]/,
    );
  });
});

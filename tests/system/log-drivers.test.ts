import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync, inflateSync } from 'node:zlib';
import { DatagramListener } from '../support/datagram-listener.ts';
import { LOG_DRIVERS } from '../../src/logging/drivers.ts';
import { journaldAt } from '../../src/logging/journald.ts';
import type { LogDriver, LogMessage, LogSource } from '../../src/logging/log-sink.ts';
import { Messages } from '../../src/logging/messages.ts';

const SOURCE: LogSource = {
  id: 'fae92c0957ee70b1ed547c247f6df419f3fab5c217b2d0694f8e42265b766864',
  name: 'lg',
  imageId: 'sha256:9a2159e07893bc304aedcfb4a932c81c7ca359eebeb0a7bb5a6f3efcab1e02a1',
  imageName: 'busybox',
  command: ['sh', '-c', 'echo one; echo two >&2'],
  createdAt: '2026-12-01T13:01:46.72647664Z',
  labels: { a: 'b', other: 'x' },
  env: ['E=1', 'PATH=/bin'],
  hostname: 'vm',
};
const TIME = 1_796_130_107_758_123_456n;
const at = (text: string, stream: 'stdout' | 'stderr' = 'stdout'): LogMessage => ({
  time: TIME,
  stream,
  text: Buffer.from(text),
});

async function sent(
  driver: LogDriver,
  options: Record<string, string>,
  messages: readonly LogMessage[],
): Promise<void> {
  const given = new Map(Object.entries(options));
  driver.check(given);
  const sink = driver.open(given, SOURCE);
  try {
    await sink.connect();
    await sink.send(messages);
  } finally {
    sink.close();
  }
}

/** What a server on a port of its own receives until `enough` of it is there. */
async function overTcp(
  work: (address: string) => Promise<void>,
  enough: (heard: Buffer) => boolean,
  answer?: (socket: Socket, heard: Buffer) => void,
): Promise<Buffer> {
  let heard = Buffer.alloc(0);
  const done = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      heard = Buffer.concat([heard, data]);
      answer?.(socket, heard);
      if (enough(heard)) done.resolve();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await work(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    await done.promise;
  } finally {
    server.close();
  }
  return heard;
}

async function overUdp(count: number, work: (address: string) => Promise<void>): Promise<Buffer[]> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const packets: Buffer[] = [];
  const done = Promise.withResolvers<void>();
  socket.on('message', (packet) => {
    packets.push(packet);
    if (packets.length === count) done.resolve();
  });
  try {
    await work(`127.0.0.1:${socket.address().port}`);
    await done.promise;
  } finally {
    socket.close();
  }
  return packets;
}

test('syslog: the formats that Docker has, each line with its own time', async () => {
  process.env['TZ'] = 'UTC';
  const driver = LOG_DRIVERS.get('syslog')!;
  const pid = process.pid;
  const both = [at('one'), at('two', 'stderr')];
  const lines = async (options: Record<string, string>): Promise<string[]> =>
    (await overUdp(2, (address) => sent(driver, { 'syslog-address': `udp://${address}`, ...options }, both))).map(
      String,
    );
  assert.deepEqual(await lines({}), [
    `<30>Dec  1 13:01:47 fae92c0957ee[${pid}]: one\n`,
    `<27>Dec  1 13:01:47 fae92c0957ee[${pid}]: two\n`,
  ]);
  assert.deepEqual(await lines({ 'syslog-format': 'rfc5424', tag: 'hello', 'syslog-facility': 'local3' }), [
    `<158>1 2026-12-01T13:01:47Z vm hello ${pid} hello - one\n`,
    `<155>1 2026-12-01T13:01:47Z vm hello ${pid} hello - two\n`,
  ]);
  assert.equal(
    (await lines({ 'syslog-format': 'rfc5424micro', 'syslog-facility': '0' }))[0],
    `<6>1 2026-12-01T13:01:47.758123Z vm fae92c0957ee ${pid} fae92c0957ee - one\n`,
  );
  const tag = '{{.Name}}/{{.ID}}/{{.ImageName}}/{{.DaemonName}}/{{.ImageID}}/{{upper .ImageName}}';
  const heard = await overTcp(
    (address) => sent(driver, { 'syslog-address': `tcp://${address}`, 'syslog-format': 'rfc3164', tag }, both),
    (data) => data.includes('two\n'),
  );
  const head = `vm lg/fae92c0957ee/busybox/docker/sha256:9a215/BUSYBOX[${pid}]: `;
  assert.equal(String(heard), `<30>Dec  1 13:01:47 ${head}one\n<27>Dec  1 13:01:47 ${head}two\n`);
});

test('syslog: a socket of this host', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-syslog-'));
  const listener = new DatagramListener(join(directory, 'log'));
  try {
    await sent(LOG_DRIVERS.get('syslog')!, { 'syslog-address': `unixgram://${listener.path}` }, [at('one')]);
    while (listener.packets.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.match(listener.packets[0]!, /^<30>Dec .* fae92c0957ee\[\d+\]: one\n$/);
  } finally {
    listener.close();
    rmSync(directory, { recursive: true });
  }
});

test('gelf: compressed packets, chunks of what is long, and a zero byte behind each over TCP', async () => {
  const driver = LOG_DRIVERS.get('gelf')!;
  const expected = {
    version: '1.1',
    host: 'vm',
    short_message: 'one',
    timestamp: 1796130107.758,
    level: 6,
    _E: '1',
    _a: 'b',
    _command: 'sh -c echo one; echo two >&2',
    _container_id: SOURCE.id,
    _container_name: 'lg',
    _created: SOURCE.createdAt,
    _image_id: SOURCE.imageId,
    _image_name: 'busybox',
    _tag: 'fae92c0957ee',
  };
  const chosen = { labels: 'a', 'env-regex': '^E$' };
  const [packet] = await overUdp(1, (address) =>
    sent(driver, { 'gelf-address': `udp://${address}`, ...chosen }, [at('one')]),
  );
  assert.deepEqual(JSON.parse(gunzipSync(packet!).toString()), expected);

  const long = 'x'.repeat(5000);
  const chunks = await overUdp(4, (address) =>
    sent(driver, { 'gelf-address': `udp://${address}`, 'gelf-compression-type': 'none' }, [at(long)]),
  );
  for (const [index, chunk] of chunks.entries()) {
    assert.deepEqual([...chunk.subarray(0, 2)], [0x1e, 0x0f]);
    assert.deepEqual([...chunk.subarray(10, 12)], [index, 4]);
    assert.ok(chunk.length <= 1420);
  }
  const whole = Buffer.concat(chunks.map((chunk) => chunk.subarray(12))).toString();
  assert.equal((JSON.parse(whole) as { short_message: string }).short_message, long);

  const [deflated] = await overUdp(1, (address) =>
    sent(driver, { 'gelf-address': `udp://${address}`, 'gelf-compression-type': 'zlib' }, [at('two', 'stderr')]),
  );
  assert.equal((JSON.parse(inflateSync(deflated!).toString()) as { level: number }).level, 3);

  const heard = await overTcp(
    (address) => sent(driver, { 'gelf-address': `tcp://${address}`, ...chosen }, [at('one'), at('two')]),
    (data) => data.includes('two') && data.at(-1) === 0,
  );
  const documents = heard.toString().split('\0');
  assert.deepEqual(JSON.parse(documents[0]!), expected);
  assert.deepEqual(documents.slice(2), ['']);
});

/** MessagePack back to values, of the kinds that Docker's driver sends. */
function unpack(data: Buffer): unknown[] {
  let place = 0;
  const text = (size: number): string => data.toString('utf8', place, (place += size));
  const value = (): unknown => {
    const mark = data[place++]!;
    if (mark < 0x80) return mark;
    if (mark < 0x90) return Object.fromEntries(Array.from({ length: mark & 15 }, () => [value(), value()]));
    if (mark < 0xa0) return Array.from({ length: mark & 15 }, value);
    if (mark < 0xc0) return text(mark & 31);
    if (mark === 0xd9) return text(data[place++]!);
    if (mark === 0xda) return text(data.readUInt16BE((place += 2) - 2));
    if (mark === 0xce || mark === 0xd2) return data.readUInt32BE((place += 4) - 4);
    if (mark === 0xd7) return data.subarray(place, (place += 9)).toString('hex');
    throw new Error(`mark ${mark.toString(16)}`);
  };
  const values: unknown[] = [];
  while (place < data.length) values.push(value());
  return values;
}

/** Sent by dockerd 28.5: `echo one` in a container with the label a=b, and the same with times to the nanosecond. */
const OF_DOCKER = [
  '94ac646165333431623834323435d26b0ec53f85ac636f6e7461696e65725f6964d94064616533343162383432343533633739326663396162373766346131353238363163343466626661353432323133396465316562346431653736306138613262ae636f6e7461696e65725f6e616d65a32f6c67a6736f75726365a67374646f7574a36c6f67a36f6e65a161a16280',
  '94ac646432663865663630626563d7006b0ec5400b4a005b84a6736f75726365a67374646f7574a36c6f67a36f6e65ac636f6e7461696e65725f6964d94064643266386566363062656336363835366162393934336263653661623137326434396534393433613661643735623636363931656233616261333530383135ae636f6e7461696e65725f6e616d65a32f6c6780',
].map((hex) => unpack(Buffer.from(hex, 'hex'))[0] as [string, unknown, Record<string, string>, unknown]);

test('fluentd: what Docker sends, and acknowledgements', async () => {
  const driver = LOG_DRIVERS.get('fluentd')!;
  const one = (options: Record<string, string>): Promise<Buffer> =>
    overTcp(
      (address) => sent(driver, { 'fluentd-address': address, ...options }, [at('one')]),
      (data) => data.at(-1) === 0x80,
    );
  const own = { container_id: SOURCE.id, container_name: '/lg' };
  const [coarse, fine] = OF_DOCKER;
  assert.deepEqual(unpack(await one({ 'labels-regex': '^a' })), [
    ['fae92c0957ee', 1796130107, { ...coarse![2], ...own }, coarse![3]],
  ]);
  const [found] = unpack(await one({ 'fluentd-sub-second-precision': 'true' })) as typeof OF_DOCKER;
  assert.deepEqual(found![2], { ...fine![2], ...own });
  assert.equal(found![1], `00${(1796130107).toString(16)}${(758_123_456).toString(16).padStart(8, '0')}`);

  const acknowledged: string[] = [];
  const heard = await overTcp(
    (address) => sent(driver, { 'fluentd-address': address, 'fluentd-request-ack': 'true' }, [at('one'), at('two')]),
    () => acknowledged.length === 2,
    (socket, data) => {
      const ids = unpack(data).map((message) => (message as [unknown, unknown, unknown, { chunk: string }])[3].chunk);
      const id = ids.at(-1)!;
      acknowledged.push(id);
      socket.write(
        Buffer.concat([Buffer.from([0x81, 0xa3]), Buffer.from('ack'), Buffer.from([0xd9, id.length]), Buffer.from(id)]),
      );
    },
  );
  assert.equal(unpack(heard).length, 2);
  assert.equal(new Set(acknowledged).size, 2);
});

test('journald: fields, by their length where they have newlines', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-journal-'));
  const listener = new DatagramListener(join(directory, 'socket'));
  try {
    await sent(journaldAt(listener.path), { labels: 'a' }, [at('one'), at('t\nw\n', 'stderr')]);
    while (listener.packets.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    const [first, second] = listener.packets;
    const fields = new Map(
      first!
        .trim()
        .split('\n')
        .map((line) => line.split('=') as [string, string]),
    );
    assert.deepEqual(Object.fromEntries(fields), {
      MESSAGE: 'one',
      PRIORITY: '6',
      SYSLOG_TIMESTAMP: '2026-12-01T13:01:47.758Z',
      CONTAINER_ID: 'fae92c0957ee',
      CONTAINER_ID_FULL: SOURCE.id,
      CONTAINER_NAME: 'lg',
      CONTAINER_TAG: 'fae92c0957ee',
      IMAGE_NAME: 'busybox',
      SYSLOG_IDENTIFIER: 'fae92c0957ee',
      A: 'b',
    });
    assert.ok(second!.startsWith('MESSAGE\n\x04\0\0\0\0\0\0\0t\nw\n\nPRIORITY=3\n'), JSON.stringify(second));
  } finally {
    listener.close();
    rmSync(directory, { recursive: true });
  }
  await assert.rejects(sent(journaldAt(join(directory, 'gone')), {}, []), {
    message: 'journald is not enabled on this host',
  });
});

test('splunk: events, their formats, and what a collector refuses', async () => {
  const driver = LOG_DRIVERS.get('splunk')!;
  const asked: { method: string; path: string; token: string; body: string }[] = [];
  let status = 200;
  const server = createHttpServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const bytes = Buffer.concat(parts);
      const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes;
      asked.push({
        method: request.method!,
        path: request.url!,
        token: request.headers.authorization!,
        body: body.toString(),
      });
      response.writeHead(status).end('{"text":"Success","code":0}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = {
    'splunk-url': `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    'splunk-token': 'secret',
  };
  const body = async (options: Record<string, string>, messages: LogMessage[]): Promise<unknown> => {
    asked.length = 0;
    await sent(driver, { ...address, ...options }, messages);
    assert.deepEqual(
      asked.map(({ method }) => method),
      ['OPTIONS', 'POST'],
    );
    assert.equal(asked[1]!.path, '/services/collector/event/1.0');
    assert.equal(asked[1]!.token, 'Splunk secret');
    return asked[1]!.body.split(/(?<=\})(?=\{)/).map((text) => JSON.parse(text) as unknown);
  };
  try {
    const plain = { host: 'vm', time: '1796130107.758123' };
    assert.deepEqual(await body({ labels: 'a', 'splunk-gzip': 'true' }, [at('one'), at('{"k":1}', 'stderr')]), [
      { ...plain, event: { line: 'one', source: 'stdout', tag: 'fae92c0957ee', attrs: { a: 'b' } } },
      { ...plain, event: { line: '{"k":1}', source: 'stderr', tag: 'fae92c0957ee', attrs: { a: 'b' } } },
    ]);
    assert.deepEqual(await body({ 'splunk-format': 'json', 'splunk-index': 'main' }, [at('{"k":1}')]), [
      { ...plain, index: 'main', event: { line: { k: 1 }, source: 'stdout', tag: 'fae92c0957ee' } },
    ]);
    assert.deepEqual(await body({ 'splunk-format': 'raw', env: 'E' }, [at('one'), at('  ')]), [
      { ...plain, event: 'fae92c0957ee E=1 one' },
    ]);
    status = 403;
    await assert.rejects(sent(driver, address, [at('one')]), /splunk: failed to send event - 403 Forbidden/);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  for (const [options, message] of [
    [{}, 'splunk: splunk-url is expected'],
    [{ 'splunk-url': 'x' }, 'splunk: expected format scheme://dns_name_or_ip:port for splunk-url'],
    [{ 'splunk-url': 'http://h:1' }, 'splunk: splunk-token is expected'],
  ] as const)
    await assert.rejects(sent(driver, options, []), { message });
});

test('a server that is not there is told in Docker’s words', async () => {
  for (const [name, options, message] of [
    ['syslog', { 'syslog-address': 'tcp://127.0.0.1:9' }, 'dial tcp 127.0.0.1:9: connect: connection refused'],
    [
      'gelf',
      { 'gelf-address': 'tcp://127.0.0.1:9' },
      'gelf: cannot connect to GELF endpoint: 127.0.0.1:9 dial tcp 127.0.0.1:9: connect: connection refused',
    ],
    ['fluentd', { 'fluentd-address': '127.0.0.1:9' }, 'dial tcp 127.0.0.1:9: connect: connection refused'],
  ] as const)
    await assert.rejects(sent(LOG_DRIVERS.get(name)!, options, []), { message });
  assert.equal(typeof hostname(), 'string');
});

test('servers that do not read, never acknowledge, or talk without an end hold up nobody who leaves', async () => {
  const many = Array.from({ length: 200 }, () => at('x'.repeat(16_000)));
  for (const [name, options, hostile] of [
    ['syslog', (address: string) => ({ 'syslog-address': `tcp://${address}` }), (socket: Socket) => socket.pause()],
    [
      'fluentd',
      (address: string) => ({ 'fluentd-address': address, 'fluentd-request-ack': 'true' }),
      (socket: Socket) => socket.write('no acknowledgement'),
    ],
    [
      'splunk',
      (address: string) => ({
        'splunk-url': `http://${address}`,
        'splunk-token': 't',
        'splunk-verify-connection': '0',
      }),
      (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{'),
    ],
  ] as const) {
    const closed = Promise.withResolvers<void>();
    const heard = Promise.withResolvers<void>();
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('close', () => closed.resolve());
      socket.once('data', () => {
        hostile(socket);
        heard.resolve();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const sink = LOG_DRIVERS.get(name)!.open(
      new Map(Object.entries(options(`127.0.0.1:${(server.address() as AddressInfo).port}`))),
      SOURCE,
    );
    const failed = assert.rejects(sink.send([...many, ...many, ...many]), name);
    await heard.promise;
    sink.close();
    await failed;
    if (name !== 'syslog') await closed.promise; // what does not read, does not see the end
    server.close();
  }

  // unasked, and as an answer: nobody listens to all of it
  const flooded = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('close', () => flooded.resolve());
    socket.once('data', () => {
      const flood = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536)));
      };
      socket.on('drain', flood);
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      flood();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sink = LOG_DRIVERS.get('syslog')!.open(new Map([['syslog-address', `tcp://${address}`]]), SOURCE);
  await sink.send([at('x')]);
  await flooded.promise;
  sink.close();
  await sent(LOG_DRIVERS.get('splunk')!, { 'splunk-url': `http://${address}`, 'splunk-token': 't' }, [at('x')]);
  server.close();
});

test('options that are devices, waits, and bombs', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-log-options-'));
  const fifo = join(directory, 'fifo');
  spawnSync('mkfifo', [fifo]);
  try {
    for (const path of ['/dev/zero', fifo, directory]) {
      const address = { 'syslog-address': 'tcp+tls://127.0.0.1:9' };
      for (const name of ['syslog-tls-ca-cert', 'syslog-tls-cert', 'syslog-tls-key'])
        await assert.rejects(sent(LOG_DRIVERS.get('syslog')!, { ...address, [name]: path }, []), /not a regular file/);
      const collector = { 'splunk-url': 'https://127.0.0.1:9', 'splunk-token': 't', 'splunk-capath': path };
      await assert.rejects(sent(LOG_DRIVERS.get('splunk')!, collector, []), /not a regular file/);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  const source = { ...SOURCE, env: Array.from({ length: 5000 }, (_, n) => `V${n}=${n}`) };
  for (const tag of [
    '{{range 4000000000}}x{{end}}',
    `${'{{range $.ContainerEnv}}'.repeat(5)}${'{{end}}'.repeat(5)}`,
    '{{printf "%400000000d" 1 | printf "%s%s%s"}}{{pad "x" 400000000 400000000}}',
    `{{$x := "xxxxxxxxxxxxxxxx"}}${'{{$x = print $x $x}}'.repeat(40)}`,
    'x'.repeat(100_000),
    '{{split (index .ContainerEnv 4999) "" | join "" | printf "%900000s" | split ""}}',
  ])
    assert.throws(
      () =>
        LOG_DRIVERS.get('syslog')!.open(
          new Map(Object.entries({ 'syslog-address': 'udp://127.0.0.1:9', tag })),
          source,
        ),
      /template: log-tag:1|template: :1/,
      tag.slice(0, 60),
    );
});

test('lines are put together from their parts, and cut into pieces that are too long', () => {
  const messages = new Messages();
  const take = (text: string, whole: boolean, stream: 1 | 2 = 1): string[] =>
    messages
      .take({ time: TIME, stream, text: Buffer.from(text), whole })
      .map(
        ({ text: bytes, piece }) =>
          `${bytes.length > 20 ? bytes.length : String(bytes)}${piece ? ` ${piece.ordinal}${piece.last ? '!' : ''}` : ''}`,
      );
  assert.deepEqual(take('a', false), []);
  assert.deepEqual(take('x', true, 2), ['x']);
  assert.equal(messages.pending, true);
  assert.deepEqual(take('b', true), ['ab']);
  assert.deepEqual(take('', true), ['']);
  assert.equal(messages.pending, false);
  assert.deepEqual(take('y'.repeat(16 * 1024), true), ['16384']);
  assert.deepEqual(take('y'.repeat(40_000), true), ['16384 1', '16384 2', '7232 3!']);
  assert.deepEqual(take('end', false), []);
  assert.deepEqual(
    messages.rest().map(({ text, piece }) => [String(text), piece?.ordinal, piece?.last]),
    [['end', 1, false]],
  );
});

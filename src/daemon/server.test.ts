import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { ContainerCreateRequest } from '../api/container.ts';
import { EngineError, notFound } from '../base/errors.ts';
import type { AttachSession, EngineServices } from '../engine/engine.ts';
import { TestServer } from './testing/http.ts';

const ID = 'c'.repeat(64);

function session(output: AttachSession['output'], parts: Partial<AttachSession> = {}): AttachSession {
  return { tty: false, output, write: async () => 'passed', endInput: async () => {}, close: () => {}, ...parts };
}

async function* chunks(...texts: [1 | 2, string][]): AttachSession['output'] {
  for (const [stream, text] of texts) yield { stream, data: Buffer.from(text) };
}

test('ping answers the headers that clients negotiate by, with GET and HEAD', async () => {
  await using server = await TestServer.start({});
  for (const method of ['GET', 'HEAD']) {
    const { status, headers, text } = await server.request(method, '/_ping');
    assert.equal(status, 200);
    assert.equal(text, method === 'GET' ? 'OK' : '');
    assert.equal(headers['api-version'], '1.51');
    assert.equal(headers['builder-version'], '2');
    assert.equal(headers['docker-experimental'], 'false');
    assert.equal(headers['ostype'], 'linux');
    assert.equal(headers['swarm'], 'inactive');
    assert.match(String(headers['server']), /^Gantry\//);
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(headers['cache-control'], 'no-cache, no-store, must-revalidate');
  }
});

test('requests that no route, version or body rule lets through', async (t) => {
  await using server = await TestServer.start({
    containers: { inspect: async (id) => Promise.reject(notFound('container', id)), list: async () => [] },
  });
  const deep = `{"a":${'['.repeat(80)}${']'.repeat(80)}}`;
  const cases: [string, string, string | undefined, number, RegExp][] = [
    ['GET', '/v1.51/nope', undefined, 404, /^page not found$/],
    ['POST', '/v1.51/containers/json', undefined, 404, /^page not found$/],
    ['GET', '/', undefined, 404, /^page not found$/],
    ['GET', '/vabc/version', undefined, 404, /^page not found$/],
    ['GET', '/%ff/version', undefined, 404, /^page not found$/],
    [
      'GET',
      '/v1.21/version',
      undefined,
      400,
      /^client version 1\.21 is too old\. Minimum supported API version is 1\.24/,
    ],
    ['GET', '/v1/version', undefined, 400, /^client version 1 is too old/],
    [
      'GET',
      '/v1.52/version',
      undefined,
      400,
      /^client version 1\.52 is too new\. Maximum supported API version is 1\.51$/,
    ],
    ['GET', '/v2.0/version', undefined, 400, /^client version 2\.0 is too new/],
    ['GET', '/v1.24/containers/web/json', undefined, 404, /^No such container: web$/],
    ['GET', '/containers/a%2Fb/json', undefined, 404, /^No such container: a\/b$/],
    ['GET', '/v1.51/containers/json?limit=x', undefined, 400, /^strconv\.Atoi: parsing "x": invalid syntax$/],
    ['GET', '/v1.51/containers/json?filters=x', undefined, 400, /^invalid filter/],
    ['POST', '/v1.51/containers/create', undefined, 400, /^invalid JSON: got EOF while reading request body$/],
    ['POST', '/v1.51/containers/create', '{', 400, /^invalid JSON: unexpected EOF$/],
    ['POST', '/v1.51/containers/create', '{"Image":"x"} y', 400, /^unexpected content after JSON$/],
    ['POST', '/v1.51/containers/create', '{"Image":"x",}', 400, /^invalid JSON: invalid character '}' looking for/],
    [
      'POST',
      '/v1.51/containers/create',
      '[]',
      400,
      /cannot unmarshal array into Go value of type container\.CreateReq/,
    ],
    ['POST', '/v1.51/containers/create', '{}', 400, /^config cannot be empty in order to create a container$/],
    ['POST', '/v1.51/containers/create', 'null', 400, /^config cannot be empty/],
    [
      'POST',
      '/v1.51/containers/create',
      '{"Image":5}',
      400,
      /cannot unmarshal number into Go struct field \.Image of type string$/,
    ],
    [
      'POST',
      '/v1.51/containers/create',
      '{"image":"b","hostconfig":{"Memory":"5"}}',
      400,
      /struct field \.hostconfig\.Memory of type int64$/,
    ],
    ['POST', '/v1.51/containers/create', deep, 400, /nested deeper than 64 levels$/],
    ['POST', '/v1.51/containers/create', `{"Image":"${'x'.repeat(5 << 20)}"}`, 413, /at most 4 MiB$/],
    ['POST', '/v1.51/containers/x/exec', '{"Cmd":5}', 400, /struct field ExecOptions\.Cmd of type \[\]string$/],
    ['POST', '/v1.51/containers/x/exec', '{}', 400, /^No exec command specified$/],
    ['POST', '/v1.51/containers/x/rename', undefined, 400, /^Neither old nor new names may be empty$/],
    ['POST', '/v1.51/containers/x/resize?h=x', undefined, 400, /^invalid resize height "x": invalid syntax$/],
    ['POST', '/v1.51/containers/x/wait?condition=foo', undefined, 400, /^invalid condition: "foo"$/],
    ['GET', '/v1.51/containers/x/logs', undefined, 400, /^Bad parameters: you must choose at least one stream$/],
    ['GET', '/v1.51/events?since=5&until=1', undefined, 400, /^`since` time \(5\) cannot be after `until` time \(1\)$/],
    ['GET', '/v1.51/swarm', undefined, 503, /^This node is not a swarm manager\. Use "docker swarm init"/],
    ['GET', '/v1.51/services', undefined, 503, /^This node is not a swarm manager/],
    ['GET', '/v1.51/plugins/x/json', undefined, 404, /^plugin "x" not found$/],
    ['POST', '/swarm/join', undefined, 501, /^swarm mode is not supported/],
    ['POST', '/v1.51/build?version=3', undefined, 400, /^invalid version "3"$/],
    ['POST', '/v1.51/build/cancel', undefined, 400, /^build ID not provided$/],
    ['POST', '/v1.51/commit', '{}', 400, /^invalid name or ID supplied: ""$/],
    [
      'POST',
      '/v1.43/containers/create',
      '{"Image":"x","NetworkingConfig":{"EndpointsConfig":{"b":{},"a":{}}}}',
      400,
      /multiple network endpoints: a, b$/,
    ],
  ];
  for (const [method, path, body, status, message] of cases) {
    await t.test(`${method} ${path} ${body?.slice(0, 40) ?? ''}`, async () => {
      const json = { 'Content-Type': 'application/json' };
      const answer = await server.request(method, path, body === undefined ? {} : { body, headers: json });
      assert.match((JSON.parse(answer.text) as { message: string }).message, message);
      assert.equal(answer.status, status);
      assert.equal(answer.headers['content-type'], 'application/json');
    });
  }
});

test('create: keys in any case, null as absent, words for lists, user keys as plain data, warnings of the version', async () => {
  let seen: ContainerCreateRequest | undefined;
  await using server = await TestServer.start({
    containers: {
      create: async (request) => {
        seen = request;
        return { Id: ID, Warnings: ['of the engine'] };
      },
    },
  });
  const answer = await server.request('POST', '/v1.51/containers/create?name=web', {
    body: `{"image":"busybox","CMD":"date","Env":null,"unknown":1,"macAddress":"02:00:00:00:00:01",
      "labels":{"__proto__":"x","constructor":"y"},"HostConfig":{"pidslimit":-1,"PortBindings":{"80/tcp":null}}}`,
  });
  assert.equal(answer.status, 201);
  const { Warnings } = JSON.parse(answer.text) as { Warnings: string[] };
  assert.match(Warnings[0]!, /^The container-wide MacAddress field is now deprecated/);
  assert.equal(Warnings[1], 'of the engine');
  assert.deepEqual(seen?.Cmd, ['date']);
  assert.equal(Object.hasOwn(seen, 'Env'), false);
  assert.equal(Object.hasOwn(seen, 'unknown'), false);
  assert.deepEqual(Object.entries(seen.Labels!), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ]);
  assert.equal(seen.HostConfig?.PidsLimit, undefined);
  assert.equal(seen.HostConfig?.PortBindings?.['80/tcp'], null);
  assert.equal(seen.NetworkingConfig?.EndpointsConfig?.['default']?.MacAddress, '02:00:00:00:00:01');
});

test('a body without end costs no memory and ends with a word and the connection', async () => {
  await using server = await TestServer.start({});
  const socket = connect({ path: server.socketPath, allowHalfOpen: true });
  socket.on('error', () => {});
  socket.setMaxListeners(0);
  socket.write('POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
  const before = process.memoryUsage().rss;
  const piece = Buffer.alloc(1 << 20, 0x20);
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString()));
  socket.on('end', () => socket.destroy()); // the server has closed its side
  let sent = 0;
  for (; sent < 64 && !text && !socket.destroyed; sent++) {
    socket.write('100000\r\n');
    socket.write(piece);
    const room = socket.write('\r\n');
    if (!room) await Promise.race(['drain', 'close', 'data'].map((event) => once(socket, event).catch(() => {})));
  }
  if (!socket.closed) await once(socket, 'close').catch(() => {});
  assert.match(text, /^HTTP\/1\.1 413 /);
  assert.match(text, /Connection: close/);
  assert.ok(sent < 64, `was stopped after ${sent} MiB`);
  assert.ok(process.memoryUsage().rss - before < 64 << 20);
});

test('a short body of a refused request is read before the answer, and the connection goes on', async () => {
  await using server = await TestServer.start({});
  const socket = connect({ path: server.socketPath });
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString()));
  socket.write('PUT /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf');
  await once(socket, 'connect');
  socket.write('half');
  while (!text.includes('page not found')) await once(socket, 'data');
  assert.match(text, /^HTTP\/1\.1 404 /);
  assert.doesNotMatch(text, /Connection: close/);
  socket.write('GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n');
  while (!text.endsWith('OK')) await once(socket, 'data');
  socket.destroy();
});

test('malformed and smuggling requests are refused by the parser', async (t) => {
  await using server = await TestServer.start({});
  const cases: [string, RegExp][] = [
    [
      'POST /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      /^HTTP\/1\.1 400 /,
    ],
    ['POST /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc', /^HTTP\/1\.1 400 /],
    ['GET /_ping HTTP/1.1\nHost: x\n\n', /^HTTP\/1\.1 400 /],
    ['GET /_ping HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['nonsense\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', /^HTTP\/1\.1 400 /],
    ['GET /_ping HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n', /^HTTP\/1\.1 400 /],
    [`GET /_ping HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(17 << 10)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
    ['GET /_ping HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 403 /],
  ];
  for (const [bytes, answer] of cases) {
    await t.test(JSON.stringify(bytes.slice(0, 60)), async () => {
      assert.match(await server.raw(Buffer.from(bytes, 'latin1')), answer);
    });
  }
});

test('an open TCP port answers to addresses and own names only', async () => {
  await using server = await TestServer.start({}, { plainTcp: true, hostNames: ['builder.lan'] });
  const status = async (host: string): Promise<number> =>
    (await server.request('GET', '/_ping', { headers: { Host: host } })).status;
  assert.equal(await status('127.0.0.1:2375'), 200);
  assert.equal(await status('[::1]:2375'), 200);
  assert.equal(await status('localhost'), 200);
  assert.equal(await status('builder.lan:2375'), 200);
  assert.equal(await status('rebind.evil.example:2375'), 403);
});

test('a client that shuts its side after the request still gets its answer', async () => {
  await using server = await TestServer.start({
    volumes: { list: async () => ({ Volumes: [], Warnings: null }) },
  });
  const text = await server.raw('GET /volumes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', { end: true });
  assert.match(text, /^HTTP\/1\.1 200 OK/);
  assert.match(text, /\{"Volumes":\[\],"Warnings":null\}\n$/);
});

test('attach: upgraded, framed, half-closed both ways', async () => {
  const typed: string[] = [];
  const ended = Promise.withResolvers<void>();
  async function* output(): AttachSession['output'] {
    yield { stream: 1, data: Buffer.from('out\n') };
    yield { stream: 2, data: Buffer.from('err\n') };
    await ended.promise;
    yield { stream: 1, data: Buffer.from('last\n') };
  }
  await using server = await TestServer.start({
    containers: {
      attach: async () =>
        session(output(), {
          write: async (data) => {
            typed.push(Buffer.from(data).toString());
            return 'passed';
          },
          endInput: async () => ended.resolve(),
        }),
    },
  });
  const text = await server.raw(
    'POST /v1.51/containers/x/attach?stdin=1&stdout=1&stream=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}typed',
    { end: true },
  );
  const [head, body] = text.split('\r\n\r\n');
  assert.equal(
    head,
    'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp',
  );
  assert.equal(body, '\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n\x01\0\0\0\0\0\0\x05last\n');
  assert.equal(typed.join(''), 'typed');
});

test('attach and exec without the header, with a terminal, and to an old client', async () => {
  const attach = async (): Promise<AttachSession> => session(chunks([1, 'hello']));
  await using server = await TestServer.start({
    containers: { attach, logs: async () => ({ tty: false, output: chunks([1, 'x']) }) },
    execs: {
      inspect: async () => ({ OpenStdin: true }) as Awaited<ReturnType<EngineServices['execs']['inspect']>>,
      start: async (_, { tty }) => {
        if (!tty) throw new EngineError('no-such-command', 'exec: "nope": executable file not found in $PATH');
        return session(chunks([1, 'tty']), { tty: true });
      },
    },
  });
  const upgrade = 'Connection: Upgrade\r\nUpgrade: tcp\r\n';
  const post = (path: string, headers: string, body = ''): Promise<string> =>
    server.raw(`POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`);
  assert.equal(
    await post('/v1.51/containers/x/attach?stdout=1', ''),
    'HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n\x01\0\0\0\0\0\0\x05hello',
  );
  assert.match(
    await post('/v1.41/containers/x/attach?stdout=1', upgrade),
    /Content-Type: application\/vnd\.docker\.raw-str/,
  );
  assert.match(await post('/v1.51/exec/x/start', upgrade, '{"Tty":true}'), /raw-stream\r\n[^]*\r\n\r\ntty$/);
  assert.match(
    await post('/v1.51/exec/x/start', upgrade, '{}'),
    /multiplexed-stream\r\n[^]*\r\n\r\n[^]{8}exec: "nope": executable file not found in \$PATH\r\n$/,
  );
  const logs = await server.request('GET', '/v1.41/containers/x/logs?stdout=1');
  assert.equal(logs.headers['content-type'], 'application/vnd.docker.raw-stream');
});

test('a client that goes ends its session, and a slow one is waited for alone', async () => {
  const [closed, inputEnded] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let produced = 0;
  async function* flood(): AttachSession['output'] {
    for (;;) {
      produced++;
      yield { stream: 1, data: Buffer.alloc(64 << 10) };
    }
  }
  await using server = await TestServer.start({
    containers: {
      attach: async () =>
        session(flood(), { close: () => closed.resolve(), endInput: async () => inputEnded.resolve() }),
    },
  });
  const socket = connect(server.socketPath);
  socket.on('error', () => {});
  socket.write(
    'POST /containers/x/attach?stdin=1&stdout=1&stream=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
  );
  socket.pause();
  // While the flood waits for this client, others are served.
  assert.equal((await server.request('GET', '/_ping')).status, 200);
  assert.ok(produced < 100, `${produced} chunks were read for a client that reads none`);
  socket.destroy();
  await closed.promise;
  await inputEnded.promise;
});

test('a client that half-closed and was then killed is noticed, though nothing is written to it', async () => {
  const [ended, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  async function* silence(): AttachSession['output'] {
    await closed.promise;
    yield* [];
  }
  await using server = await TestServer.start({
    containers: {
      attach: async () => session(silence(), { endInput: async () => ended.resolve(), close: () => closed.resolve() }),
    },
  });
  const socket = connect({ path: server.socketPath, allowHalfOpen: true });
  socket.end(
    'POST /containers/x/attach?stdin=1&stdout=1&stream=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
  );
  await ended.promise;
  socket.destroy();
  await closed.promise;
});

test('wait sends its headers before the container ends', async () => {
  const outcome = Promise.withResolvers<{ exitCode: number }>();
  await using server = await TestServer.start({ containers: { wait: async () => ({ outcome: outcome.promise }) } });
  const socket = connect(server.socketPath);
  socket.write('POST /v1.51/containers/x/wait?condition=next-exit HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const [head] = (await once(socket, 'data')) as [Buffer];
  assert.match(head.toString(), /^HTTP\/1\.1 200 OK\r\n/);
  outcome.resolve({ exitCode: 3 });
  let text = head.toString();
  for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString();
  assert.match(text, /\{"StatusCode":3\}\n/);
});

test('events: exact nanoseconds, legacy fields, and an end when the client goes', async () => {
  const stopped = Promise.withResolvers<void>();
  await using server = await TestServer.start({
    events: {
      subscribe: async function* (options) {
        yield {
          Type: 'container',
          Action: 'start',
          Actor: { ID, Attributes: { image: 'busybox' } },
          scope: 'local' as const,
          time: 1795455587,
          timeNano: 1795455587690618471n,
        };
        options?.signal?.addEventListener('abort', () => stopped.resolve());
        await stopped.promise;
      },
    },
  });
  const socket = connect(server.socketPath);
  socket.on('error', () => {});
  socket.write('GET /events HTTP/1.1\r\nHost: x\r\n\r\n');
  let text = '';
  while (!text.includes('\n\r\n')) text += String(((await once(socket, 'data')) as [Buffer])[0]);
  assert.ok(
    text.includes(
      `{"status":"start","id":"${ID}","from":"busybox","Type":"container","Action":"start","Actor":{"ID":"${ID}","Attributes":{"image":"busybox"}},"scope":"local","time":1795455587,"timeNano":1795455587690618471}\n`,
    ),
    text,
  );
  socket.destroy();
  await stopped.promise;
});

test('progress: lines with CRLF, an error as the last line, a status when nothing was sent yet', async () => {
  await using server = await TestServer.start({
    images: {
      pull: async (reference, { onProgress }) => {
        if (reference === 'nope:1') throw new EngineError('not-found', 'pull access denied for nope');
        onProgress?.({ id: 'abc', status: 'Downloading', current: 5, total: 10 });
        onProgress?.({ id: '', status: '', stream: 'text\n' });
        onProgress?.({ id: '', status: '', aux: { ID: 'x' } });
        throw new EngineError('unavailable', 'connection reset');
      },
    },
  });
  const early = await server.request('POST', '/images/create?fromImage=nope&tag=1');
  assert.equal(early.status, 404);
  assert.equal(early.text, '{"message":"pull access denied for nope"}\n');
  const late = await server.request('POST', '/images/create?fromImage=busybox&tag=latest');
  assert.equal(late.status, 200);
  assert.deepEqual(late.text.split('\r\n'), [
    `{"status":"Downloading","progressDetail":{"current":5,"total":10},"progress":"[${'='.repeat(25)}>${' '.repeat(25)}]        5B/10B","id":"abc"}`,
    '{"stream":"text\\n"}',
    '{"aux":{"ID":"x"}}',
    '{"errorDetail":{"message":"connection reset"},"error":"connection reset"}',
    '',
  ]);
});

test('a quiet build tells the id alone, and what was printed when it fails, with the command’s exit code', async () => {
  await using server = await TestServer.start({
    builder: {
      build: async (_, { target }, options) => {
        options?.onProgress?.({ id: '', status: '', stream: 'Step 1/1 : FROM busybox\n' });
        if (target === 'wrong')
          throw Object.assign(new EngineError('invalid-argument', 'non-zero code: 3'), { exitCode: 3 });
        return { id: 'sha256:abc' };
      },
    },
  });
  assert.equal((await server.request('POST', '/build?q=1')).text, '{"stream":"sha256:abc\\n"}\r\n');
  assert.deepEqual((await server.request('POST', '/build?q=1&target=wrong')).text.split('\r\n'), [
    '{"stream":"Step 1/1 : FROM busybox\\n"}',
    '{"errorDetail":{"code":3,"message":"non-zero code: 3"},"error":"non-zero code: 3"}',
    '',
  ]);
});

test('websocket attach echoes in frames', async () => {
  await using server = await TestServer.start({
    containers: { attach: async () => session(chunks([1, 'hi']), { tty: true }) },
  });
  const text = await server.raw(
    'GET /containers/x/attach/ws?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  assert.match(text, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  assert.match(text, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
  assert.ok(text.endsWith('\x82\x02hi\x88\x02\x03\xe8'), JSON.stringify(text));
});

test('websocket attach takes masked frames, in pieces, and answers pings', async () => {
  const ended = Promise.withResolvers<void>();
  const typed: string[] = [];
  async function* silence(): AttachSession['output'] {
    await ended.promise;
    yield* [];
  }
  await using server = await TestServer.start({
    containers: {
      attach: async () =>
        session(silence(), {
          write: async (data) => {
            typed.push(Buffer.from(data).toString());
            return 'passed';
          },
          endInput: async () => ended.resolve(),
        }),
    },
  });
  const frame = (opcode: number, text: string): Buffer => {
    const mask = [1, 2, 3, 4];
    const payload = Buffer.from(text).map((byte, index) => byte ^ mask[index & 3]!);
    return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, ...mask]), payload]);
  };
  const socket = connect(server.socketPath);
  socket.write(
    'GET /containers/x/attach/ws?stream=1&stdin=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  await once(socket, 'data');
  const hello = frame(1, 'hello');
  socket.write(hello.subarray(0, 3));
  socket.write(Buffer.concat([hello.subarray(3), frame(9, 'are you there')]));
  const [pong] = (await once(socket, 'data')) as [Buffer];
  assert.equal(pong.toString('latin1'), '\x8a\x0dare you there');
  socket.write(frame(8, ''));
  await ended.promise;
  assert.equal(typed.join(''), 'hello');
  socket.destroy();
});

test('requests that change something are completed when the client goes', async () => {
  const [begun, go, done] = [0, 1, 2].map(() => Promise.withResolvers<void>());
  await using server = await TestServer.start({
    containers: {
      start: async () => {
        begun!.resolve();
        await go!.promise;
        done!.resolve();
      },
    },
  });
  const socket = connect(server.socketPath);
  socket.write('POST /containers/x/start HTTP/1.1\r\nHost: x\r\n\r\n');
  await begun!.promise;
  socket.destroy();
  go!.resolve();
  await done!.promise;
});

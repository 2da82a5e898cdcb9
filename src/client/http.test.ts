import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { collect } from './query.ts';
import { HttpConnection, type HttpRequest } from './http.ts';

const GET: HttpRequest = { method: 'GET', path: '/', headers: new Map([['Host', 'x']]) };

/** A server that writes the given pieces after the head of a request came, and what it was sent. */
async function answering(
  pieces: readonly string[],
  run: (connection: HttpConnection, received: () => string) => Promise<void>,
  options: { end?: boolean } = {},
): Promise<void> {
  let received = '';
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', (data: Buffer) => {
      const first = !received.includes('\r\n\r\n');
      received += data.toString('latin1');
      if (!first || !received.includes('\r\n\r\n')) return;
      void (async () => {
        for (const piece of pieces) {
          socket.write(piece);
          await new Promise((resolve) => setImmediate(resolve));
        }
        if (options.end === true) socket.end();
      })();
    });
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  try {
    await run(new HttpConnection(socket), () => received);
  } finally {
    socket.destroy();
    server.close();
  }
}

const body = async (connection: HttpConnection, request = GET): Promise<string> =>
  (await collect((await connection.send(request)).body)).toString();

test('a body with a length, in pieces; then the connection is free again', () =>
  answering(['HTTP/1.1 200 OK\r\nContent-', 'Length: 5\r\n\r\nhe', 'llo'], async (connection) => {
    assert.equal(await body(connection), 'hello');
    assert.equal(connection.reusable, true);
  }));

test('chunks, cut anywhere, with trailers', () =>
  answering(
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r',
      '\nabc',
      '\r\n10;x=y\r\n0123456789abcdef',
      '\r\n',
      '0\r\nA: b\r\n',
      '\r\n',
    ],
    async (connection) => {
      assert.equal(await body(connection), 'abc0123456789abcdef');
      assert.equal(connection.reusable, true);
    },
  ));

test('a body until the end of the connection', () =>
  answering(
    ['HTTP/1.1 200 OK\r\n\r\nab', 'cd'],
    async (connection) => {
      assert.equal(await body(connection), 'abcd');
      assert.equal(connection.reusable, false);
    },
    { end: true },
  ));

test('an answer that breaks off is an error, not a short answer', async () => {
  await answering(
    ['HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nab'],
    async (connection) => {
      await assert.rejects(body(connection), /unexpected EOF/);
    },
    { end: true },
  );
  await answering(
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab'],
    async (connection) => {
      await assert.rejects(body(connection), /unexpected EOF/);
    },
    { end: true },
  );
  await answering(
    ['HTTP/1.1 200'],
    async (connection) => {
      await assert.rejects(body(connection), /closed the connection before it answered/);
    },
    { end: true },
  );
});

test('what is no HTTP, and heads without end', async () => {
  await answering(['SSH-2.0-x\r\n\r\n'], async (connection) => {
    await assert.rejects(body(connection), /not HTTP/);
  });
  await answering([`HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(60_000)}`], async (connection) => {
    await assert.rejects(body(connection), /head has no end/);
  });
  await answering(['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'], async (connection) => {
    await assert.rejects(body(connection), /chunk has no length/);
  });
});

test('an early answer counts, and not the broken pipe of the body', () =>
  answering(
    ['HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno'],
    async (connection) => {
      async function* endless(): AsyncGenerator<Uint8Array> {
        for (let i = 0; i < 10_000; i++) yield Buffer.alloc(65536);
      }
      const response = await connection.send({ ...GET, method: 'POST', body: endless() });
      assert.equal(response.status, 413);
    },
    { end: true },
  ));

test('a hijacked stream: bytes both ways, each with its own end', () =>
  answering(
    ['HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\nfirst'],
    async (connection, received) => {
      const response = await connection.send({ ...GET, method: 'POST', upgrade: true });
      assert.equal(response.status, 101);
      connection.socket.end('typed');
      assert.equal((await collect(response.body)).toString(), 'first');
      assert.match(received(), /Upgrade: tcp\r\n[^]*$/);
    },
    { end: true },
  ));

test('line ends in a header cannot make another header', () =>
  answering(['HTTP/1.1 204 No\r\n\r\n'], async (connection, received) => {
    await body(connection, { ...GET, headers: new Map([['X', 'a\r\nInjected: b']]) });
    assert.doesNotMatch(received(), /^Injected/m);
  }));

test('an abort ends the request', () =>
  answering([], async (connection) => {
    const abort = new AbortController();
    const answer = connection.send({ ...GET, signal: abort.signal });
    abort.abort();
    await assert.rejects(answer, /cancelled|closed/);
  }));

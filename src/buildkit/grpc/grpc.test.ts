import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { EngineError } from '../../base/errors.ts';
import { BytesMessageSchema, Upload } from '../protocol/upload_pb.ts';
import { Secrets } from '../protocol/secrets_pb.ts';
import { GrpcClient } from './client.ts';
import { Deframer, frame, MAX_MESSAGE } from './frames.ts';
import { GrpcServer } from './server.ts';
import { GRPC, GrpcError } from './status.ts';

describe('frames of messages', () => {
  test('come whole, however they are cut', () => {
    const messages = [Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(70_000, 7)];
    const bytes = Buffer.concat(messages.map(frame));
    for (const size of [1, 3, 4096, bytes.length]) {
      const deframer = new Deframer();
      const found: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size)
        found.push(...deframer.push(bytes.subarray(at, at + size)).map((message) => Buffer.from(message)));
      assert.deepEqual(found, messages);
      assert.equal(deframer.torn, false);
    }
  });

  test('come uncut as long as they begin alike, and the rest after it', () => {
    const [one, two, last] = [Buffer.from('aone'), Buffer.alloc(300, 'a'), Buffer.from('last')].map(frame);
    const sizes = [1, 3, 7, 1000];
    for (const [size, other] of sizes.flatMap((size) => ['', 'b'].map((text) => [size, Buffer.from(text)] as const))) {
      const bytes = Buffer.concat([one!, two!, frame(other), last!]);
      const deframer = new Deframer();
      const frames: Buffer[] = [];
      const rest: Buffer[] = [];
      let end: Buffer | undefined;
      for (let at = 0; at < bytes.length; at += size) {
        const chunk = bytes.subarray(at, at + size);
        if (end) rest.push(...deframer.push(chunk).map((message) => Buffer.from(message)));
        else {
          const taken = deframer.pushWhile(0x61, chunk);
          frames.push(Buffer.from(taken.frames));
          end = taken.last && Buffer.from(taken.last);
          if (end) rest.push(...deframer.push(Buffer.alloc(0)).map((message) => Buffer.from(message)));
        }
      }
      assert.deepEqual(Buffer.concat(frames), Buffer.concat([one!, two!]));
      assert.deepEqual(end, other);
      assert.deepEqual(rest, [Buffer.from('last')]);
    }
  });

  test('too large, compressed or torn ones are refused', () => {
    const huge = Buffer.alloc(5);
    huge.writeUInt32BE(MAX_MESSAGE + 1, 1);
    assert.throws(() => new Deframer().push(huge), { status: GRPC.resourceExhausted });
    assert.throws(() => new Deframer().push(Buffer.from([1, 0, 0, 0, 0])), { status: GRPC.unimplemented });
    const deframer = new Deframer();
    deframer.push(frame(Buffer.from('abc')).subarray(0, 6));
    assert.equal(deframer.torn, true);
  });
});

describe('calls', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-grpc-'));
  const path = join(directory, 'socket');
  const reported: string[] = [];
  const sockets: Socket[] = [];
  let listener: Server;
  const server = new GrpcServer((message) => reported.push(message))
    .add(Secrets, {
      async getSecret({ ID }, { signal }) {
        if (ID === 'none') throw new EngineError('not-found', 'no such secret: é 100%');
        if (ID === 'bug') throw new TypeError('a bug');
        if (ID === 'slow')
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
        return { data: Buffer.from(`${ID}!`) };
      },
    })
    .add(Upload, {
      async *pull(messages) {
        for await (const { data } of messages) yield { data: Buffer.concat([data, data]) };
      },
    });

  before(async () => {
    listener = createServer((socket) => {
      sockets.push(socket);
      server.accept(socket);
    });
    await new Promise<void>((resolve) => listener.listen(path, resolve));
  });
  after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
    listener.close();
    rmSync(directory, { recursive: true });
  });

  const client = (): GrpcClient => new GrpcClient(connect(path));

  test('of one message each way', async () => {
    const calls = client();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => calls.unary(Secrets, 'getSecret', { ID: `s${n}` })),
    );
    assert.deepEqual(
      answers.map(({ data }) => Buffer.from(data).toString()),
      Array.from({ length: 50 }, (_, n) => `s${n}!`),
    );
    calls.close();
  });

  test('fail with a status and its words', async () => {
    const calls = client();
    await assert.rejects(calls.unary(Secrets, 'getSecret', { ID: 'none' }), {
      status: GRPC.notFound,
      message: 'no such secret: é 100%',
    });
    await assert.rejects(calls.unary(Secrets, 'getSecret', { ID: 'bug' }), { status: GRPC.internal });
    assert.equal(reported.length, 1);
    await assert.rejects(calls.unary(Secrets, 'getSecret', { ID: 'slow' }, { metadata: { 'grpc-timeout': '20m' } }), {
      status: GRPC.deadlineExceeded,
    });
    const stop = new AbortController();
    const slow = calls.unary(Secrets, 'getSecret', { ID: 'slow' }, { signal: stop.signal });
    stop.abort(new EngineError('cancelled', 'enough'));
    await assert.rejects(slow, { code: 'cancelled' });
    calls.close();
    await assert.rejects(calls.unary(Secrets, 'getSecret', { ID: 'x' }), { code: 'cancelled' });
  });

  test('of messages both ways, more than fits on the way', async () => {
    const calls = client();
    const call = calls.open(Upload, 'Pull');
    const piece = Buffer.alloc(100_000, 1);
    const sending = (async () => {
      for (let n = 0; n < 100; n++)
        await call.send(toBinary(BytesMessageSchema, create(BytesMessageSchema, { data: piece })));
      call.end();
    })();
    let bytes = 0;
    for await (const message of call.messages()) bytes += message.length;
    await sending;
    assert.ok(bytes > 2 * 100 * piece.length, String(bytes));
    calls.close();
  });

  test('that nobody knows, and garbage, get an answer or an end, and others go on', async () => {
    const calls = client();
    const unknown = calls.open(Secrets, 'Nothing');
    unknown.end();
    await assert.rejects(unknown.ended, { status: GRPC.unimplemented, message: /unknown method Nothing/ });
    const garbage = calls.open(Secrets, 'GetSecret');
    await garbage.send(Buffer.from([0xff, 0xff, 0xff]));
    garbage.end();
    await assert.rejects(garbage.ended, { status: GRPC.invalidArgument });
    const socket = connect(path);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    socket.write('no http of any kind\r\n\r\n'.repeat(10));
    socket.resume();
    await closed;
    const session = connectHttp2('http://localhost', { createConnection: () => connect(path) });
    const status = await new Promise((resolve) => {
      const request = session.request({ ':path': '/x', ':method': 'GET' });
      request.on('response', (headers) => resolve(headers[':status']));
      request.resume();
    });
    assert.equal(status, 415);
    session.close();
    assert.equal(Buffer.from((await calls.unary(Secrets, 'getSecret', { ID: 'still' })).data).toString(), 'still!');
    calls.close();
  });

  test('a status keeps what the other side said of it', () => {
    assert.equal(new GrpcError(GRPC.unavailable, 'x').code, 'unavailable');
    assert.equal(new GrpcError(GRPC.unknown, 'x').code, 'invalid-argument');
  });
});

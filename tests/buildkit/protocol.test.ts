/** The protocol's bad moments, spoken by a client of the tests' own: each gets a status, nothing is left, and the engine goes on. */
import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { mkdtempSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { GrpcClient } from '../../src/buildkit/grpc/client.ts';
import { GrpcServer, type Handlers } from '../../src/buildkit/grpc/server.ts';
import { GRPC } from '../../src/buildkit/grpc/status.ts';
import { Control } from '../../src/buildkit/protocol/control_pb.ts';
import { PacketSchema, Packet_PacketType } from '../../src/buildkit/protocol/files_pb.ts';
import { FileSync } from '../../src/buildkit/protocol/filesync_pb.ts';
import { LLBBridge } from '../../src/buildkit/protocol/gateway_pb.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';
import { upgraded as upgradedSocket } from './protocol-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-protocol-'));
const daemon = new DaemonProcess({ directory });
let number = 0;

const upgraded = (path: string, headers?: Record<string, string | string[]>): Promise<Socket> =>
  upgradedSocket(daemon.socket, path, headers);

const control = async (): Promise<GrpcClient> => new GrpcClient(await upgraded('/grpc'));

/** Files by name, as a client's directories answer for them. */
function files(tree: Readonly<Record<string, string>>, dies = false): Handlers<typeof FileSync> {
  return {
    async *diffCopy(packets) {
      const names = Object.keys(tree).sort();
      for (const path of names) yield { stat: { path, mode: 0o644, size: BigInt(tree[path]!.length) } };
      yield {};
      for await (const { type, ID } of packets) {
        if (type === Packet_PacketType.PACKET_FIN) {
          yield { type: Packet_PacketType.PACKET_FIN };
          return;
        }
        if (type !== Packet_PacketType.PACKET_REQ) continue;
        if (dies) throw new Error('the client has other things to do');
        yield { type: Packet_PacketType.PACKET_DATA, ID, data: Buffer.from(tree[names[ID]!]!) };
        yield { type: Packet_PacketType.PACKET_DATA, ID };
      }
    },
  };
}

/** Opens a session that serves these; gives its id and how it is cut. */
async function session(
  handlers: Handlers<typeof FileSync>,
): Promise<{ readonly id: string; readonly cut: () => void }> {
  const id = `session${++number}`;
  const socket = await upgraded('/session', {
    'x-docker-expose-session-uuid': id,
    'x-docker-expose-session-name': 'test',
    'x-docker-expose-session-grpc-method': ['/moby.filesync.v1.FileSync/DiffCopy'],
  });
  new GrpcServer(() => {}).add(FileSync, handlers).accept(socket);
  return { id, cut: () => socket.destroy() };
}

async function solve(
  client: GrpcClient,
  fields: { readonly Session: string; readonly Frontend?: string; readonly FrontendAttrs?: Record<string, string> },
): Promise<Record<string, string>> {
  const { ExporterResponse } = await client.unary(Control, 'solve', { Ref: `ref${++number}`, ...fields });
  return ExporterResponse;
}

describe('the protocol of BuildKit, spoken badly', { concurrency: 1 }, () => {
  runsDaemon(daemon, { busybox: true });

  test('HTTP/2 from the first byte on, on the socket of HTTP/1.1', async () => {
    const client = new GrpcClient(connect(daemon.socket));
    const { record } = await client.unary(Control, 'listWorkers', {});
    assert.equal(record.length, 1);
    assert.match(record[0]!.Labels['org.mobyproject.buildkit.worker.moby.host-gateway-ip'] ?? '', /^[\d.]+$/);
    client.close();
  });

  test('a build by a frontend that the client names in Solve', async () => {
    const client = await control();
    const own = await session(
      files({ Dockerfile: 'FROM busybox\nCOPY a.txt /a\nRUN grep hello /a\n', 'a.txt': 'hello' }),
    );
    await solve(client, { Session: own.id, Frontend: 'dockerfile.v0' });
    own.cut();
    client.close();
  });

  test('unknown upgrades, sessions, builds, frontends and definitions are refused in words', async () => {
    await assert.rejects(upgraded('/grpc', { upgrade: 'websocket' }), /status 400/);
    await assert.rejects(upgraded('/session'), /status 400/);
    const client = await control();
    await assert.rejects(client.unary(LLBBridge, 'ping', {}), { status: GRPC.invalidArgument });
    await assert.rejects(client.unary(Control, 'solve', { Ref: '' }, { metadata: { 'grpc-timeout': '1S' } }), /./);
    const own = await session(files({ Dockerfile: 'FROM busybox\n' }));
    await assert.rejects(upgraded('/session', { 'x-docker-expose-session-uuid': own.id }), /status 409/);
    await assert.rejects(solve(client, { Session: own.id, Frontend: 'nosuch.v0' }), {
      status: GRPC.unimplemented,
      message: /the frontend nosuch.v0 is not supported/,
    });
    await assert.rejects(
      client.unary(Control, 'solve', { Ref: 'llb', Session: own.id, Definition: { def: [Buffer.from('x')] } }),
      { status: GRPC.invalidArgument },
    );
    await assert.rejects(
      solve(client, { Session: own.id, Frontend: 'dockerfile.v0', FrontendAttrs: { 'shm-size': 'x' } }),
      /invalid shm-size/,
    );
    own.cut();
    client.close();
  });

  test('a request beyond the limit of a message', async () => {
    const client = await control();
    const huge = { Ref: 'huge', FrontendAttrs: { a: 'x'.repeat(17 << 20) } };
    await assert.rejects(client.unary(Control, 'solve', huge), { status: GRPC.resourceExhausted });
    assert.equal((await client.unary(Control, 'info', {})).buildkitVersion?.package, 'gantry');
    client.close();
  });

  test('a client whose files do not come', async () => {
    const client = await control();
    const own = await session(files({ Dockerfile: 'FROM busybox\n' }, true));
    await assert.rejects(solve(client, { Session: own.id, Frontend: 'dockerfile.v0' }), /other things to do/);
    own.cut();
    client.close();
  });

  test('a client whose files lead out of their directory', async () => {
    const client = await control();
    const tree = files({ Dockerfile: 'FROM busybox\nCOPY . /\n' });
    const own = await session({
      async *diffCopy(packets, call) {
        if (call.metadata['dir-name'] === 'dockerfile') yield* tree.diffCopy!(packets, call);
        yield { stat: { path: '../escape', mode: 0o644, size: 1n } };
        yield {};
        for await (const _packet of packets) continue;
      },
    });
    await assert.rejects(solve(client, { Session: own.id, Frontend: 'dockerfile.v0' }), /no path below the directory/);
    own.cut();
    client.close();
  });

  test('garbage in place of a list of files', async () => {
    const client = await control();
    const tree = files({ Dockerfile: 'FROM busybox\nCOPY . /\n' });
    const own = await session({
      async *diffCopy(packets, call) {
        if (call.metadata['dir-name'] === 'dockerfile') yield* tree.diffCopy!(packets, call);
        const packet = fromBinary(PacketSchema, toBinary(PacketSchema, create(PacketSchema, { type: 2, ID: 7 })));
        yield packet;
        yield {};
        for await (const _packet of packets) continue;
      },
    });
    await assert.rejects(solve(client, { Session: own.id, Frontend: 'dockerfile.v0' }), { status: GRPC.unknown });
    own.cut();
    client.close();
  });

  test('a client that vanishes in the middle of a transfer', async () => {
    const client = await control();
    const asked = Promise.withResolvers<void>();
    const own = await session({
      async *diffCopy(packets, call) {
        if (call.metadata['dir-name'] === 'dockerfile') {
          yield* files({ Dockerfile: 'FROM busybox\nCOPY . /\n' }).diffCopy!(packets, call);
          return;
        }
        yield { stat: { path: 'large', mode: 0o644, size: 100n << 20n } };
        yield {};
        for await (const { type, ID } of packets) {
          if (type !== Packet_PacketType.PACKET_REQ) continue;
          yield { type: Packet_PacketType.PACKET_DATA, ID, data: Buffer.alloc(1 << 20) };
          asked.resolve();
          // The rest does not come.
          await new Promise(() => {});
        }
      },
    });
    const building = solve(client, { Session: own.id, Frontend: 'dockerfile.v0' });
    building.catch(() => {});
    await asked.promise;
    own.cut();
    await assert.rejects(building, { status: GRPC.cancelled });
    client.close();
    // The same directory of the same client is whole the next time.
    const again = await control();
    const whole = await session(files({ Dockerfile: 'FROM busybox\nCOPY large /\n', large: 'small now' }));
    await solve(again, { Session: whole.id, Frontend: 'dockerfile.v0' });
    whole.cut();
    again.close();
  });

  test('garbage in place of frames ends its own connection, and nothing else', async () => {
    const bystander = await control();
    for (const garbage of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.alloc(100_000, 0xff),
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'.padEnd(5000, 'x')),
    ]) {
      const socket = await upgraded('/grpc');
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      socket.on('error', () => {});
      socket.resume();
      socket.write(garbage);
      await closed;
    }
    // A message that says it is longer than it is, and one that is none.
    for (const bytes of [Buffer.from([0, 0, 0, 1, 0, 1]), Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff])]) {
      const socket = await upgraded('/grpc');
      const raw = connectHttp2('http://localhost', { createConnection: () => socket });
      raw.on('error', () => {});
      const stream = raw.request({
        ':method': 'POST',
        ':path': '/moby.buildkit.v1.Control/Solve',
        'content-type': 'application/grpc',
      });
      stream.on('error', () => {});
      stream.end(bytes);
      const status = await new Promise((resolve) => {
        stream.once('response', (headers) => headers['grpc-status'] !== undefined && resolve(headers['grpc-status']));
        stream.once('trailers', (headers) => resolve(headers['grpc-status']));
        stream.resume();
      });
      assert.equal(status, String(GRPC.invalidArgument));
      raw.close();
    }
    assert.equal((await bystander.unary(Control, 'info', {})).buildkitVersion?.package, 'gantry');
    bystander.close();
  });

  test('a secret that is asked for and not given', async () => {
    const tree = { Dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=s,required=true cat /run/secrets/s\n' };
    const client = await control();
    const own = await session(files(tree));
    await assert.rejects(solve(client, { Session: own.id, Frontend: 'dockerfile.v0' }), /secret s: not found/);
    own.cut();
    client.close();
  });

  test('a client that vanishes while a step runs, and one whose session does', async () => {
    for (const cut of ['session', 'connection'] as const) {
      const client = await control();
      const own = await session(files({ Dockerfile: `FROM busybox\nRUN echo ${cut}; sleep 600\n` }));
      const Ref = `vanishing-${cut}`;
      const building = client.unary(Control, 'solve', { Ref, Session: own.id, Frontend: 'dockerfile.v0' });
      building.catch(() => {});
      const watcher = await control();
      const status = watcher.open(Control, 'Status', {});
      await status.send(toBinary(Control.method.status.input, create(Control.method.status.input, { Ref })));
      status.end();
      let said = '';
      const reading = (async () => {
        for await (const message of status.messages()) {
          const { logs } = fromBinary(Control.method.status.output, message);
          said += logs.map(({ msg }) => Buffer.from(msg).toString()).join('');
          if (!said.includes(cut)) continue;
          if (cut === 'session') own.cut();
          else client.close();
        }
      })();
      // The events end when nothing of the build is left.
      await reading;
      await assert.rejects(building);
      own.cut();
      client.close();
      watcher.close();
    }
  });

  test('a client that vanishes at the moment when all is built', async () => {
    for (let round = 0; round < 6; round++) {
      const client = await control();
      const own = await session(files({ Dockerfile: `FROM busybox\nCOPY a /a\n`, a: `round ${round}` }));
      const Ref = `built-${round}`;
      const building = client.unary(Control, 'solve', { Ref, Session: own.id, Frontend: 'dockerfile.v0' });
      building.catch(() => {});
      const watcher = await control();
      const status = watcher.open(Control, 'Status', {});
      await status.send(toBinary(Control.method.status.input, create(Control.method.status.input, { Ref })));
      status.end();
      for await (const message of status.messages()) {
        const { vertexes } = fromBinary(Control.method.status.output, message);
        if (!vertexes.some(({ name, completed }) => name.includes('COPY a') && (round % 2 === 0 || completed)))
          continue;
        client.close();
      }
      // It may have been over already: what counts is that nothing is left.
      await Promise.allSettled([building]);
      own.cut();
      watcher.close();
    }
  });

  test('afterwards all builds are over, and the next one works', async () => {
    const client = await control();
    const own = await session(files({ Dockerfile: 'FROM busybox\nRUN true\n' }));
    await solve(client, { Session: own.id, Frontend: 'dockerfile.v0' });
    const history = client.open(Control, 'ListenBuildHistory', {});
    const { input, output } = Control.method.listenBuildHistory;
    await history.send(toBinary(input, create(input, { EarlyExit: true })));
    history.end();
    const running: string[] = [];
    for await (const message of history.messages()) {
      const { record } = fromBinary(output, message);
      if (record && !record.CompletedAt) running.push(record.Ref);
    }
    assert.deepEqual(running, []);
    own.cut();
    client.close();
  });
});

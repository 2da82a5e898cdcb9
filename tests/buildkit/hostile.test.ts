/** A client whose services fail, lie or go away in the middle of what they are asked: each build ends with words, nothing is left, and the engine goes on. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import type { create, DescService } from '@bufbuild/protobuf';
import type { GrpcClient } from '../../src/buildkit/grpc/client.ts';
import { GrpcServer, type Handlers } from '../../src/buildkit/grpc/server.ts';
import { GRPC, GrpcError } from '../../src/buildkit/grpc/status.ts';
import { Content } from '../../src/buildkit/protocol/content_pb.ts';
import { Control, type SolveRequestSchema } from '../../src/buildkit/protocol/control_pb.ts';
import { Packet_PacketType } from '../../src/buildkit/protocol/files_pb.ts';
import { Auth, FileSend, FileSync } from '../../src/buildkit/protocol/filesync_pb.ts';
import { Secrets } from '../../src/buildkit/protocol/secrets_pb.ts';
import { SSH } from '../../src/buildkit/protocol/ssh_pb.ts';
import { Upload } from '../../src/buildkit/protocol/upload_pb.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';
import { Llb, mkfile } from './llb.ts';
import { controlClient, upgraded } from './protocol-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-hostile-'));
const daemon = new DaemonProcess({ directory });
let number = 0;

interface Service {
  readonly service: DescService;
  readonly handlers: unknown;
}

const serve = <S extends DescService>(service: S, handlers: Handlers<S>): Service => ({ service, handlers });

/** A session that serves these, and says so. */
async function session(...services: readonly Service[]): Promise<{ readonly id: string; readonly cut: () => void }> {
  const id = `hostile${++number}`;
  const socket = await upgraded(daemon.socket, '/session', {
    'x-docker-expose-session-uuid': id,
    'x-docker-expose-session-name': 'test',
    'x-docker-expose-session-grpc-method': services.flatMap(({ service }) =>
      service.methods.map(({ name }) => `/${service.typeName}/${name}`),
    ),
  });
  const server = new GrpcServer(() => {});
  for (const { service, handlers } of services) server.add(service, handlers as Handlers<DescService>);
  server.accept(socket);
  return { id, cut: () => socket.destroy() };
}

type DiffCopy = NonNullable<Handlers<typeof FileSync>['diffCopy']>;

/** A client whose Dockerfile is this text; what it does about its context is up to the case. */
function dockerfile(text: string, context?: DiffCopy): Service {
  const plain: DiffCopy = async function* (packets) {
    yield { stat: { path: 'Dockerfile', mode: 0o644, size: BigInt(text.length) } };
    yield {};
    for await (const { type, ID } of packets) {
      if (type === Packet_PacketType.PACKET_FIN) return;
      yield { type: Packet_PacketType.PACKET_DATA, ID, data: Buffer.from(text) };
      yield { type: Packet_PacketType.PACKET_DATA, ID };
    }
  };
  const empty: DiffCopy = async function* (packets) {
    yield {};
    for await (const { type } of packets) if (type === Packet_PacketType.PACKET_FIN) return;
  };
  return serve(FileSync, {
    async *diffCopy(packets, call) {
      const { 'dir-name': name, followpaths } = call.metadata;
      if (name === 'dockerfile') yield* plain(packets, call);
      else
        yield* (context && followpaths?.toString().startsWith('.dockerignore') !== true ? context : empty)(
          packets,
          call,
        );
    },
  });
}

type Request = Parameters<typeof create<typeof SolveRequestSchema>>[1];

function solve(client: GrpcClient, fields: Request): Promise<unknown> {
  return client.unary(Control, 'solve', { Ref: `hostile-ref${++number}`, Frontend: 'dockerfile.v0', ...fields });
}

/** Builds, with services that behave so. */
async function build(services: readonly Service[], fields: Request = {}): Promise<unknown> {
  const client = await controlClient(daemon.socket);
  const own = await session(...services);
  try {
    return await solve(client, { Session: own.id, ...fields });
  } finally {
    own.cut();
    client.close();
  }
}

/** Builds, and is gone as soon as the service that is given `reached` has been asked. */
async function vanish(services: (reached: () => void) => readonly Service[], fields: Request = {}): Promise<void> {
  const asked = Promise.withResolvers<void>();
  const client = await controlClient(daemon.socket);
  const own = await session(...services(() => asked.resolve()));
  const building = solve(client, { Session: own.id, ...fields });
  building.catch(() => {});
  await Promise.race([asked.promise, building.then(() => assert.fail('it was not asked'))]);
  own.cut();
  await assert.rejects(building, { status: GRPC.cancelled });
  client.close();
}

/** A path of almost the 4096 bytes that one may have. */
const longName = (n: number): string => `${'long'.repeat(60)}/`.repeat(15) + String(n).padStart(9, '0');

const forever = (): Promise<never> => new Promise(() => {});
const ERROR = { type: Packet_PacketType.PACKET_ERR, data: Buffer.from('open secret.key: permission denied') } as const;

/** Sends a Solve of so many bytes, as far as it is taken; gives its status. */
async function answerToLarge(bytes: number): Promise<unknown> {
  const socket = await upgraded(daemon.socket, '/grpc');
  const raw = connectHttp2('http://localhost', { createConnection: () => socket });
  raw.on('error', () => {});
  const stream = raw.request(
    { ':method': 'POST', ':path': '/moby.buildkit.v1.Control/Solve', 'content-type': 'application/grpc' },
    { endStream: false },
  );
  stream.on('error', () => {});
  const answer = new Promise((resolve) => {
    const read = (headers: Record<string, unknown>): void => {
      if (headers['grpc-status'] !== undefined) resolve(headers['grpc-status']);
    };
    stream
      .once('response', read)
      .once('trailers', read)
      .once('close', () => resolve('closed'));
    stream.resume();
  });
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes, 1);
  stream.write(head);
  const piece = Buffer.alloc(1 << 20);
  let answered = false;
  void answer.then(() => (answered = true));
  for (let sent = 0; sent < bytes && !answered; sent += piece.length)
    if (!stream.write(piece)) await Promise.race([once(stream, 'drain'), answer]);
  const status = await answer;
  raw.destroy();
  return status;
}

/** Resident memory of the engine, in bytes. */
function memory(): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))![1]) * 1024;
}

describe('clients that fail, lie or vanish', { concurrency: 1 }, () => {
  runsDaemon(daemon, { busybox: true });

  const FILES = 'FROM busybox\nCOPY . /\n';

  for (const [name, count] of [
    ['a short list', 3],
    ['a long list', 5000],
    ['a list that is not kept', 12_000],
  ] as const)
    test(`an error in the middle of ${name} of files ends the build at once`, async () => {
      // What comes behind it never comes.
      const own = dockerfile(FILES, async function* () {
        for (let n = 0; n < count; n++)
          yield { stat: { path: count > 10_000 ? longName(n) : `file-${n}`, mode: 0o644, size: 1n } };
        yield ERROR;
        await forever();
      });
      await assert.rejects(build([own]), { message: /error from sender: open secret.key: permission denied/ });
    });

  test('an error of the client where a Dockerfile is read, and while content comes', async () => {
    const refused = serve(FileSync, {
      async *diffCopy() {
        yield ERROR;
        await forever();
      },
    });
    await assert.rejects(build([refused]), { message: /open secret.key: permission denied/ });
    const broken = dockerfile(FILES, async function* (packets) {
      yield { stat: { path: 'file', mode: 0o644, size: 5n } };
      yield {};
      for await (const { type, ID } of packets) {
        if (type !== Packet_PacketType.PACKET_REQ) continue;
        yield { type: Packet_PacketType.PACKET_DATA, ID, data: Buffer.from('abc') };
        yield ERROR;
        await forever();
      }
    });
    await assert.rejects(build([broken]), { message: /error from sender: open secret.key: permission denied/ });
  });

  test('lists without an end are given up, and cost no memory', async () => {
    const before = memory();
    const endless: DiffCopy = async function* () {
      for (let n = 0; ; n++) yield { stat: { path: longName(n), mode: 0o644, size: 1n } };
    };
    const small = serve(FileSync, { diffCopy: endless });
    await assert.rejects(build([small]), { message: /Dockerfile and its list have more than 16 MiB/ });
    assert.ok(memory() - before < 300 << 20, `${(memory() - before) >> 20} MiB more`);
  });

  test('files that were not asked for, in other words than were asked, and longer than they were said to be', async () => {
    const answers: Readonly<Record<string, Parameters<typeof serve<typeof FileSync>>[1]['diffCopy']>> = {
      'which nobody asked for': async function* (packets) {
        yield { stat: { path: 'file', mode: 0o644, size: 1n } };
        yield {};
        for await (const _packet of packets)
          yield { type: Packet_PacketType.PACKET_DATA, ID: 7, data: Buffer.from('x') };
      },
      'became shorter': async function* (packets) {
        yield { stat: { path: 'file', mode: 0o644, size: 3n << 20n } };
        yield {};
        for await (const { ID } of packets) yield { type: Packet_PacketType.PACKET_DATA, ID };
      },
      'stopped sending files': async function* (packets) {
        yield { stat: { path: 'file', mode: 0o644, size: 3n } };
        yield {};
        for await (const _packet of packets) return;
      },
      'packet of type 0 where content was due': async function* (packets) {
        yield { stat: { path: 'file', mode: 0o644, size: 3n } };
        yield {};
        for await (const _packet of packets) yield { stat: { path: 'other', mode: 0o644, size: 3n } };
      },
    };
    for (const [words, diffCopy] of Object.entries(answers))
      await assert.rejects(build([dockerfile(FILES, diffCopy)]), { message: new RegExp(words) }, words);
  });

  const SECRET = 'FROM busybox\nRUN --mount=type=secret,id=s,required=true cat /run/secrets/s\n';
  const AGENT = 'FROM busybox\nRUN --mount=type=ssh,required=true true\n';

  test('secrets, agents and credentials that answer with errors', async () => {
    const denied = (): Promise<never> => Promise.reject(new GrpcError(GRPC.permissionDenied, 'the vault is locked'));
    await assert.rejects(build([dockerfile(SECRET), serve(Secrets, { getSecret: denied })]), /the vault is locked/);
    await assert.rejects(build([dockerfile(SECRET)]), /secret s: not found/);
    await assert.rejects(build([dockerfile(AGENT), serve(SSH, { checkAgent: denied })]), /ssh.*default/);
    const attributes = { 'image-resolve-mode': 'pull' };
    const far = dockerfile('FROM registry.invalid/a/b:c\n');
    await assert.rejects(
      build([far, serve(Auth, { credentials: denied })], { FrontendAttrs: attributes }),
      /the vault is locked/,
    );
  });

  test('a client that vanishes when it is asked for a secret, its agent, credentials, or a context as a stream', async () => {
    const hang = (reached: () => void) => (): Promise<never> => {
      reached();
      return forever();
    };
    await vanish((reached) => [dockerfile(SECRET), serve(Secrets, { getSecret: hang(reached) })]);
    await vanish((reached) => [dockerfile(AGENT), serve(SSH, { checkAgent: hang(reached) })]);
    await vanish((reached) => [
      dockerfile('FROM registry.invalid/a/b:c\n'),
      serve(Auth, { credentials: hang(reached) }),
    ]);
    const attributes = { context: 'http://buildkit-session/stdin' };
    await vanish(
      (reached) => [
        serve(Upload, {
          async *pull() {
            yield { data: Buffer.alloc(100_000) };
            reached();
            await forever();
          },
        }),
      ],
      { FrontendAttrs: attributes },
    );
  });

  test('an agent that vanishes while a step speaks to it', async () => {
    const text = 'FROM busybox\nRUN --mount=type=ssh,required=true sleep 600\n';
    await vanish((reached) => [
      dockerfile(text),
      serve(SSH, {
        async checkAgent() {
          setTimeout(reached, 1500);
          return {};
        },
        async *forwardAgent() {
          yield { data: Buffer.from('x') };
          await forever();
        },
      }),
    ]);
  });

  const OUTPUT = 'FROM busybox\nRUN head -c 4000000 /dev/urandom >/large\n';

  test('outputs that the client refuses, or is gone from in the middle', async () => {
    for (const Type of ['tar', 'local', 'oci', 'docker']) {
      const Exporters = [{ Type, Attrs: {} }];
      const full = serve(FileSend, {
        async *diffCopy(packets) {
          for await (const _packet of packets) throw new GrpcError(GRPC.unknown, 'no space left on device');
          yield* [];
        },
      });
      await assert.rejects(build([dockerfile(OUTPUT), full], { Exporters }), /no space left on device/, Type);
      await vanish(
        (reached) => [
          dockerfile(OUTPUT),
          serve(FileSend, {
            async *diffCopy(packets) {
              for await (const _packet of packets) {
                reached();
                await forever();
              }
              yield* [];
            },
          }),
        ],
        { Exporters },
      );
    }
  });

  test('a store of a cache that refuses, lies, or is gone in the middle', async () => {
    const Exports = [{ Type: 'local', Attrs: { dest: 'cache', mode: 'max' } }];
    const text = 'FROM busybox\nRUN echo for the cache >/made\n';
    const absent = async (): Promise<never> => {
      throw new GrpcError(GRPC.notFound, 'not found');
    };
    const refuses = serve(Content, {
      info: absent,
      async *write(messages) {
        for await (const _message of messages) throw new GrpcError(GRPC.unknown, 'read-only file system');
        yield* [];
      },
    });
    await assert.rejects(build([dockerfile(text), refuses], { Cache: { Exports } }), /read-only file system/);
    await vanish(
      (reached) => [
        dockerfile(text),
        serve(Content, {
          info: absent,
          async *write(messages) {
            for await (const _message of messages) {
              reached();
              await forever();
            }
            yield* [];
          },
        }),
      ],
      { Cache: { Exports } },
    );
    // A cache is no part of the build: one that lies costs the cache.
    const digest = `sha256:${'0'.repeat(64)}`;
    const Imports = [{ Type: 'local', Attrs: { src: 'cache', digest } }];
    const lies = serve(Content, {
      async info() {
        return { info: { digest, size: 10n } };
      },
      async *read() {
        for (;;) yield { data: Buffer.alloc(1 << 20) };
      },
    });
    const before = memory();
    await build([dockerfile(text), lies], { Cache: { Imports } });
    assert.ok(memory() - before < 200 << 20, `${(memory() - before) >> 20} MiB more`);
  });

  test('garbage in place of a session', async () => {
    const client = await controlClient(daemon.socket);
    const id = `hostile${++number}`;
    const heard = (): Promise<void> => new Promise((resolve) => socket.once('data', () => resolve()));
    const socket = await upgraded(daemon.socket, '/session', {
      'x-docker-expose-session-uuid': id,
      'x-docker-expose-session-grpc-method': '/moby.filesync.v1.FileSync/DiffCopy',
    });
    socket.on('error', () => {});
    await heard();
    const building = solve(client, { Session: id });
    building.catch(() => {});
    await heard();
    socket.write(Buffer.alloc(100_000, 0xff));
    await assert.rejects(building, { status: GRPC.cancelled });
    client.close();
  });

  test('a definition of 100 MB is refused, one of thousands of operations upon each other is built', async () => {
    const client = await controlClient(daemon.socket);
    const own = await session();
    assert.equal(await answerToLarge(100 << 20), String(GRPC.resourceExhausted));
    const llb = new Llb();
    let last = llb.file(undefined, [mkfile('/n', '0')]);
    for (let n = 1; n < 3000; n++) last = llb.merge(last);
    const deep = { Session: own.id, Frontend: '', Definition: llb.definition(last) };
    await solve(client, deep);
    own.cut();
    client.close();
  });

  test('versions of the API that are too old, too new, or none', async () => {
    const status = (path: string): Promise<[number | undefined, string]> =>
      new Promise((resolve, reject) => {
        const headers = { connection: 'Upgrade', upgrade: 'h2c' };
        const asked = request({ socketPath: daemon.socket, path, method: 'POST', headers }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => resolve([response.statusCode, Buffer.concat(chunks).toString()]));
        });
        asked.on('upgrade', (_response, socket) => {
          socket.destroy();
          resolve([101, '']);
        });
        asked.on('error', reject);
        asked.end();
      });
    assert.deepEqual(await status('/v1.51/grpc'), [101, '']);
    const [old, oldWords] = await status('/v1.12/grpc');
    assert.equal(old, 400);
    assert.match(oldWords, /client version 1\.12 is too old/);
    const [newer, newerWords] = await status('/v1.99/grpc');
    assert.equal(newer, 400);
    assert.match(newerWords, /client version 1\.99 is too new/);
    const [none] = await status('/vnext/grpc');
    assert.equal(none, 404);
  });

  test('afterwards the next build works', async () => {
    await build([dockerfile('FROM busybox\nRUN true\n')]);
  });
});

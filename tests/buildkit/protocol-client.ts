/** A client of BuildKit's protocol, of the tests' own: it can do what real ones do not. */
import { type IncomingHttpHeaders, request } from 'node:http';
import type { Socket } from 'node:net';
import { randomUUID } from 'node:crypto';
import { GrpcClient } from '../../src/buildkit/grpc/client.ts';
import { type Call, GrpcServer, type Handlers } from '../../src/buildkit/grpc/server.ts';
import { GRPC, GrpcError } from '../../src/buildkit/grpc/status.ts';
import { Content, WriteAction } from '../../src/buildkit/protocol/content_pb.ts';
import { Packet_PacketType } from '../../src/buildkit/protocol/files_pb.ts';
import { Auth, FileSend, FileSync } from '../../src/buildkit/protocol/filesync_pb.ts';
import { Secrets } from '../../src/buildkit/protocol/secrets_pb.ts';

/** A connection on which the engine has changed to HTTP/2. */
export function upgraded(
  socketPath: string,
  path: string,
  headers: Record<string, string | string[]> = {},
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const asked = request({
      socketPath,
      path,
      method: 'POST',
      headers: { connection: 'Upgrade', upgrade: 'h2c', ...headers },
    });
    asked.once('upgrade', (_response, socket: Socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    asked.once('response', (response: { statusCode?: number; headers: IncomingHttpHeaders }) =>
      reject(new Error(`status ${response.statusCode}`)),
    );
    asked.once('error', reject);
    asked.end();
  });
}

export async function controlClient(socketPath: string): Promise<GrpcClient> {
  return new GrpcClient(await upgraded(socketPath, '/grpc'));
}

/** One file of a client's directory: its text, or a link. */
export type TestFile = string | { readonly text?: string; readonly mode?: number; readonly link?: string };

/** A time that is no multiple of a second anywhere. */
const TIME = 1_600_000_000_000_000_000n;

/** A directory by its paths, as a client lists it; directories on the way are made. */
function listed(
  tree: Readonly<Record<string, TestFile>>,
): { path: string; mode: number; size: bigint; linkname: string; text: string }[] {
  const found = new Map<string, { path: string; mode: number; size: bigint; linkname: string; text: string }>();
  for (const [path, file] of Object.entries(tree)) {
    const parts = path.split('/');
    for (let n = 1; n < parts.length; n++) {
      const parent = parts.slice(0, n).join('/');
      found.set(parent, { path: parent, mode: 0x80000000 + 0o755, size: 0n, linkname: '', text: '' });
    }
    const { text = '', mode = 0o644, link = '' } = typeof file === 'string' ? { text: file } : file;
    found.set(
      path,
      link === ''
        ? { path, mode, size: BigInt(Buffer.byteLength(text)), linkname: '', text }
        : { path, mode: 0x08000000 + 0o777, size: 0n, linkname: link, text: '' },
    );
  }
  // As the protocol wants it: a directory, then what is in it.
  return [...found.values()].sort((a, b) => compare(a.path.split('/'), b.path.split('/')));
}

function compare(a: readonly string[], b: readonly string[]): number {
  for (let n = 0; n < Math.min(a.length, b.length); n++) if (a[n] !== b[n]) return a[n]! < b[n]! ? -1 : 1;
  return a.length - b.length;
}

export interface SessionServices {
  /** Files by their paths, by the directory's name. */
  readonly directories?: Readonly<Record<string, Readonly<Record<string, TestFile>>>>;
  readonly secrets?: Readonly<Record<string, string>>;
  /** Blobs by their digests, by the name of the store. */
  readonly blobs?: Readonly<Record<string, Readonly<Record<string, Uint8Array>>>>;
  /** Takes blobs that are written to a store. */
  readonly onBlob?: (store: string, digest: string, bytes: Buffer) => void;
  /** Told what is asked for of a directory. */
  readonly onFiles?: (metadata: Record<string, unknown>) => void;
  /** Takes what is sent as an archive. */
  readonly onOutput?: (bytes: Buffer) => void;
}

export interface TestSession {
  readonly id: string;
  close(): void;
}

/** Opens a session that serves these. */
export async function openSession(socketPath: string, services: SessionServices): Promise<TestSession> {
  const { directories = {}, secrets = {}, blobs = {}, onBlob, onFiles, onOutput } = services;
  const id = randomUUID();
  const methods = [
    '/moby.filesync.v1.FileSync/DiffCopy',
    '/moby.filesync.v1.Auth/Credentials',
    '/moby.buildkit.secrets.v1.Secrets/GetSecret',
    '/moby.filesync.v1.FileSend/DiffCopy',
    '/containerd.services.content.v1.Content/Info',
    '/containerd.services.content.v1.Content/Read',
    '/containerd.services.content.v1.Content/Write',
  ];
  const socket = await upgraded(socketPath, '/session', {
    'x-docker-expose-session-uuid': id,
    'x-docker-expose-session-name': 'test',
    'x-docker-expose-session-sharedkey': id,
    'x-docker-expose-session-grpc-method': methods,
  });
  const blob = ({ metadata }: Call, digest: string): Uint8Array => {
    const found = blobs[String(metadata['buildkit-attachable-store-id'])]?.[digest];
    if (!found) throw new GrpcError(GRPC.notFound, `content ${digest}: not found`);
    return found;
  };
  new GrpcServer(() => {})
    .add(FileSync, {
      async *diffCopy(packets, { metadata }) {
        onFiles?.(metadata);
        const entries = listed(directories[String(metadata['dir-name'])] ?? {});
        for (const { text: _, ...stat } of entries) yield { stat: { ...stat, modTime: TIME } };
        yield {};
        for await (const { type, ID } of packets) {
          if (type === Packet_PacketType.PACKET_FIN) {
            yield { type: Packet_PacketType.PACKET_FIN };
            return;
          }
          if (type !== Packet_PacketType.PACKET_REQ) continue;
          yield { type: Packet_PacketType.PACKET_DATA, ID, data: Buffer.from(entries[ID]!.text) };
          yield { type: Packet_PacketType.PACKET_DATA, ID };
        }
      },
    } satisfies Handlers<typeof FileSync>)
    .add(Auth, {
      async credentials() {
        return {};
      },
    })
    .add(Secrets, {
      async getSecret({ ID }) {
        if (secrets[ID] === undefined) throw new GrpcError(GRPC.notFound, `secret ${ID} not found`);
        return { data: Buffer.from(secrets[ID]) };
      },
    })
    .add(Content, {
      async info({ digest }, call) {
        return { info: { digest, size: BigInt(blob(call, digest).length) } };
      },
      async *read({ digest, offset, size }, call) {
        const bytes = blob(call, digest);
        const end = size > 0n ? Number(offset + size) : bytes.length;
        yield { offset, data: bytes.subarray(Number(offset), end) };
      },
      async *write(messages, { metadata }) {
        const chunks: Uint8Array[] = [];
        for await (const { action, data, expected } of messages) {
          chunks.push(data);
          if (action === WriteAction.COMMIT)
            onBlob?.(String(metadata['buildkit-attachable-store-id']), expected, Buffer.concat(chunks));
          yield { action };
        }
      },
    })
    .add(FileSend, {
      async *diffCopy(messages) {
        const chunks: Uint8Array[] = [];
        for await (const { data } of messages) chunks.push(data);
        onOutput?.(Buffer.concat(chunks));
        yield* [];
      },
    })
    .accept(socket);
  return { id, close: () => socket.destroy() };
}

import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type ByteString, textOf } from '../../base/byte-string.ts';
import { EngineError } from '../../base/errors.ts';
import type { TarHeader } from '../../content/tar/header.ts';
import { readTar } from '../../content/tar/reader.ts';
import type { Bytes } from '../../content/content-store.ts';
import type { RawCall } from '../grpc/client.ts';
import { Packet_PacketType, PacketSchema, type StatSchema } from '../protocol/files_pb.ts';

/** Files up to this size are kept until the client asks for them; larger ones make the archive wait. */
const KEEP_FILE = 1 << 20;
const KEEP_ALL = 16 << 20;
const PIECE = 512 << 10;

const KINDS: Readonly<Record<TarHeader['type'], number>> = {
  file: 0,
  'hard-link': 0,
  directory: 0x80000000,
  symlink: 0x08000000,
  fifo: 0x02000000,
  'block-device': 0x04000000,
  'character-device': 0x04200000,
};

/**
 * Brings the files of a tar to a directory of the client, by the session's file transfer: the client is told of each and
 * asks for the content of those that it wants. Gives the bytes of that. Throws what the client answers.
 */
export async function sendFiles(call: RawCall, archive: Bytes): Promise<number> {
  let sent = 0;
  const requests = new Requests(call);
  const send = (packet: MessageInitShape<typeof PacketSchema>): Promise<void> =>
    call.send(toBinary(PacketSchema, create(PacketSchema, packet)));
  const sendContent = async (id: number, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> => {
    for await (const chunk of content) {
      sent += chunk.length;
      for (let at = 0; at < chunk.length; at += PIECE)
        await send({ type: Packet_PacketType.PACKET_DATA, ID: id, data: chunk.subarray(at, at + PIECE) });
    }
    await send({ type: Packet_PacketType.PACKET_DATA, ID: id });
  };
  const kept = new Map<number, Buffer>();
  let keptBytes = 0;
  const serve = async (until: () => boolean): Promise<void> => {
    for (;;) {
      const asked = requests.take((id) => kept.has(id));
      for (const id of asked) {
        const content = kept.get(id)!;
        kept.delete(id);
        keptBytes -= content.length;
        await sendContent(id, [content]);
      }
      // More may have been asked for meanwhile: only who finds nothing waits for the next.
      if (asked.length > 0) continue;
      if (until()) return;
      await requests.more();
    }
  };
  try {
    let id = 0;
    for await (const { header, body } of readTar(archive)) {
      const path = clean(header.name);
      if (path === '') continue;
      await send({ stat: statOf(header, path) });
      if (header.type === 'file') {
        if (header.size <= KEEP_FILE) {
          kept.set(id, await whole(body));
          keptBytes += header.size;
          await serve(() => keptBytes <= KEEP_ALL);
        } else {
          const wanted = id;
          await serve(() => requests.has(wanted));
          requests.take((one) => one === wanted);
          await sendContent(wanted, body);
        }
      }
      id++;
    }
    await send({});
    await serve(() => requests.finished);
    await send({ type: Packet_PacketType.PACKET_FIN });
    call.end();
    await requests.ended;
    return sent;
  } catch (error) {
    call.cancel();
    throw requests.failure ?? error;
  }
}

/** What the client asks for while it is told what there is. */
class Requests {
  finished = false;
  failure: Error | undefined;
  readonly ended: Promise<void>;
  readonly #wanted = new Set<number>();
  #wake = Promise.withResolvers<void>();

  constructor(call: RawCall) {
    this.ended = this.#read(call);
    this.ended.catch((error: Error) => {
      this.failure ??= error;
      this.#wake.resolve();
    });
  }

  has(id: number): boolean {
    return this.#wanted.has(id);
  }

  /** Those that `fits`; they are no longer asked for. */
  take(fits: (id: number) => boolean): number[] {
    const taken = [...this.#wanted].filter(fits);
    for (const id of taken) this.#wanted.delete(id);
    return taken;
  }

  /** Resolves when the client said something. Throws when it will say no more. */
  async more(): Promise<void> {
    this.#check();
    await this.#wake.promise;
    this.#check();
  }

  #check(): void {
    const { failure } = this;
    if (failure) throw failure;
  }

  async #read(call: RawCall): Promise<void> {
    for await (const message of call.messages()) {
      const packet = fromBinary(PacketSchema, message);
      if (packet.type === Packet_PacketType.PACKET_ERR)
        throw new EngineError('invalid-argument', `error from receiver: ${Buffer.from(packet.data).toString()}`);
      if (packet.type === Packet_PacketType.PACKET_REQ) this.#wanted.add(packet.ID);
      if (packet.type === Packet_PacketType.PACKET_FIN) this.finished = true;
      const wake = this.#wake;
      this.#wake = Promise.withResolvers();
      wake.resolve();
    }
    if (!this.finished) throw new EngineError('cancelled', 'the client stopped taking files');
  }
}

function statOf(header: TarHeader, path: ByteString): MessageInitShape<typeof StatSchema> {
  const { mode, type } = header;
  const special =
    (mode & 0o4000 ? 0x00800000 : 0) | (mode & 0o2000 ? 0x00400000 : 0) | (mode & 0o1000 ? 0x00100000 : 0);
  return {
    path: textOf(path),
    mode: ((mode & 0o777) | special | KINDS[type]) >>> 0,
    uid: header.uid,
    gid: header.gid,
    size: BigInt(header.size),
    modTime: header.mtime,
    linkname: textOf(type === 'hard-link' ? clean(header.linkName) : header.linkName),
    devmajor: BigInt(header.deviceMajor),
    devminor: BigInt(header.deviceMinor),
    xattrs: Object.fromEntries([...header.xattrs].map(([name, value]) => [textOf(name), value])),
  };
}

function clean(name: ByteString): ByteString {
  return name
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

async function whole(body: Bytes): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // The reader's memory is its own again with the next chunk.
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

import { BinaryReader } from '@bufbuild/protobuf/wire';
import { constants } from 'node:fs';
import { EngineError } from '../../base/errors.ts';
import type { JobContext, Jobs } from '../../base/worker-server.ts';
import type { ClientEntry } from '../../engine/builder/client-files/manifest.ts';

/** Of each entry of the manifest, in order: what it is asked for by, and how large it is. */
export interface Listing {
  readonly ids: readonly number[];
  readonly sizes: readonly number[];
}

/** Kinds of what the job gives, in the first byte of each chunk. */
const MANIFEST = 0;
const LISTING = 1;
const BATCH = 64 << 10;
/** In front of each packet: a byte, and its length as 32 bits. */
const HEADER = 5;

/** Bits of Go's os.FileMode beside the permissions. */
const GO_MODE = {
  directory: 0x80000000,
  symlink: 0x08000000,
  device: 0x04000000,
  fifo: 0x02000000,
  socket: 0x01000000,
  setuid: 0x00800000,
  setgid: 0x00400000,
  charDevice: 0x00200000,
  sticky: 0x00100000,
} as const;

export const jobs: Jobs = {
  /** From the packets of a list, in frames of gRPC that are whole, to the engine's manifest, which is JSON. */
  list: async (_parameters: undefined, context: JobContext): Promise<void> => {
    const ids: number[] = [];
    const sizes: number[] = [];
    const sizeOf = new Map<string, number>();
    let text = '[';
    let id = 0;
    const flush = async (): Promise<void> => {
      await context.write(tagged(MANIFEST, text));
      text = '';
    };
    for await (const chunk of context.input) {
      for (let at = 0; at < chunk.length;) {
        const from = at + HEADER;
        at = from + chunk.readUInt32BE(at + 1);
        const stat = readStat(chunk.subarray(from, at));
        const entry = entryOf(stat, sizeOf);
        if (entry) {
          ids.push(id);
          sizes.push(entry[2]);
          if ((entry[1] & constants.S_IFMT) === constants.S_IFREG) sizeOf.set(entry[0], entry[2]);
          text += `${ids.length > 1 ? ',' : ''}${JSON.stringify(entry)}`;
          if (text.length > BATCH) await flush();
        }
        id++;
      }
    }
    text += ']';
    await flush();
    await context.write(tagged(LISTING, JSON.stringify({ ids, sizes } satisfies Listing)));
  },
};

function tagged(kind: number, text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(1 + Buffer.byteLength(text));
  bytes[0] = kind;
  Buffer.from(bytes.buffer).write(text, 1);
  return bytes;
}

interface Stat {
  path: string;
  mode: number;
  size: number;
  mtime: string;
  link: string;
}

function readStat(message: Uint8Array): Stat {
  const stat: Stat = { path: '', mode: 0, size: 0, mtime: '0', link: '' };
  try {
    const packet = new BinaryReader(message);
    while (packet.pos < packet.len) {
      const [field, wire] = packet.tag();
      if (field === 2 && wire === 2) fillStat(stat, packet.bytes());
      else if (field === 1 && wire === 0 && packet.int32() === 4) throw new Error('the client reports an error');
      else packet.skip(wire, field);
    }
  } catch (error) {
    throw new EngineError('invalid-argument', `not a list of files: ${(error as Error).message}`, { cause: error });
  }
  return stat;
}

function fillStat(stat: Stat, bytes: Uint8Array): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 1 && wire === 2) stat.path = latin1(reader.bytes());
    else if (field === 2 && wire === 0) stat.mode = reader.uint32();
    else if (field === 5 && wire === 0) stat.size = Number(reader.int64());
    else if (field === 6 && wire === 0) stat.mtime = String(reader.int64());
    else if (field === 7 && wire === 2) stat.link = latin1(reader.bytes());
    else reader.skip(wire, field);
  }
}

/** Names are bytes: one character each. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** Undefined for what no build can have: sockets and devices. */
function entryOf(stat: Stat, sizeOf: ReadonlyMap<string, number>): ClientEntry | undefined {
  const { path, mode, mtime } = stat;
  const permissions =
    (mode & 0o777) |
    (mode & GO_MODE.setuid ? 0o4000 : 0) |
    (mode & GO_MODE.setgid ? 0o2000 : 0) |
    (mode & GO_MODE.sticky ? 0o1000 : 0);
  if (mode & (GO_MODE.socket | GO_MODE.device | GO_MODE.charDevice)) return undefined;
  if (mode & GO_MODE.directory) return [path, constants.S_IFDIR | permissions, 0, mtime, STAMP];
  if (mode & GO_MODE.symlink) return [path, constants.S_IFLNK | 0o777, 0, mtime, STAMP, stat.link];
  if (mode & GO_MODE.fifo) return [path, constants.S_IFIFO | permissions, 0, mtime, STAMP];
  // A hard link names the file that it is one of, and leaves out its size.
  const size = stat.link === '' ? stat.size : (sizeOf.get(stat.link) ?? stat.size);
  return [path, constants.S_IFREG | permissions, size, mtime, STAMP];
}

/** The protocol tells content apart by size and time alone. */
const STAMP = 'time';

import { BinaryReader } from '@bufbuild/protobuf/wire';
import { constants } from 'node:fs';
import { EngineError } from '../../base/errors.ts';
import type { ClientEntry } from '../../engine/builder/client-files/manifest.ts';

/** Of each entry of the manifest, in order: what it is asked for by, and how large it is. */
export interface Listing {
  readonly ids: readonly number[];
  readonly sizes: readonly number[];
}

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

/** Reads the packets of a list, in frames of gRPC that are whole, into entries of the engine's manifest. */
export class ListReader {
  readonly #ids: number[] = [];
  readonly #sizes: number[] = [];
  readonly #sizeOf = new Map<string, number>();
  #id = 0;

  /** What was read so far. */
  get listing(): Listing {
    return { ids: this.#ids, sizes: this.#sizes };
  }

  /** The entries of `frames` as a part of a JSON list, a comma in front where others came before. */
  read(frames: Buffer): string {
    let text = '';
    for (let at = 0; at < frames.length;) {
      const from = at + HEADER;
      at = from + frames.readUInt32BE(at + 1);
      const entry = entryOf(readStat(frames.subarray(from, at)), this.#sizeOf);
      if (entry) {
        this.#ids.push(this.#id);
        this.#sizes.push(entry[2]);
        if ((entry[1] & constants.S_IFMT) === constants.S_IFREG) this.#sizeOf.set(entry[0], entry[2]);
        text += `${this.#ids.length > 1 ? ',' : ''}${JSON.stringify(entry)}`;
      }
      this.#id++;
    }
    return text;
  }
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

import type { ByteString } from '../../base/byte-string.ts';
import { EngineError } from '../../base/errors.ts';

/** Headers and contents are padded to this, in bytes. */
export const BLOCK = 512;

export type TarEntryType =
  | 'file'
  | 'hard-link'
  | 'symlink'
  | 'character-device'
  | 'block-device'
  | 'directory'
  | 'fifo';

/** One entry of an archive, whatever dialect it was written in. Names and links are as stored: nothing is cleaned. */
export interface TarHeader {
  readonly type: TarEntryType;
  readonly name: ByteString;
  /** Target of a hard link (a name in the archive) or a symlink; empty otherwise. */
  readonly linkName: ByteString;
  /** Bytes of the content, holes of a sparse file included; 0 for everything but files. */
  readonly size: number;
  /** The twelve permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly userName: ByteString;
  readonly groupName: ByteString;
  /** Nanoseconds since the epoch. */
  readonly mtime: bigint;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly xattrs: ReadonlyMap<ByteString, Uint8Array>;
}

/** A header with everything at its default. */
export function tarHeader(fields: Partial<TarHeader> & Pick<TarHeader, 'type' | 'name'>): TarHeader {
  return {
    linkName: '',
    size: 0,
    mode: fields.type === 'directory' ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    userName: '',
    groupName: '',
    mtime: 0n,
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: NO_XATTRS,
    ...fields,
  };
}

export const NO_XATTRS: ReadonlyMap<ByteString, Uint8Array> = new Map();

/** `typeflag` of each type (POSIX.1-2001 pax, ustar interchange format). */
export const TYPE_FLAGS: Readonly<Record<TarEntryType, string>> = {
  file: '0',
  'hard-link': '1',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
};

/** Field positions of a header block: `[offset, length]`. */
export const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  typeFlag: [156, 1],
  linkName: [157, 100],
  magic: [257, 8],
  userName: [265, 32],
  groupName: [297, 32],
  deviceMajor: [329, 8],
  deviceMinor: [337, 8],
  prefix: [345, 155],
} as const;

/** The field up to its first NUL. */
export function readText(block: Buffer, [offset, length]: readonly [number, number]): ByteString {
  const nul = block.indexOf(0, offset);
  return block.toString('latin1', offset, nul < 0 || nul > offset + length ? offset + length : nul);
}

/** A number in octal, or in base 256 when the first bit is set. Throws `corrupt` when it is neither, or too large to count with. */
export function readNumber(block: Buffer, field: readonly [number, number], what: string): number {
  const [offset, length] = field;
  if ((block[offset]! & 0x80) !== 0) return readBase256(block, offset, length, what);
  const usual = readDigits(block, offset, offset + length);
  if (usual !== undefined) return usual;
  const text = readText(block, field).trim();
  if (text === '') return 0;
  if (!/^[0-7]+$/.test(text)) throw new EngineError('corrupt', `invalid tar header: ${what} is not a number`);
  return parseInt(text, 8);
}

/** Digits up to the end or a NUL, as nearly everybody writes them. */
function readDigits(block: Buffer, start: number, end: number): number | undefined {
  let value = 0;
  let at = start;
  for (; at < end; at++) {
    const digit = block[at]! - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  return at > start && (at === end || block[at] === 0) ? value : undefined;
}

function readBase256(block: Buffer, offset: number, length: number, what: string): number {
  const negative = (block[offset]! & 0x40) !== 0;
  let value = BigInt(block[offset]! & 0x7f);
  for (let index = 1; index < length; index++) value = (value << 8n) | BigInt(block[offset + index]!);
  if (negative) value -= 1n << BigInt(length * 8 - 1);
  if (value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER) {
    throw new EngineError('corrupt', `invalid tar header: ${what} is out of range`);
  }
  return Number(value);
}

/** The sum of all bytes, the checksum field counted as spaces; and the sum of them as signed bytes, which some old writers stored. */
export function checksums(block: Buffer): { unsigned: number; signed: number } {
  const [start, length] = FIELDS.checksum;
  let unsigned = 0;
  let high = 0;
  for (let index = 0; index < BLOCK; index++) {
    const byte = index >= start && index < start + length ? 0x20 : block[index]!;
    unsigned += byte;
    if (byte > 0x7f) high++;
  }
  return { unsigned, signed: unsigned - high * 256 };
}

/** How many bytes follow `size` bytes of content up to the next block. */
export function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

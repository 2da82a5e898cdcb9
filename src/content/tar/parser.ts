import type { ByteString } from '../../base/byte-string.ts';
import { EngineError } from '../../base/errors.ts';
import {
  BLOCK,
  checksums,
  FIELDS,
  NO_XATTRS,
  padding,
  readNumber,
  readText,
  type TarEntryType,
  type TarHeader,
} from './header.ts';
import { type PaxRecords, parsePax, paxInteger, paxTime } from './pax.ts';
import {
  checkExtents,
  type Extent,
  leadingSparseMap,
  OLD_REAL_SIZE,
  oldSparseExtents,
  paxSparseExtents,
} from './sparse.ts';

/** Bounds that protect the reader's memory; an archive over one of them throws `too-large`. */
export const TAR_LIMITS = {
  /** Bytes of everything in front of one entry's content: extended headers, long names, sparse maps. */
  headerSet: 1 << 20,
  /** Bytes of a name or a link. */
  path: 4096,
  /** Bytes between two slashes. */
  component: 255,
  /** Bytes of one extended attribute. */
  xattr: 65536,
} as const;

/** Receives an archive as it is parsed. What it throws ends the parsing. */
export interface TarHandler {
  entry(header: TarHeader): void;
  /** Bytes at `offset` of the entry's content, in order; the holes of a sparse file are left out. `chunk` is only lent. */
  data(chunk: Buffer, offset: number): void;
  /** The entry's content is complete. */
  entryEnd(): void;
}

/**
 * Reads a tar archive that is pushed into it chunk by chunk, synchronously and without copying content: v7, ustar, PAX
 * (with all three GNU sparse formats), old GNU (long names, sparse, numbers in base 256), star.
 *
 * Headers of a type that no filesystem object stands for are skipped when they are only remarks (global PAX headers,
 * volume labels) and otherwise refused. Throws `corrupt` or `too-large`.
 */
export class TarParser {
  readonly #handler: TarHandler;
  #state: 'header' | 'collect' | 'content' | 'padding' | 'end' = 'header';
  /** What is collected before it can be understood: a header block, an extended header, a sparse map. */
  #collected: Buffer = Buffer.alloc(BLOCK);
  #filled = 0;
  #onCollected: (data: Buffer) => void = () => {};
  #headerSetBytes = 0;
  #sawZeroBlock = false;
  #skipping = false;
  /** Of the content or padding being passed on. */
  #remaining = 0;
  #padding = 0;
  #offset = 0;
  #extents: readonly Extent[] | undefined;
  #extent = 0;
  /** From extended headers, for the next entry. */
  #pax: PaxRecords | undefined;
  #longName: ByteString | undefined;
  #longLink: ByteString | undefined;

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  /** Whether the end mark was seen. What follows it is not parsed. */
  get ended(): boolean {
    return this.#state === 'end';
  }

  push(chunk: Buffer): void {
    let position = 0;
    while (position < chunk.length && this.#state !== 'end') {
      switch (this.#state) {
        case 'header':
          if (this.#filled === 0 && chunk.length - position >= BLOCK) {
            this.#header(chunk.subarray(position, position + BLOCK));
            position += BLOCK;
          } else {
            position += this.#fill(chunk, position, (block) => this.#header(block));
          }
          break;
        case 'collect':
          position += this.#fill(chunk, position, this.#onCollected);
          break;
        case 'content':
          position += this.#content(chunk, position);
          break;
        case 'padding': {
          const length = Math.min(this.#remaining, chunk.length - position);
          position += length;
          this.#remaining -= length;
          if (this.#remaining === 0) this.#await(BLOCK);
          break;
        }
      }
    }
  }

  /** The bytes are over. An archive may end without an end mark, but not inside an entry. */
  finish(): void {
    const clean =
      this.#state === 'end' ||
      (this.#state === 'header' && this.#filled === 0 && this.#headerSetBytes === 0) ||
      // GNU tar and others pad the last content or not
      (this.#state === 'padding' && !this.#skipping);
    if (!clean) throw new EngineError('corrupt', 'invalid tar: unexpected end of the archive');
  }

  #fill(chunk: Buffer, position: number, done: (data: Buffer) => void): number {
    const length = Math.min(this.#collected.length - this.#filled, chunk.length - position);
    chunk.copy(this.#collected, this.#filled, position, position + length);
    this.#filled += length;
    if (this.#filled === this.#collected.length) {
      const data = this.#collected;
      this.#filled = 0;
      done(data);
    }
    return length;
  }

  /** Waits for the next header block. */
  #await(size: number): void {
    this.#state = 'header';
    this.#filled = 0;
    if (this.#collected.length !== size) this.#collected = Buffer.alloc(size);
  }

  #collect(bytes: number, done: (data: Buffer) => void): void {
    this.#state = 'collect';
    this.#filled = 0;
    this.#collected = Buffer.alloc(bytes);
    this.#onCollected = done;
  }

  #count(bytes: number): void {
    this.#headerSetBytes += bytes;
    if (this.#headerSetBytes > TAR_LIMITS.headerSet) {
      throw new EngineError(
        'too-large',
        `invalid tar: the headers of one entry are over ${TAR_LIMITS.headerSet} bytes`,
      );
    }
  }

  #header(block: Buffer): void {
    const { unsigned, signed } = checksums(block);
    if (unsigned === 8 * 0x20 && block.readDoubleLE(FIELDS.checksum[0]) === 0) {
      if (this.#headerSetBytes > 0)
        throw new EngineError('corrupt', 'invalid tar: an extended header without an entry');
      if (this.#sawZeroBlock) this.#state = 'end';
      this.#sawZeroBlock = true;
      return;
    }
    if (this.#sawZeroBlock) throw new EngineError('corrupt', 'invalid tar: a single block of zeros between entries');
    const stored = readNumber(block, FIELDS.checksum, 'the checksum');
    if (stored !== unsigned && stored !== signed) {
      throw new EngineError('corrupt', 'invalid tar header: the checksum does not match');
    }
    const size = readNumber(block, FIELDS.size, 'the size');
    if (size < 0) throw new EngineError('corrupt', 'invalid tar header: the size is negative');
    const flag = String.fromCharCode(block[FIELDS.typeFlag[0]]!);
    switch (flag) {
      case 'x':
        this.#collectExtended(size, (data) => {
          this.#pax = parsePax(data);
          for (const [name, value] of this.#pax.xattrs) {
            if (value.length > TAR_LIMITS.xattr || name.length > TAR_LIMITS.component) {
              throw new EngineError(
                'too-large',
                `invalid tar: an extended attribute is over ${TAR_LIMITS.xattr} bytes`,
              );
            }
          }
        });
        return;
      case 'L':
        this.#collectExtended(size, (data) => (this.#longName = untilNul(data)));
        return;
      case 'K':
        this.#collectExtended(size, (data) => (this.#longLink = untilNul(data)));
        return;
      case 'g':
        // Defaults for later entries; Docker reads over them as well.
        this.#collectExtended(size, parsePax);
        return;
      case 'V':
        this.#skip(size);
        return;
      default:
        this.#entry(Buffer.from(block), flag, size);
    }
  }

  #collectExtended(size: number, done: (data: Buffer) => void): void {
    this.#count(BLOCK + size);
    if (size === 0) return done(Buffer.alloc(0));
    this.#collect(size + padding(size), (data) => {
      done(data.subarray(0, size));
      this.#await(BLOCK);
    });
  }

  #skip(size: number): void {
    this.#headerSetBytes = 0;
    this.#skipping = true;
    this.#remaining = size + padding(size);
    if (this.#remaining > 0) this.#state = 'padding';
  }

  #entry(block: Buffer, flag: string, blockSize: number): void {
    const type = entryType(flag);
    const pax = this.#pax?.values;
    const stored = pax?.has('size') ? paxInteger(pax.get('size')!, 'size') : blockSize;
    if (flag === 'S') return this.#oldSparse(block, stored);
    const header = this.#describe(block, type, stored);
    if (this.#pax && header.type === 'file') {
      if (pax!.get('GNU.sparse.major') === '1' && pax!.get('GNU.sparse.minor') === '0') {
        return this.#leadingMap(header, stored);
      }
      const extents = paxSparseExtents(this.#pax);
      if (extents) return this.#begin(header, stored, extents);
    }
    this.#begin(header, header.type === 'file' ? stored : 0);
  }

  /** Old GNU format: the map starts in the header block and goes on in blocks of its own. */
  #oldSparse(block: Buffer, stored: number): void {
    const header = {
      ...this.#describe(block, 'file', stored),
      size: readNumber(block, OLD_REAL_SIZE, 'the real size'),
    };
    const first = oldSparseExtents(block, 'header');
    const extents = first.extents;
    const next = (more: boolean): void => {
      if (!more) return this.#begin(header, stored, extents);
      this.#count(BLOCK);
      this.#collect(BLOCK, (continuation) => {
        const part = oldSparseExtents(continuation, 'continuation');
        extents.push(...part.extents);
        next(part.more);
      });
    };
    next(first.more);
  }

  /** PAX format 1.0: the map is the first blocks of the content. */
  #leadingMap(header: TarHeader, stored: number): void {
    const blocks: Buffer[] = [];
    let newlines = 0;
    let wanted = Infinity;
    const next = (): void => {
      if ((blocks.length + 1) * BLOCK > stored) {
        throw new EngineError('corrupt', 'invalid tar: the map of a sparse file does not end');
      }
      this.#count(BLOCK);
      this.#collect(BLOCK, (block) => {
        blocks.push(block);
        for (const byte of block) if (byte === 0x0a) newlines++;
        if (wanted === Infinity && newlines > 0) wanted = 1 + 2 * countOf(Buffer.concat(blocks));
        const map = newlines >= wanted ? leadingSparseMap(Buffer.concat(blocks)) : undefined;
        if (map) this.#begin(header, stored - blocks.length * BLOCK, map.extents);
        else next();
      });
    };
    next();
  }

  #describe(block: Buffer, type: TarEntryType, stored: number): TarHeader {
    const pax = this.#pax?.values;
    const dialect = dialectOf(block);
    const blockName = readText(block, FIELDS.name);
    const prefix =
      dialect === 'ustar' ? readText(block, FIELDS.prefix) : dialect === 'star' ? readText(block, [345, 131]) : '';
    const name =
      pax?.get('GNU.sparse.name') ??
      nonEmpty(pax?.get('path')) ??
      this.#longName ??
      (prefix === '' ? blockName : `${prefix}/${blockName}`);
    const actual: TarEntryType = type === 'file' && name.endsWith('/') ? 'directory' : type;
    const isLink = actual === 'symlink' || actual === 'hard-link';
    const linkName = isLink
      ? (nonEmpty(pax?.get('linkpath')) ?? this.#longLink ?? readText(block, FIELDS.linkName))
      : '';
    checkPath(name);
    checkPath(linkName);
    const isDevice = actual === 'character-device' || actual === 'block-device';
    const extended = dialect !== 'v7';
    return {
      type: actual,
      name,
      linkName,
      size: actual === 'file' ? realSize(pax, stored) : 0,
      mode: readNumber(block, FIELDS.mode, 'the mode') & 0o7777,
      uid: id(pax?.get('uid'), block, FIELDS.uid, 'uid'),
      gid: id(pax?.get('gid'), block, FIELDS.gid, 'gid'),
      userName: pax?.get('uname') ?? (extended ? readText(block, FIELDS.userName) : ''),
      groupName: pax?.get('gname') ?? (extended ? readText(block, FIELDS.groupName) : ''),
      mtime: pax?.has('mtime')
        ? paxTime(pax.get('mtime')!, 'mtime')
        : BigInt(readNumber(block, FIELDS.mtime, 'the time')) * 1_000_000_000n,
      deviceMajor: isDevice && extended ? readNumber(block, FIELDS.deviceMajor, 'the device') : 0,
      deviceMinor: isDevice && extended ? readNumber(block, FIELDS.deviceMinor, 'the device') : 0,
      xattrs: this.#pax?.xattrs ?? NO_XATTRS,
    };
  }

  #begin(header: TarHeader, stored: number, extents?: readonly Extent[]): void {
    if (extents) checkExtents(extents, header.size, stored);
    this.#pax = undefined;
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#headerSetBytes = 0;
    this.#skipping = false;
    this.#extents = extents?.filter(({ length }) => length > 0);
    this.#extent = 0;
    this.#offset = this.#extents?.[0]?.offset ?? 0;
    this.#remaining = stored;
    this.#padding = padding(stored);
    this.#handler.entry(header);
    if (stored > 0) this.#state = 'content';
    else this.#endContent();
  }

  #content(chunk: Buffer, position: number): number {
    const extent = this.#extents?.[this.#extent];
    const wanted = extent ? extent.offset + extent.length - this.#offset : this.#remaining;
    const length = Math.min(wanted, chunk.length - position);
    this.#handler.data(chunk.subarray(position, position + length), this.#offset);
    this.#offset += length;
    this.#remaining -= length;
    if (extent && length === wanted) this.#offset = this.#extents![++this.#extent]?.offset ?? this.#offset;
    if (this.#remaining === 0) this.#endContent();
    return length;
  }

  #endContent(): void {
    this.#handler.entryEnd();
    this.#remaining = this.#padding;
    if (this.#padding > 0) this.#state = 'padding';
    else this.#await(BLOCK);
  }
}

function entryType(flag: string): TarEntryType {
  switch (flag) {
    case '0':
    case '\0':
    case '7': // a contiguous file, which is a file
    case 'S':
      return 'file';
    case '1':
      return 'hard-link';
    case '2':
      return 'symlink';
    case '3':
      return 'character-device';
    case '4':
      return 'block-device';
    case '5':
      return 'directory';
    case '6':
      return 'fifo';
    default:
      throw new EngineError('corrupt', `invalid tar header: unsupported type ${JSON.stringify(flag)}`);
  }
}

function dialectOf(block: Buffer): 'v7' | 'gnu' | 'ustar' | 'star' {
  const magic = block.toString('latin1', 257, 265);
  if (magic === 'ustar  \0') return 'gnu';
  if (!magic.startsWith('ustar\0')) return 'v7';
  return block.toString('latin1', 508, 512) === 'tar\0' ? 'star' : 'ustar';
}

function realSize(pax: ReadonlyMap<string, string> | undefined, stored: number): number {
  const text = pax?.get('GNU.sparse.realsize') ?? pax?.get('GNU.sparse.size');
  return text === undefined ? stored : paxInteger(text, 'GNU.sparse.realsize');
}

function id(text: string | undefined, block: Buffer, field: readonly [number, number], what: string): number {
  const value = text === undefined ? readNumber(block, field, what) : paxInteger(text, what);
  // 2^32 - 1 means "leave it" to chown(2)
  if (value < 0 || value >= 0xffffffff) throw new EngineError('corrupt', `invalid tar header: ${what} is out of range`);
  return value;
}

function checkPath(path: ByteString): void {
  if (path.length <= TAR_LIMITS.component) return;
  if (path.length > TAR_LIMITS.path || path.split('/').some((part) => part.length > TAR_LIMITS.component)) {
    throw new EngineError('too-large', `invalid tar: a name is too long: ${path.slice(0, 100)}…`);
  }
}

function countOf(data: Buffer): number {
  return paxInteger(data.toString('latin1', 0, data.indexOf(0x0a)), 'the sparse map');
}

function untilNul(data: Buffer): ByteString {
  const nul = data.indexOf(0);
  return data.toString('latin1', 0, nul < 0 ? data.length : nul);
}

function nonEmpty(text: ByteString | undefined): ByteString | undefined {
  return text === '' ? undefined : text;
}

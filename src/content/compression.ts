import { Readable, type Transform } from 'node:stream';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import { EngineError } from '../base/errors.ts';
import { zstdFrames } from './zstd-frames.ts';

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

const MAGICS: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];
/** Enough bytes to tell. */
export const SNIFF_BYTES = 6;

/** What `start`, the first bytes of something, is compressed with. */
export function sniffCompression(start: Uint8Array): Compression {
  // A zstd file may begin with a frame to skip, whose magic has sixteen forms.
  if ((start[0]! & 0xf0) === 0x50 && start[1] === 0x2a && start[2] === 0x4d && start[3] === 0x18) return 'zstd';
  return MAGICS.find(([, magic]) => magic.every((byte, index) => start[index] === byte))?.[0] ?? 'none';
}

/** Bytes given out at once: with zlib's own 16 KiB half of the time goes into handing over. */
const CHUNK = 256 << 10;
/** Window of a zstd frame that is accepted: 128 MiB. */
const ZSTD_WINDOW_LOG = 27;

/** A stream that undoes gzip (all members), or zstd (all frames, when each begins with a chunk: see `zstdFrames`). */
function createDecompressor(compression: 'gzip' | 'zstd'): Transform {
  if (compression === 'gzip') return createGunzip({ chunkSize: CHUNK });
  return createZstdDecompress({ chunkSize: CHUNK, params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG } });
}

export interface SyncGunzip {
  /** Throws `corrupt`. */
  push(chunk: Uint8Array): Iterable<Buffer>;
  /** Throws `corrupt` where the data is not whole. */
  finish(): void;
}

export interface DecompressOptions {
  /** Throws `corrupt` when the bytes are compressed in another way. */
  readonly expected?: Compression | undefined;
  /** Undoes the formats that Node does not know; without it they throw `unimplemented`. */
  readonly external?:
    | ((compression: 'bzip2' | 'xz', source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>)
    | undefined;
  /** Undoes gzip instead of zlib. Its pieces may share their memory: one is over when the next is asked for. */
  readonly gunzip?: (() => SyncGunzip | undefined) | undefined;
  /** Called with each piece of the source that nothing needs any more: its memory may be given up. */
  readonly onConsumed?: ((chunk: Uint8Array) => void) | undefined;
  /** More than this many bytes out for one byte in, once `ratioFrom` bytes came out, throws `too-large`. */
  readonly maxRatio?: number;
  readonly ratioFrom?: number;
}

/** The bytes of `source` uncompressed, by what their beginning says. Throws `corrupt`, `too-large`. */
export async function* decompress(
  source: AsyncIterable<Uint8Array>,
  { expected, external, gunzip, onConsumed, maxRatio = 1000, ratioFrom = 256 << 20 }: DecompressOptions = {},
): AsyncGenerator<Buffer> {
  let bytesIn = 0;
  const counted = count(source, (bytes) => (bytesIn += bytes));
  const { start, rest } = await peek(counted);
  const compression = sniffCompression(start);
  if (expected !== undefined && compression !== expected) {
    throw new EngineError('corrupt', `the data is said to be ${said(expected)}, and is ${said(compression)}`);
  }
  if (compression === 'none') {
    for await (const chunk of rest) {
      yield chunk;
      onConsumed?.(chunk);
    }
    return;
  }
  if (compression !== 'gzip' && compression !== 'zstd' && !external) {
    throw new EngineError(
      'unimplemented',
      `data compressed with ${compression} is not accepted here: use gzip or zstd`,
    );
  }
  const fast = compression === 'gzip' ? gunzip?.() : undefined;
  const plain = fast
    ? inflateHere(rest, fast, onConsumed)
    : compression === 'gzip' || compression === 'zstd'
      ? inflate(compression === 'zstd' ? zstdFrames(rest) : rest, createDecompressor(compression))
      : external!(compression, rest);
  let bytesOut = 0;
  try {
    for await (const chunk of plain) {
      bytesOut += chunk.length;
      if (bytesOut > ratioFrom && bytesOut > bytesIn * maxRatio) {
        throw new EngineError('too-large', `the data grows more than ${maxRatio} times when it is decompressed`);
      }
      yield asBuffer(chunk);
    }
  } catch (error) {
    throw decompressionError(error, compression);
  }
}

async function* inflateHere(
  source: AsyncIterable<Uint8Array>,
  gunzip: SyncGunzip,
  onConsumed?: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    yield* gunzip.push(chunk);
    onConsumed?.(chunk);
  }
  gunzip.finish();
}

async function* inflate(source: AsyncIterable<Uint8Array>, transform: Transform): AsyncGenerator<Uint8Array> {
  // object mode: chunks must arrive as they are cut
  const input = Readable.from(source, { objectMode: true, highWaterMark: 2 });
  input.on('error', (error) => transform.destroy(error));
  input.pipe(transform);
  try {
    yield* transform as AsyncIterable<Uint8Array>;
  } finally {
    input.destroy();
    transform.destroy();
  }
}

async function* count(source: AsyncIterable<Uint8Array>, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    onBytes(chunk.length);
    yield asBuffer(chunk);
  }
}

/** The first bytes, and everything again. */
async function peek(source: AsyncGenerator<Buffer>): Promise<{ start: Buffer; rest: AsyncGenerator<Buffer> }> {
  let start: Buffer = Buffer.alloc(0);
  while (start.length < SNIFF_BYTES) {
    const { value, done } = await source.next();
    if (done) break;
    start = start.length === 0 ? value : Buffer.concat([start, value]);
  }
  return {
    start,
    rest: (async function* () {
      if (start.length > 0) yield start;
      yield* source;
    })(),
  };
}

function asBuffer(chunk: Uint8Array): Buffer {
  return Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

function decompressionError(error: unknown, compression: Compression): unknown {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== 'string' || !/^(?:Z_|ZSTD_|ERR_ZLIB|ERR__ZSTD)/.test(code)) return error;
  return new EngineError('corrupt', `invalid ${compression} data: ${(error as Error).message}`, { cause: error });
}

function said(compression: Compression): string {
  return compression === 'none' ? 'not compressed' : `compressed with ${compression}`;
}

import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { constants, crc32, deflateRaw } from 'node:zlib';
import { END_OF_DEFLATE, IsalDeflate } from '../linux/isal.ts';

/** Of zlib, where Intel's library is not: twice as fast as its default, for some hundredths more bytes. */
const ZLIB_LEVEL = 4;
/**
 * Input of a block. It makes the bytes what they are, so it must not depend on the machine; what blocks cannot refer to
 * costs 0.1 per cent at this size.
 */
export const BLOCK_BYTES: number = 1 << 20;
/** Node's pool has four threads, and the engine needs one for its files. */
const MAX_THREADS = 3;

interface Compressor {
  readonly deflate: (input: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>;
  readonly crcOf: (data: Uint8Array, before: number) => number;
}

export interface GzipBlocksOptions {
  /** Blocks at a time; default: as many as the machine has cores, at most 3. */
  readonly threads?: number;
  /** Zlib, even where there is something faster. */
  readonly zlib?: boolean;
  /** Told of each block that is not looked at any more: its memory can be used again. */
  readonly onDone?: (block: Uint8Array) => void;
}

/**
 * One gzip member (RFC 1952) of blocks that are compressed beside each other by the threads of Node's pool, and stand alone
 * in it. The bytes are those of the blocks alone, however many threads there are; any reader of gzip takes them. Each
 * block but the last has `BLOCK_BYTES`. When this has ended no thread looks at a block any more. The pieces that it gives
 * are only lent: one is over when the next is asked for.
 */
export async function* gzipBlocks(
  blocks: Iterable<Uint8Array>,
  { threads = Math.min(availableParallelism(), MAX_THREADS), zlib = false, onDone }: GzipBlocksOptions = {},
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const compressors = Array.from({ length: threads }, () => compressor(zlib));
  const free = compressors.map(({ deflate }) => deflate);
  const { crcOf } = compressors[0]!;
  const waiting: Promise<Uint8Array<ArrayBuffer>>[] = [];
  let crc = 0;
  let size = 0;
  try {
    yield Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff);
    for (const block of blocks) {
      if (waiting.length === threads) yield await waiting.shift()!;
      // In their order, so that the one that is given out first is free when its turn comes.
      const deflate = free.shift()!;
      free.push(deflate);
      const work = deflate(block).finally(() => onDone?.(block));
      work.catch(() => {});
      waiting.push(work);
      crc = crcOf(block, crc);
      size += block.byteLength;
    }
    for (let work = waiting.shift(); work; work = waiting.shift()) yield await work;
    const end = Buffer.alloc(END_OF_DEFLATE.byteLength + 8);
    end.set(END_OF_DEFLATE);
    end.writeUInt32LE(crc, END_OF_DEFLATE.byteLength);
    end.writeUInt32LE(size % 2 ** 32, END_OF_DEFLATE.byteLength + 4);
    yield new Uint8Array(end);
  } finally {
    await Promise.allSettled(waiting);
  }
}

function compressor(zlib: boolean): Compressor {
  const isal = zlib ? undefined : IsalDeflate.open();
  if (isal) return { deflate: (input) => isal.block(input), crcOf: (data, before) => isal.crc(data, before) };
  return { deflate: (input) => deflateWithZlib(input, ZLIB_OPTIONS), crcOf: crc32 };
}

const deflateWithZlib = promisify<Uint8Array, typeof ZLIB_OPTIONS, Buffer<ArrayBuffer>>(deflateRaw);
const ZLIB_OPTIONS = { level: ZLIB_LEVEL, finishFlush: constants.Z_FULL_FLUSH, chunkSize: 256 << 10 };

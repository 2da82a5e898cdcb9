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

type Deflate = (input: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>;

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
 * block but the last has `BLOCK_BYTES`. When this has ended no thread looks at a block any more.
 */
export async function* gzipBlocks(
  blocks: Iterable<Uint8Array>,
  { threads = Math.min(availableParallelism(), MAX_THREADS), zlib = false, onDone }: GzipBlocksOptions = {},
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const free: Deflate[] = Array.from({ length: threads }, () => deflater(zlib));
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
      crc = crc32(block, crc);
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

function deflater(zlib: boolean): Deflate {
  const isal = zlib ? undefined : IsalDeflate.open();
  if (isal) return (input) => isal.block(input);
  return async (input) => new Uint8Array(await deflateWithZlib(input, ZLIB_OPTIONS));
}

const deflateWithZlib = promisify<Uint8Array, typeof ZLIB_OPTIONS, Buffer>(deflateRaw);
const ZLIB_OPTIONS = { level: ZLIB_LEVEL, finishFlush: constants.Z_FULL_FLUSH, chunkSize: 256 << 10 };

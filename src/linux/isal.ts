import { crc32, gzipSync, inflateRawSync } from 'node:zlib';
import koffi, { type LibraryHandle } from 'koffi';
import { EngineError } from '../base/errors.ts';
import { addressOf } from './libc.ts';

/** `struct isal_zstream` up to its internal state (igzip_lib.h; the same in all of libisal.so.2). */
const AT = {
  nextIn: 0,
  availIn: 8,
  nextOut: 16,
  availOut: 24,
  level: 40,
  levelBufferSize: 44,
  levelBuffer: 48,
  flush: 58,
} as const;
/** The whole structure has 82 KiB; a later version of the library may want more. */
const STREAM_BYTES = 256 << 10;
/** ISAL_DEF_LVL1_EXTRA_LARGE, and some. */
const LEVEL_BYTES = 1 << 20;
const LEVEL = 1;
/** Blocks of deflate that refer to nothing before them and end on a byte: such blocks one after the other are a stream. */
const FULL_FLUSH = 2;
const OUTPUT_BYTES = 256 << 10;

/** `struct inflate_state` of libisal 2.30; what differs in another version shows in `works`. */
const INFLATE_AT = { nextOut: 0, availOut: 8, nextIn: 16, availIn: 32, blockState: 21_160, crcFlag: 21_172 } as const;
const ISAL_GZIP = 1;
const ISAL_BLOCK_FINISH = 5;

/** A call as koffi binds it: `async` makes it on a thread of Node's pool. */
interface AsyncCall {
  (stream: Uint8Array): number;
  async(stream: Uint8Array, done: (error: unknown, result: number) => void): void;
}

interface Functions {
  readonly init: (stream: Uint8Array) => void;
  readonly deflate: AsyncCall;
  readonly crc: (seed: number, data: Uint8Array, length: number) => number;
  readonly inflateInit: (state: Uint8Array) => void;
  readonly inflateReset: (state: Uint8Array) => void;
  readonly inflate: (state: Uint8Array) => number;
}

interface Found {
  readonly deflate: Functions | undefined;
  readonly inflate: Functions | undefined;
}

let functions: Found | undefined;

/**
 * Intel's deflate, several times as fast as zlib, where its library is installed (Debian: libisal2) and does what it should.
 * One block at a time; the memory it needs is kept from block to block.
 */
export class IsalDeflate {
  readonly #functions: Functions;
  readonly #stream = Buffer.alloc(STREAM_BYTES);
  readonly #level = Buffer.alloc(LEVEL_BYTES);
  #output = Buffer.alloc(0);

  private constructor(found: Functions) {
    this.#functions = found;
  }

  /** Undefined where there is no such library. */
  static open(): IsalDeflate | undefined {
    functions ??= load();
    return functions.deflate && new IsalDeflate(functions.deflate);
  }

  /**
   * `input`, which nobody changes meanwhile, as blocks that stand alone and end on a byte, the last of them not marked so:
   * the same input always gives the same bytes. A thread of Node's pool does the work. They are only lent: until the next
   * block is begun.
   */
  async block(input: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    this.#prepare(input);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#functions.deflate.async(this.#stream, (error, result) =>
      error === null || error === undefined ? resolve(result) : reject(error as Error),
    );
    return this.#take(await promise);
  }

  /** As `block`, on this thread. */
  blockSync(input: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#prepare(input);
    return this.#take(this.#functions.deflate(this.#stream));
  }

  /** As zlib's `crc32`, several times as fast. */
  crc(data: Uint8Array, before: number): number {
    return this.#functions.crc(before, data, data.byteLength);
  }

  #prepare(input: Uint8Array): void {
    // What cannot be compressed is stored, in blocks of at most 64 KiB with 5 bytes of their own.
    const room = input.byteLength + (input.byteLength >> 10) + 1024;
    if (this.#output.byteLength < room) this.#output = Buffer.alloc(room);
    const stream = this.#stream;
    this.#functions.init(stream);
    stream.writeUInt32LE(LEVEL, AT.level);
    stream.writeUInt32LE(LEVEL_BYTES, AT.levelBufferSize);
    stream.writeBigUInt64LE(addressOf(this.#level), AT.levelBuffer);
    stream.writeUInt16LE(FULL_FLUSH, AT.flush);
    stream.writeBigUInt64LE(addressOf(input), AT.nextIn);
    stream.writeUInt32LE(input.byteLength, AT.availIn);
    stream.writeBigUInt64LE(addressOf(this.#output), AT.nextOut);
    stream.writeUInt32LE(this.#output.byteLength, AT.availOut);
  }

  #take(result: number): Uint8Array<ArrayBuffer> {
    if (result !== 0) throw broken(`error ${result}`);
    if (this.#stream.readUInt32LE(AT.availIn) !== 0) throw broken('it leaves input behind');
    const left = this.#stream.readUInt32LE(AT.availOut);
    if (left > this.#output.byteLength) throw broken('it says that it wrote less than nothing');
    return this.#output.subarray(0, this.#output.byteLength - left);
  }
}

/** Undoes gzip, all members of it; what follows the last one and is none is left out, as zlib has it. */
export class IsalGunzip {
  readonly #functions: Functions;
  readonly #state = Buffer.alloc(STREAM_BYTES);
  readonly #output: Buffer<ArrayBuffer> = Buffer.allocUnsafeSlow(OUTPUT_BYTES);
  #place: 'within' | 'between' | 'after' = 'within';

  private constructor(found: Functions) {
    this.#functions = found;
    found.inflateInit(this.#state);
    this.#state.writeUInt32LE(ISAL_GZIP, INFLATE_AT.crcFlag);
  }

  /** Undefined where there is no such library. */
  static open(): IsalGunzip | undefined {
    functions ??= load();
    return functions.inflate && new IsalGunzip(functions.inflate);
  }

  /** Gives what `chunk` holds piece by piece, all in the same memory: one is over when the next is asked for. Throws `corrupt`. */
  *push(chunk: Uint8Array): Generator<Buffer<ArrayBuffer>> {
    let left = chunk.byteLength;
    const start = addressOf(chunk);
    for (let more = left > 0; more;) {
      if (this.#place === 'between') {
        this.#place = chunk[chunk.byteLength - left] === 0x1f ? 'within' : 'after';
        if (this.#place === 'within') {
          this.#functions.inflateReset(this.#state);
          this.#state.writeUInt32LE(ISAL_GZIP, INFLATE_AT.crcFlag);
        }
      }
      if (this.#place === 'after') return;
      this.#state.writeBigUInt64LE(start + BigInt(chunk.byteLength - left), INFLATE_AT.nextIn);
      this.#state.writeUInt32LE(left, INFLATE_AT.availIn);
      this.#state.writeBigUInt64LE(addressOf(this.#output), INFLATE_AT.nextOut);
      this.#state.writeUInt32LE(OUTPUT_BYTES, INFLATE_AT.availOut);
      const result = this.#functions.inflate(this.#state);
      if (result < 0) throw new EngineError('corrupt', `invalid gzip data: ${INFLATE_ERRORS[result] ?? result}`);
      const room = this.#state.readUInt32LE(INFLATE_AT.availOut);
      const unread = this.#state.readUInt32LE(INFLATE_AT.availIn);
      if (room > OUTPUT_BYTES || unread > left) throw broken('it says that it wrote or read less than nothing');
      left = unread;
      const isFinished = this.#state.readUInt32LE(INFLATE_AT.blockState) === ISAL_BLOCK_FINISH;
      if (isFinished) this.#place = 'between';
      if (room < OUTPUT_BYTES) yield this.#output.subarray(0, OUTPUT_BYTES - room);
      // Without room there may be more of what it has read already.
      more = left > 0 || (room === 0 && !isFinished);
    }
  }

  /** Throws `corrupt` where the last member is not whole. */
  finish(): void {
    if (this.#place === 'within') throw new EngineError('corrupt', 'invalid gzip data: unexpected end of file');
  }
}

const INFLATE_ERRORS: Readonly<Record<number, string>> = {
  [-1]: 'invalid block',
  [-2]: 'invalid symbol',
  [-3]: 'invalid distance',
  [-4]: 'incorrect header check',
  [-5]: 'unknown compression method',
  [-6]: 'incorrect data check',
};

function load(): Found {
  let library: LibraryHandle;
  try {
    library = koffi.load('libisal.so.2');
  } catch {
    return { deflate: undefined, inflate: undefined };
  }
  const bind = (prototype: string): never => library.func(prototype) as unknown as never;
  const all: Functions = {
    init: bind('void isal_deflate_stateless_init(uint8_t *stream)'),
    deflate: bind('int isal_deflate_stateless(uint8_t *stream)'),
    crc: bind('uint32_t crc32_gzip_refl(uint32_t seed, const uint8_t *data, uint64_t length)'),
    inflateInit: bind('void isal_inflate_init(uint8_t *state)'),
    inflateReset: bind('void isal_inflate_reset(uint8_t *state)'),
    inflate: bind('int isal_inflate(uint8_t *state)'),
  };
  return { deflate: deflates(all) ? all : undefined, inflate: inflates(all) ? all : undefined };
}

/** An empty block that is the last. */
export const END_OF_DEFLATE: Uint8Array = Uint8Array.of(3, 0);

const SAMPLE = Buffer.from('a layer of an image, a layer of an image; '.repeat(2000));

/** A library that is laid out in another way is not used. */
function deflates(found: Functions): boolean {
  const Deflate = IsalDeflate as unknown as new (functions: Functions) => IsalDeflate;
  try {
    const deflate = new Deflate(found);
    const parts = [SAMPLE.subarray(0, 1000), SAMPLE.subarray(1000)].map((input) =>
      Buffer.from(deflate.blockSync(input)),
    );
    if (deflate.crc(SAMPLE, deflate.crc(SAMPLE, 0)) !== crc32(SAMPLE, crc32(SAMPLE))) return false;
    return inflateRawSync(Buffer.concat([...parts, END_OF_DEFLATE])).equals(SAMPLE);
  } catch {
    return false;
  }
}

function inflates(found: Functions): boolean {
  const Gunzip = IsalGunzip as unknown as new (functions: Functions) => IsalGunzip;
  const whole = Buffer.concat([gzipSync(SAMPLE), gzipSync(SAMPLE.subarray(0, 100))]);
  try {
    const gunzip = new Gunzip(found);
    const parts: Buffer[] = [];
    for (let at = 0; at < whole.length; at += 100) {
      for (const part of gunzip.push(whole.subarray(at, at + 100))) parts.push(Buffer.from(part));
    }
    gunzip.finish();
    return Buffer.concat(parts).equals(Buffer.concat([SAMPLE, SAMPLE.subarray(0, 100)]));
  } catch {
    return false;
  }
}

function broken(words: string): EngineError {
  return new EngineError('internal', `libisal: ${words}`);
}

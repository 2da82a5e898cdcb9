import { EngineError } from '../base/errors.ts';

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;
const SIZE_BYTES = [0, 2, 4, 8] as const;

/**
 * Cuts zstd data where its frames end (RFC 8878 section 3.1), without decompressing. Node's decompressor goes on to the
 * next frame when that begins with a chunk of its own, and otherwise stops in silence after the first one; files of
 * several frames are common (pzstd, zstd:chunked). Throws `corrupt` where a frame should begin and none does.
 */
export async function* zstdFrames(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const scanner = new FrameScanner();
  for await (const chunk of source) {
    let start = 0;
    while (start < chunk.length) {
      const end = scanner.scan(chunk, start);
      yield chunk.subarray(start, end);
      start = end;
    }
  }
}

type Part = 'magic' | 'skippable size' | 'descriptor' | 'header' | 'block' | 'content' | 'checksum';

/** Knows what comes next at the end of what it has seen. */
class FrameScanner {
  #part: Part = 'magic';
  /** Bytes of the part that are still to come, and those of small parts that are here. */
  #missing = 4;
  readonly #bytes = Buffer.alloc(4);
  #collected = 0;
  #hasChecksum = false;
  #isLastBlock = false;
  #isSkippable = false;

  /** Where the current frame ends in `chunk`, looked at from `position` on; its length when it does not end there. */
  scan(chunk: Buffer, position: number): number {
    while (position < chunk.length) {
      const length = Math.min(this.#missing, chunk.length - position);
      if (this.#part !== 'content' && this.#part !== 'header' && this.#part !== 'checksum') {
        chunk.copy(this.#bytes, this.#collected, position, position + length);
        this.#collected += length;
      }
      position += length;
      this.#missing -= length;
      while (this.#missing === 0) if (this.#next()) return position;
    }
    return position;
  }

  /** Goes on to the next part; true when a frame is complete. */
  #next(): boolean {
    switch (this.#part) {
      case 'magic': {
        const magic = this.#bytes.readUInt32LE(0);
        this.#isSkippable = (magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC;
        if (this.#isSkippable) return this.#expect('skippable size', 4);
        if (magic === FRAME_MAGIC) return this.#expect('descriptor', 1);
        throw new EngineError('corrupt', 'invalid zstd data: something else follows a frame');
      }
      case 'skippable size':
        return this.#expect('content', this.#bytes.readUInt32LE(0));
      case 'descriptor': {
        const descriptor = this.#bytes[0]!;
        const isSingleSegment = (descriptor & 0x20) !== 0;
        this.#hasChecksum = (descriptor & 0x04) !== 0;
        const sizeBytes = SIZE_BYTES[descriptor >> 6]! || (isSingleSegment ? 1 : 0);
        return this.#expect('header', (isSingleSegment ? 0 : 1) + DICTIONARY_BYTES[descriptor & 3]! + sizeBytes);
      }
      case 'header':
        return this.#expect('block', 3);
      case 'block': {
        const header = this.#bytes.readUIntLE(0, 3);
        this.#isLastBlock = (header & 1) !== 0;
        const isRepeatedByte = ((header >> 1) & 3) === 1;
        return this.#expect('content', isRepeatedByte ? 1 : header >> 3);
      }
      case 'content':
        if (this.#isSkippable) return this.#expect('magic', 4) || true;
        if (!this.#isLastBlock) return this.#expect('block', 3);
        if (this.#hasChecksum) return this.#expect('checksum', 4);
        return this.#expect('magic', 4) || true;
      case 'checksum':
        return this.#expect('magic', 4) || true;
    }
  }

  #expect(part: Part, bytes: number): false {
    this.#part = part;
    this.#missing = bytes;
    this.#collected = 0;
    return false;
  }
}

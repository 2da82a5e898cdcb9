import type { Readable } from 'node:stream';
import { EngineError } from './errors.ts';
import { releaseBytes } from './release-bytes.ts';
import { SLAB_BYTES, takeSlab } from './slabs.ts';

/** Full ones that wait for the reader before the stream is told to wait. */
const AHEAD = 2;

/**
 * The bytes of a stream in pieces as large as they come together while the reader is busy, at most a slab each: a client
 * sends a large archive in ten thousands of small ones, and what each costs on its way is more than what it costs to copy.
 * The stream's own chunks are given up, so nobody else may read it; the pieces are the reader's alone. A reader that leaves early leaves the stream paused, not destroyed.
 */
export async function* slabsOf(stream: Readable): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const full: ArrayBuffer[] = [];
  let slab: ArrayBuffer | undefined;
  let filled = 0;
  let arrivals = 0;
  let over = stream.readableEnded || stream.destroyed;
  let wake = (): void => {};
  const onData = (chunk: Uint8Array): void => {
    arrivals++;
    for (let at = 0; at < chunk.length;) {
      slab ??= takeSlab();
      const part = chunk.subarray(at, at + SLAB_BYTES - filled);
      new Uint8Array(slab, filled).set(part);
      at += part.length;
      filled += part.length;
      if (filled < SLAB_BYTES) continue;
      full.push(slab);
      [slab, filled] = [undefined, 0];
    }
    releaseBytes(chunk);
    if (full.length >= AHEAD) stream.pause();
    wake();
  };
  const onOver = (): void => {
    over = true;
    wake();
  };
  const next = (): Promise<void> => new Promise((resolve) => (wake = resolve));
  stream.on('data', onData).on('end', onOver).on('close', onOver).on('error', onOver);
  try {
    for (;;) {
      const whole = full.shift();
      if (whole) {
        if (full.length < AHEAD) stream.resume();
        yield new Uint8Array(whole);
        continue;
      }
      if (stream.errored) throw stream.errored;
      if (!over && filled > 0) {
        // More may be there already: it is taken along as long as each look at the stream brings some.
        const before = arrivals;
        await new Promise((resolve) => setImmediate(resolve));
        if (arrivals !== before) continue;
      }
      if (filled > 0) {
        const part = new Uint8Array(slab!, 0, filled);
        [slab, filled] = [undefined, 0];
        yield part;
        continue;
      }
      if (over) break;
      await next();
    }
    if (!stream.readableEnded) throw new EngineError('cancelled', 'the stream ended before its end');
  } finally {
    stream.off('data', onData).off('end', onOver).off('close', onOver).off('error', onOver);
    stream.pause();
  }
}

import { releaseBytes } from '../base/release-bytes.ts';
import type { Bytes } from './content-store.ts';

/** What comes slowly is passed on at least so often. */
const LONGEST_MS = 100;

/**
 * The same bytes in larger pieces, each in memory of its own, that of `source`'s given up at once: what is done with each
 * piece, in this thread and others, costs far more than the copy, and sockets give pieces of at most 64 KiB. What came
 * before `source` failed is passed on before that.
 */
export async function* gathered(
  source: Bytes,
  size: number,
  {
    lent = false,
  }: {
    /** The pieces of `source` are over when the next is asked for, and their memory stays what it is. */
    readonly lent?: boolean;
  } = {},
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let piece = Buffer.allocUnsafeSlow(size);
  let used = 0;
  let begun = performance.now();
  const take = (): Buffer<ArrayBuffer> => {
    const full = used === size ? piece : Buffer.from(piece.buffer.transfer(used));
    piece = Buffer.allocUnsafeSlow(size);
    used = 0;
    return full;
  };
  let failure: { readonly error: unknown } | undefined;
  try {
    for await (const chunk of source) {
      if (used === 0) begun = performance.now();
      for (let at = 0; at < chunk.byteLength;) {
        const count = Math.min(size - used, chunk.byteLength - at);
        piece.set(chunk.subarray(at, at + count), used);
        used += count;
        at += count;
        if (used === size) yield take();
      }
      if (!lent) releaseBytes(chunk);
      if (used > 0 && performance.now() - begun >= LONGEST_MS) yield take();
    }
  } catch (error) {
    failure = { error };
  }
  if (used > 0) yield take();
  if (failure) throw failure.error;
}

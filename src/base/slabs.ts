/**
 * Memory of one size that streams of any length pass through: filled by who reads, given to a thread, and given back by it.
 * New memory for each piece would cost more than what is done with it: it is mapped, cleared and unmapped, and the collector
 * comes for it late.
 */
export const SLAB_BYTES = 256 << 10;
/** As many as are on their way at once in two streams; beyond that they go to the collector. */
const KEPT = 16;

const kept: ArrayBuffer[] = [];
const taken = new WeakSet<ArrayBuffer>();

/** Memory of `SLAB_BYTES` that nobody else has, with anything in it. */
export function takeSlab(): ArrayBuffer {
  const slab = kept.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES).buffer;
  taken.add(slab);
  return slab;
}

/** Whether all of it belongs to who has a piece of it: it came from `takeSlab` on this thread. */
export function isSlab(buffer: ArrayBufferLike): boolean {
  return buffer instanceof ArrayBuffer && taken.has(buffer);
}

/** Nobody looks at it any more. Anything that is no slab is left alone. */
export function giveSlab(buffer: ArrayBufferLike): void {
  if (kept.length < KEPT && isSlabSized(buffer) && !kept.includes(buffer)) kept.push(buffer);
}

/** Of memory that may have come from another thread. */
export function isSlabSized(buffer: ArrayBufferLike): buffer is ArrayBuffer {
  return buffer instanceof ArrayBuffer && buffer.byteLength === SLAB_BYTES;
}

/** Gives all up that waits to be used again. */
export function dropSlabs(): void {
  kept.length = 0;
}

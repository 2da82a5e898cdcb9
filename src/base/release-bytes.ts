/**
 * Gives up the memory of bytes that nobody else has, at once: the collector sees how little a chunk weighs in its heap, and
 * lets many of them wait. Bytes that are a part of something larger are left alone.
 */
export function releaseBytes(chunk: Uint8Array): void {
  const { buffer, byteLength } = chunk;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && !buffer.detached) buffer.transfer(0);
}

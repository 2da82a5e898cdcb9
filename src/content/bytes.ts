import type { Bytes } from './content-store.ts';

/** What is in memory already, as a stream. */
export async function* bytesOf(...chunks: readonly (string | Uint8Array)[]): Bytes {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}

/** Loads an archive from stdin into the store at `argv[2]`, and says so once it has begun to read. For tests that kill it. */
import { TestImages } from './image-store.ts';

const store = await TestImages.open({ root: process.argv[2]! });

async function* announced(): AsyncIterable<Uint8Array> {
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    yield chunk;
    if (bytes > 64 * 1024) process.stdout.write('reading\n');
  }
}

await store.images.load(announced());

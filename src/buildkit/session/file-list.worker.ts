import type { JobContext, Jobs } from '../../base/worker-server.ts';
import { type Listing, ListReader } from './file-list.ts';

/** Kinds of what the job gives, in the first byte of each chunk. */
const MANIFEST = 0;
const LISTING = 1;
const BATCH = 64 << 10;

export const jobs: Jobs = {
  /** From the packets of a list, in frames of gRPC that are whole, to the engine's manifest, which is JSON. */
  list: async (_parameters: undefined, context: JobContext): Promise<void> => {
    const reader = new ListReader();
    let text = '[';
    for await (const chunk of context.input) {
      text += reader.read(chunk);
      if (text.length <= BATCH) continue;
      await context.write(tagged(MANIFEST, text));
      text = '';
    }
    await context.write(tagged(MANIFEST, `${text}]`));
    await context.write(tagged(LISTING, JSON.stringify(reader.listing satisfies Listing)));
  },
};

function tagged(kind: number, text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(1 + Buffer.byteLength(text));
  bytes[0] = kind;
  Buffer.from(bytes.buffer).write(text, 1);
  return bytes;
}

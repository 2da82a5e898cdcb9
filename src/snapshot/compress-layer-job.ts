import { createHash } from 'node:crypto';
import { EngineError } from '../base/errors.ts';
import type { JobContext } from '../base/worker-server.ts';
import type { CompressParameters } from './diff-layer.ts';
import { gathered } from '../content/gathered.ts';
import { BLOCK_BYTES, gzipBlocks } from './gzip-blocks.ts';
import { RootedDirectory } from './rooted-directory.ts';
import { TreeArchive } from './tree-archive.ts';

/** What is handed over at once: each piece costs the other thread a write, a read and a hand-over to the registry. */
const PIECE_BYTES = 1 << 20;

/** The worker's side of `compressLayer`: reads and checks, while threads of Node's pool compress what was read. */
export async function compressJob({ directory, diffId }: CompressParameters, context: JobContext): Promise<void> {
  using root = new RootedDirectory(directory);
  const hash = createHash('sha256');
  const spare: Buffer<ArrayBuffer>[] = [];
  const archive = new TreeArchive({
    overlay: true,
    takeMemory: () => spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES),
    check: () => context.check(),
  });
  const blocks = function* (): Generator<Uint8Array> {
    for (const part of [archive.directory(root.fd), archive.end()]) {
      for (const block of part) {
        yield block;
        hash.update(block);
      }
    }
  };
  const onDone = ({ buffer }: Uint8Array): void => void spare.push(Buffer.from(buffer as ArrayBuffer));
  for await (const part of gathered(gzipBlocks(blocks(), { onDone }), PIECE_BYTES, { lent: true })) {
    await context.write(part);
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== diffId) throw new EngineError('corrupt', found);
}

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createGzip } from 'node:zlib';
import { EngineError } from '../base/errors.ts';
import type { JobContext } from '../base/worker-server.ts';
import { IsalGzip } from '../linux/isal.ts';
import type { CompressParameters } from './diff-layer.ts';
import { RootedDirectory } from './rooted-directory.ts';
import { TreeArchive } from './tree-archive.ts';

/** Twice as fast as zlib's default, for some hundredths more bytes. */
const LEVEL = 4;

/** The worker's side of `compressLayer`: reads, checks and compresses in one pass. */
export async function compressJob({ directory, diffId }: CompressParameters, context: JobContext): Promise<void> {
  using root = new RootedDirectory(directory);
  const hash = createHash('sha256');
  const tar = function* (reuseChunks: boolean): Generator<Uint8Array<ArrayBuffer>> {
    const archive = new TreeArchive({ overlay: true, reuseChunks, check: () => context.check() });
    for (const part of [archive.directory(root.fd), archive.end()]) {
      for (const chunk of part) {
        hash.update(chunk);
        yield chunk;
      }
    }
  };
  const gzip = IsalGzip.open();
  if (gzip) {
    for (const chunk of tar(true)) for (const part of gzip.push(chunk)) await context.write(part);
    for (const part of gzip.finish()) await context.write(part);
  } else {
    await compressWithZlib(tar(false), context);
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== diffId) throw new EngineError('corrupt', found);
}

async function compressWithZlib(tar: Iterable<Uint8Array>, context: JobContext): Promise<void> {
  const gzip = createGzip({ level: LEVEL, chunkSize: 256 << 10 });
  const written = (async () => {
    for await (const chunk of gzip as AsyncIterable<Buffer>) await context.write(new Uint8Array(chunk));
  })();
  written.catch(() => gzip.destroy());
  try {
    for (const chunk of tar) {
      if (!gzip.write(chunk)) await Promise.race([once(gzip, 'drain'), written]);
    }
    gzip.end();
    await written;
  } finally {
    gzip.destroy();
  }
}

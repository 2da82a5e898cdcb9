import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import type { JobContext, Jobs } from '../base/worker-server.ts';
import type { Digest } from '../oci/digest.ts';
import type { BlobDigest, BlobDigestParameters } from './blob-digest.ts';

const CHUNK_BYTES = 1 << 20;

export const jobs: Jobs = { digest };

function digest({ path, algorithm }: BlobDigestParameters, context: JobContext): BlobDigest {
  const fd = open(path);
  try {
    const hash = createHash(algorithm);
    const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    let size = 0;
    for (;;) {
      context.check();
      const count = readSync(fd, buffer, 0, CHUNK_BYTES, null);
      if (count === 0) return { digest: `${algorithm}:${hash.digest('hex')}` as Digest, size };
      hash.update(buffer.subarray(0, count));
      size += count;
    }
  } finally {
    closeSync(fd);
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new EngineError('not-found', `${path} is gone`, { cause: error });
  }
}

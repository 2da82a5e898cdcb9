import { WorkerThreads } from '../base/worker-job.ts';
import type { Digest } from '../oci/digest.ts';

const threads = new WorkerThreads('content/blob-digest');

/** What a file is now, hashed in a worker thread with the algorithm of `expected`. Throws `not-found`, `cancelled`. */
export function blobDigest(
  path: string,
  expected: Digest,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<BlobDigest> {
  const parameters: BlobDigestParameters = { path, algorithm: expected.slice(0, expected.indexOf(':')) };
  return threads.run<BlobDigest>({ job: 'digest', parameters, signal });
}

export interface BlobDigest {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

export interface BlobDigestParameters {
  readonly path: string;
  readonly algorithm: string;
}

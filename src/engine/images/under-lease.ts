import type { Lease } from '../../state/leases.ts';
import type { ImageParts } from './parts.ts';

/**
 * Runs `work` with a lease on what it makes. Afterwards, however it ended, what nothing refers to is deleted: all of it
 * when `work` threw before it recorded an image.
 */
export async function underLease<T>(
  parts: Pick<ImageParts, 'leases' | 'collector'>,
  purpose: string,
  work: (lease: Lease) => Promise<T>,
): Promise<T> {
  const lease = parts.leases.acquire(purpose);
  try {
    return await work(lease);
  } finally {
    lease.release();
    await parts.collector.collect({ blobs: lease.names('blob'), snapshots: lease.names('snapshot') });
  }
}

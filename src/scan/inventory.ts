import type { Inventory } from '../api/inventory.ts';
import { WorkerThreads } from '../base/worker-job.ts';

const threads = new WorkerThreads('scan/inventory');

/**
 * What is installed in an image.
 *
 * @param directories its unpacked layers in overlay form, lowest first
 * @throws `cancelled`
 */
export function inventoryOf(
  directories: readonly string[],
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<Inventory> {
  return threads.run<Inventory>({ job: 'directories', parameters: { paths: directories }, signal });
}

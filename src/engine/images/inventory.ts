import type { Inventory } from '../../api/inventory.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { inventoryOf } from '../../scan/inventory.ts';
import type { ImageRecord } from '../../state/images.ts';
import { chainsOf } from '../gc.ts';
import type { ImageParts } from './parts.ts';
import { underLease } from './under-lease.ts';

/** What is installed in an image, read from its unpacked layers, which stay while it is read. Throws `cancelled`. */
export function imageInventory(
  parts: ImageParts,
  image: ImageRecord,
  { signal }: Pick<OperationOptions, 'signal'> = {},
): Promise<Inventory> {
  return underLease(parts, 'inventory', (lease) => {
    const chains = chainsOf(image.config);
    for (const chain of chains) lease.add('snapshot', chain);
    return inventoryOf(
      chains.map((chain) => parts.snapshotter.changesDir(chain)),
      { signal },
    );
  });
}

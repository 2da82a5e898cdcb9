import type { OperationOptions } from '../../base/operation.ts';
import { now } from '../../base/time.ts';
import type { Bytes } from '../../content/content-store.ts';
import { applyChanges } from './changes.ts';
import { createImage } from './create-image.ts';
import { importLayer } from './layers.ts';
import { eventAttributes, nameImage, targetReference } from './names.ts';
import type { ImageParts } from './parts.ts';
import { platformOf } from './resolve.ts';
import { underLease } from './under-lease.ts';

export interface ImportOptions extends OperationOptions {
  readonly repository?: string;
  readonly tag?: string;
  readonly message?: string;
  readonly changes?: readonly string[];
  readonly platform?: string;
}

/** `docker import`: everything that can be wrong with the request is found before the archive is read. */
export async function importImage(parts: ImageParts, archive: Bytes, options: ImportOptions): Promise<{ id: string }> {
  const reference = options.repository ? targetReference(options.repository, options.tag) : undefined;
  const config = applyChanges({}, options.changes ?? []);
  const platform = options.platform ? platformOf(options.platform) : parts.platform;
  return underLease(parts, 'import', async (lease) => {
    const layer = await importLayer(parts, archive, { parent: undefined, lease, signal: options.signal });
    const created = now();
    const comment = options.message || 'Imported from -';
    const image = await createImage(parts, {
      layers: [layer],
      history: [{ created, comment }],
      config,
      created,
      comment,
      platform,
      lease,
    });
    if (reference) {
      await parts.db.durableTransaction(() => nameImage(parts, image.id, reference));
      parts.publish('tag', image.id, eventAttributes(image, reference));
    }
    parts.publish('import', image.id, eventAttributes(image, reference ?? image.id));
    return { id: image.id };
  });
}

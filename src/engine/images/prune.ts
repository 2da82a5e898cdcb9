import { checkFilters, type Filters, hasLabel, matchesLabels } from '../../api/filters.ts';
import type { ImageDeleteItem, PruneImagesReport } from '../../api/image.ts';
import { errorCode } from '../../base/errors.ts';
import type { ImageRecord } from '../../state/images.ts';
import { booleanFilter, createdNanos, untilFilter } from './list.ts';
import type { TrashTicket } from '../trash/trash.ts';
import type { ImageParts } from './parts.ts';
import { removeImage } from './remove.ts';
import { memberImages } from './targets.ts';

/**
 * `docker image prune`: images without a name; with `dangling=false` all that no container uses.
 * What is in use is left, without a word. Throws `invalid-argument`.
 */
export async function pruneImages(
  parts: ImageParts,
  filters: Filters,
  signal?: AbortSignal,
): Promise<PruneImagesReport> {
  const ticket = parts.trash?.ticket();
  checkFilters(filters, ['dangling', 'label', 'label!', 'until']);
  const danglingOnly = booleanFilter(filters, 'dangling') ?? true;
  const until = untilFilter(filters, BigInt(Date.now()) * 1_000_000n);
  const sizes = new Map<string, number>();
  for (const { name, layer } of parts.snapshotter.list()) if (layer) sizes.set(name, layer.size);

  const deleted: ImageDeleteItem[] = [];
  const members = memberImages(parts);
  for (const image of parts.images.list()) {
    signal?.throwIfAborted();
    if (!parts.images.get(image.id) || !isWanted(image, filters, until)) continue;
    const names = parts.images.references(image.id).map((name) => name.reference);
    if (names.length === 0) {
      // One platform of an image that has a name.
      if (members.has(image.id)) continue;
      if (parts.images.children(image.id).length === 0) deleted.push(...(await tryRemove(parts, image.id, ticket)));
    } else if (!danglingOnly || names.every((name) => name.includes('@'))) {
      for (const name of names) deleted.push(...(await tryRemove(parts, name, ticket)));
    }
  }
  const reclaimed = deleted.reduce((sum, item) => sum + (sizes.get(item.Deleted ?? '') ?? 0), 0);
  parts.publish('prune', '', { reclaimed: String(reclaimed) });
  return { ImagesDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: reclaimed };
}

function isWanted(image: ImageRecord, filters: Filters, until: bigint | undefined): boolean {
  const labels = image.config.config?.Labels;
  if (until !== undefined && createdNanos(image) > until) return false;
  return matchesLabels(filters, labels) && !(filters.get('label!') ?? []).some((label) => hasLabel(labels, label));
}

async function tryRemove(parts: ImageParts, name: string, ticket: TrashTicket | undefined): Promise<ImageDeleteItem[]> {
  try {
    return await removeImage(parts, name, { ticket });
  } catch (error) {
    const code = errorCode(error);
    if (code === 'conflict' || code === 'not-found') return [];
    throw error;
  }
}

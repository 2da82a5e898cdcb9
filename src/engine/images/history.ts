import type { ImageHistoryItem } from '../../api/image.ts';
import { parseTime } from '../../base/time.ts';
import type { ImageRecord } from '../../state/images.ts';
import { chainsOf } from '../gc.ts';
import { familiarNames } from './names.ts';
import type { ImageParts } from './parts.ts';

/** `docker history`: newest first. Only steps that are images of this machine have an id. */
export function imageHistory(parts: ImageParts, image: ImageRecord): ImageHistoryItem[] {
  const chains = chainsOf(image.config);
  const entries = image.config.history ?? [];
  const ids = idsByStep(parts, image);
  let layer = 0;
  const items = entries.map((entry, index) => {
    const chain = entry.empty_layer ? undefined : chains[layer++];
    const step = ids.get(index + 1);
    const tags = step === undefined ? [] : familiarNames(parts, step.id).tags;
    return {
      Id: step?.id ?? '<missing>',
      Created: Number((parseTime(entry.created ?? '') ?? 0n) / 1_000_000_000n),
      CreatedBy: entry.created_by ?? '',
      Tags: tags.length > 0 ? tags : null,
      Size: (chain && parts.snapshotter.stat(chain)?.layer?.size) ?? 0,
      Comment: entry.comment ?? '',
    };
  });
  return items.reverse();
}

/** The image after each number of history entries: this one, and those it was made from. */
function idsByStep(parts: ImageParts, image: ImageRecord): Map<number, ImageRecord> {
  const steps = new Map<number, ImageRecord>();
  for (let at: ImageRecord | undefined = image; at; at = at.parent && parts.images.get(at.parent)) {
    const count = at.config.history?.length ?? 0;
    if (steps.has(count)) break;
    steps.set(count, at);
  }
  return steps;
}

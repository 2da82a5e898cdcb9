import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../../base/errors.ts';
import { parseTime } from '../../base/time.ts';
import { diskUsage } from '../../snapshot/disk-usage.ts';
import type { ImageUses } from '../../state/image-uses.ts';
import type { EngineConfig } from '../config.ts';
import type { BuildService } from '../engine.ts';
import type { ImageParts } from '../images/parts.ts';
import { removeImage } from '../images/remove.ts';
import { memberImages } from '../images/targets.ts';
import type { Trash } from '../trash/trash.ts';
import { DiskKeeper, type KeptImage } from './disk-keeper.ts';

export interface OpenDiskKeeperParts {
  readonly config: EngineConfig;
  readonly images: ImageParts;
  readonly uses: ImageUses;
  /** What builds keep for later ones. */
  readonly builds: () => Pick<BuildService, 'prune' | 'diskUsage'>;
  /** What was removed, and goes first. */
  readonly trash: Pick<Trash, 'free' | 'volumeBytes'>;
  readonly publish: (action: string, attributes: Record<string, string>) => void;
}

/** Of the data root, what is not the budget's: people's data, and runs when they are in there. */
const OUTSIDE = new Set(['volumes', 'exec', 'reserve', 'lock']);

/** The keeper on the engine's own parts. */
export function openDiskKeeper({ config, images, uses, builds, trash, publish }: OpenDiskKeeperParts): DiskKeeper {
  const { dataRoot, execRoot, diskBudget, diskUnusedForMs, diskKeepLast, report } = config;
  return new DiskKeeper({
    policy: { budget: diskBudget, unusedForMs: diskUnusedForMs, keepLast: diskKeepLast },
    measure: async (signal) => {
      let bytes = 0;
      for (const entry of await readdir(dataRoot, { withFileTypes: true })) {
        const path = join(dataRoot, entry.name);
        if (entry.isDirectory() && !OUTSIDE.has(entry.name) && path !== execRoot)
          bytes += (await diskUsage(path, { signal })).bytes;
      }
      return bytes + (await trash.volumeBytes());
    },
    emptyTrash: (bytes) => trash.free(bytes),
    unusedImages: () => unusedImages(images, uses),
    removeImage: async ({ id, names }) => {
      try {
        for (const name of names.length > 0 ? names : [id]) await removeImage(images, name);
        return true;
      } catch (error) {
        if (['conflict', 'not-found'].includes(errorCode(error))) return false;
        throw error;
      }
    },
    pruneBuilds: async ({ unusedForMs, bytes = 0 }) => {
      let freed = 0;
      if (unusedForMs !== undefined) {
        const filters = new Map([['unused-for', [`${unusedForMs}ms`]]]);
        freed += (await builds().prune({ all: true, filters })).SpaceReclaimed;
      }
      if (bytes <= freed) return freed;
      const kept = (await builds().diskUsage()).reduce((sum, { Size }) => sum + Size, 0);
      // a limit of nothing is none: all of it goes then
      const limits = kept > bytes ? { maxUsed: kept - bytes } : {};
      return freed + (await builds().prune({ all: true, ...limits })).SpaceReclaimed;
    },
    publish,
    report,
  });
}

/** Images that no container has, and no other image needs by its name. */
function unusedImages(parts: ImageParts, uses: ImageUses): KeptImage[] {
  const used = new Set([...parts.containers()].map(({ imageId }) => imageId));
  const members = memberImages(parts);
  const all = parts.images.list();
  uses.keepOnly(new Set(all.map(({ id }) => id)));
  return all.flatMap((image) => {
    const references = parts.images.references(image.id);
    if (used.has(image.id)) return [];
    if (references.length === 0 && (members.has(image.id) || parts.images.children(image.id).length > 0)) return [];
    const times = [image.addedAt, image.lastTaggedAt].map((text) => Number((parseTime(text) ?? 0n) / 1_000_000n));
    return [
      {
        id: image.id,
        names: references.map(({ reference }) => reference),
        repositories: [...new Set(references.map(({ repository }) => repository))],
        createdAt: image.config.created ?? image.addedAt,
        usedAt: Math.max(uses.lastUsed(image.id) ?? 0, ...times),
        size: image.size,
      },
    ];
  });
}

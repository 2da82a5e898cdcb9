import { now } from '../../base/time.ts';
import type { ChainId, Digest } from '../../oci/digest.ts';
import { familiar } from '../../oci/reference.ts';
import type { TrashContent, TrashedImage, TrashRecords } from '../../state/trash-records.ts';
import type { TrashShelf } from '../trash/trash.ts';
import { isDigest } from '../../oci/digest.ts';
import { EngineError } from '../../base/errors.ts';
import { chainsOf } from '../gc.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import { eventAttributes } from './names.ts';
import type { ImageParts } from './parts.ts';

type Content = Extract<TrashContent, { kind: 'image' }>;

/** Removed images: their blobs and layers stay in the stores as long as their entry does. */
export class ImageShelf implements TrashShelf<Content> {
  readonly #parts: ImageParts;

  constructor(parts: ImageParts) {
    this.#parts = parts;
  }

  /** Blobs, and layers that no image here has. */
  async size({ record }: Content): Promise<number> {
    const { snapshotter, content, images } = this.#parts;
    const used = new Set(images.list().flatMap(({ config }) => chainsOf(config)));
    let bytes = 0;
    for (const name of this.#layers(record)) if (!used.has(name)) bytes += snapshotter.stat(name)?.layer?.size ?? 0;
    for (const digest of blobsOf(record)) bytes += (await content.stat(digest))?.size ?? 0;
    return bytes;
  }

  async dispose({ record }: Content): Promise<void> {
    await this.#parts.collector.collect({ blobs: blobsOf(record), snapshots: this.#layers(record) });
  }

  #layers({ images }: TrashedImage): Set<ChainId> {
    return new Set(images.flatMap(({ chain }) => chainsBelow(this.#parts.snapshotter, chain)));
  }

  /** A name that another image has by now stays there. Throws `conflict` when that leaves nothing to bring back. */
  async restore({ record }: Content, taken: () => void): Promise<void> {
    const { db, images, publish } = this.#parts;
    const free = record.references.filter(({ reference }) => images.reference(reference) === undefined);
    const made = record.images.filter(({ id }) => images.get(id) === undefined);
    if (free.length === 0 && made.length === 0) {
      const names = record.references.map(({ reference }) => familiar(reference)).join(', ');
      throw new EngineError('conflict', `${names || record.name} is an image again: untag that first`);
    }
    await db.durableTransaction(() => {
      for (const image of record.images) images.insert(image);
      for (const target of record.targets) images.targets.put(target);
      for (const reference of free) if (images.get(reference.image)) images.setReference(reference, now());
      taken();
    });
    for (const { image, reference } of free) {
      const restored = images.get(image);
      if (restored) publish('tag', image, eventAttributes(restored, familiar(reference)));
    }
  }
}

/** A layer and all that it stands on. */
export function chainsBelow(snapshotter: Snapshotter, chain: ChainId | undefined): ChainId[] {
  const chains: ChainId[] = [];
  for (let next = chain; next !== undefined; next = snapshotter.stat(next)?.parent) chains.push(next);
  return chains;
}

/** What the trash keeps from collection. */
export function trashedChains(records: TrashRecords): ChainId[] {
  return records.list().flatMap(({ content }): ChainId[] => {
    if (content.kind === 'image') return content.record.images.flatMap(({ chain }) => (chain ? [chain] : []));
    if (content.kind !== 'container') return [];
    return content.record.mounts.flatMap(({ image }) => (image?.chain ? [image.chain] : []));
  });
}

export function trashedBlobs(records: TrashRecords): Digest[] {
  return records.list('image').flatMap(({ content }) => (content.kind === 'image' ? blobsOf(content.record) : []));
}

function blobsOf({ images, references, targets, blobs }: TrashedImage): Digest[] {
  const all = [
    ...images.flatMap(({ id, manifest }) => [id, manifest?.digest]),
    ...references.map(({ target }) => target?.digest),
    ...targets.flatMap((target) => [target.digest, ...target.blobs]),
    ...blobs,
  ];
  return [...new Set(all.filter((digest): digest is Digest => digest !== undefined && isDigest(digest)))];
}

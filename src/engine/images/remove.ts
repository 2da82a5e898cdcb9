import type { ImageDeleteItem } from '../../api/image.ts';
import { EngineError } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import type { Digest } from '../../oci/digest.ts';
import { familiar, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { ImageTarget } from '../../state/image-targets.ts';
import type { ImageRecord, ImageReference } from '../../state/images.ts';
import type { TrashedImage } from '../../state/trash-records.ts';
import { chainsOf } from '../gc.ts';
import { eventAttributes } from './names.ts';
import type { TrashTicket } from '../trash/trash.ts';
import type { ImageParts } from './parts.ts';
import { isIdOf, lookupName, resolveImage } from './resolve.ts';
import { forgetTarget } from './targets.ts';

export interface RemoveOptions {
  readonly force?: boolean;
  /** Keeps parents that have no name. */
  readonly noPrune?: boolean;
  /** It goes into the trash. */
  readonly ticket?: TrashTicket | undefined;
}

/**
 * `docker rmi`: takes a name away, and deletes the image with the last one; by id, all of its names when they are one.
 * What of its layers nothing else uses goes with it. Throws `not-found`, `conflict` in Docker's words.
 */
export async function removeImage(
  parts: ImageParts,
  name: string,
  options: RemoveOptions = {},
): Promise<ImageDeleteItem[]> {
  const removal = new Removal(parts, options);
  await parts.db.durableTransaction(() => {
    removal.remove(name);
    if (options.ticket) parts.trash?.put(options.ticket, { kind: 'image', record: removal.taken(name) });
  });
  for (const event of removal.events) event();
  await parts.collector.collect(removal.garbage);
  return removal.items;
}

/** One removal, in one transaction: nothing here waits. */
class Removal {
  readonly items: ImageDeleteItem[] = [];
  readonly events: (() => void)[] = [];
  readonly garbage = { blobs: [] as string[], snapshots: [] as string[] };
  readonly #taken = { images: [] as ImageRecord[], references: [] as ImageReference[], targets: [] as ImageTarget[] };
  readonly #parts: ImageParts;
  readonly #options: RemoveOptions;

  constructor(parts: ImageParts, options: RemoveOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  remove(name: string): void {
    const { images } = this.#parts;
    const image = resolveImage(images, name);
    const references = images.references(image.id);
    if (isIdOf(image, name)) {
      // All names go when they are one tag, and the digests of the same repository.
      if (isSingleName(references)) {
        this.#checkConflict(image, { references: false });
        for (const reference of references) this.#untag(image, reference);
      }
      this.#delete(image, { quiet: false, force: this.#options.force ?? false });
      return;
    }
    if (!this.#options.force && isSingleName(references)) this.#refuseLastName(image, name);
    const remaining = this.#removeName(image, name);
    // With other names left, taking this one away was all there was to do.
    if (remaining.length === 0) this.#delete(image, { quiet: true, force: this.#options.force ?? false });
  }

  /** All that it took away. */
  taken(name: string): TrashedImage {
    const { images, references, targets } = this.#taken;
    const [first] = references;
    return {
      id: images[0]?.id ?? first?.image ?? name,
      name: first ? familiar(first.reference) : shortId(images[0]?.id ?? name),
      images: images.map((image) => {
        const { config: _, lastTaggedAt: __, ...kept } = image;
        return kept;
      }),
      references,
      targets,
      blobs: this.garbage.blobs,
    };
  }

  #refuseLastName(image: ImageRecord, name: string): void {
    for (const container of this.#parts.containers()) {
      if (container.imageId !== image.id) continue;
      throw new EngineError(
        'conflict',
        `conflict: unable to remove repository reference ${JSON.stringify(name)} (must force) - container ${shortId(container.id)} is using its referenced image ${shortId(image.id)}`,
      );
    }
  }

  /** Digests of a repository go with the last of its tags. */
  #removeName(image: ImageRecord, name: string): ImageReference[] {
    const { images } = this.#parts;
    const removed = images.reference(lookupName(withDefaultTag(parseReference(name))))!;
    this.#untag(image, removed);
    const left = images.references(image.id);
    const inRepository = left.filter((reference) => reference.repository === removed.repository);
    if (isDigestName(removed) || !inRepository.every(isDigestName)) return left;
    for (const reference of inRepository) this.#untag(image, reference);
    return images.references(image.id);
  }

  #untag(image: ImageRecord, reference: ImageReference): void {
    const name = familiar(reference.reference);
    this.#taken.references.push(reference);
    this.#parts.images.deleteReference(reference.reference);
    if (reference.target) this.#forgetTarget(image, reference.target.digest);
    this.items.push({ Untagged: name });
    this.events.push(() => this.#parts.publish('untag', image.id, eventAttributes(image, image.id)));
  }

  #forgetTarget(image: ImageRecord, digest: Digest): void {
    const target = this.#parts.images.targets.get(digest);
    const blobs = target?.blobs ?? [];
    this.garbage.blobs.push(digest, ...blobs);
    for (const member of forgetTarget(this.#parts, digest, { except: image.id })) this.#gone(member);
    if (target && !this.#parts.images.targets.get(digest)) this.#taken.targets.push(target);
  }

  /** Quiet: the request is done already (a name was taken away, a child deleted), so what forbids this is no error. */
  #delete(image: ImageRecord, mode: { quiet: boolean; force: boolean }): void {
    const { images } = this.#parts;
    try {
      this.#checkConflict(image, { references: true, force: mode.force });
    } catch (error) {
      const dangling = images.references(image.id).length === 0 && images.children(image.id).length === 0;
      const used = [...this.#parts.containers()].some((container) => container.imageId === image.id);
      if (mode.quiet && (!dangling || used)) return;
      throw error;
    }
    for (const reference of images.references(image.id)) this.#untag(image, reference);
    this.#forget(image);
    const parent = image.parent === undefined || this.#options.noPrune ? undefined : images.get(image.parent);
    if (parent) this.#delete(parent, { quiet: true, force: false });
  }

  #forget(image: ImageRecord): void {
    this.#parts.images.delete(image.id);
    this.#gone(image);
  }

  /** The image's row is gone: what of its content nothing else has goes too. */
  #gone(image: ImageRecord): void {
    const { collector, snapshotter, publish } = this.#parts;
    this.#taken.images.push(image);
    this.items.push({ Deleted: image.id });
    this.events.push(() => publish('delete', image.id, { name: image.id }));
    this.garbage.blobs.push(image.id);
    if (image.manifest) this.garbage.blobs.push(image.manifest.digest);
    const kept = collector.reachable().snapshots;
    for (const chain of chainsOf(image.config).toReversed()) {
      if (kept.has(chain) || !snapshotter.stat(chain)) continue;
      this.garbage.snapshots.push(chain);
      this.items.push({ Deleted: chain });
    }
  }

  /** Throws `conflict`. What is hard holds with force too. */
  #checkConflict(image: ImageRecord, options: { references: boolean; force?: boolean }): void {
    const force = options.force ?? this.#options.force ?? false;
    const refuse = (hard: boolean, why: string): EngineError =>
      new EngineError(
        'conflict',
        `conflict: unable to delete ${shortId(image.id)} (${hard ? 'cannot be forced' : 'must be forced'}) - ${why}`,
      );
    if (this.#parts.images.children(image.id).length > 0) throw refuse(true, 'image has dependent child images');
    const users = [...this.#parts.containers()].filter((container) => container.imageId === image.id);
    const running = users.find((container) => container.running);
    if (running) throw refuse(true, `image is being used by running container ${shortId(running.id)}`);
    if (force) return;
    if (options.references && this.#parts.images.references(image.id).length > 0) {
      throw refuse(false, 'image is referenced in multiple repositories');
    }
    const stopped = users[0];
    if (stopped) throw refuse(false, `image is being used by stopped container ${shortId(stopped.id)}`);
  }
}

/** At most one tag, and digests only of its repository; or digests of one repository alone. */
function isSingleName(references: readonly ImageReference[]): boolean {
  if (references.length <= 1) return true;
  const tags = references.filter((reference) => !isDigestName(reference));
  return tags.length <= 1 && new Set(references.map((reference) => reference.repository)).size === 1;
}

function isDigestName(reference: ImageReference): boolean {
  return reference.reference.includes('@');
}

import { readdir, stat } from 'node:fs/promises';
import { notFound } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { now } from '../../base/time.ts';
import type { ChainId } from '../../oci/digest.ts';
import type { ImageRunConfig } from '../../oci/image.ts';
import { familiarName } from '../../oci/reference.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { createImage } from './create-image.ts';
import { copyLayer } from './layers.ts';
import { eventAttributes, nameImage, targetReference } from './names.ts';
import type { ImageParts } from './parts.ts';
import { underLease } from './under-lease.ts';

export interface CommitRequest extends OperationOptions {
  readonly record: Pick<ContainerRecord, 'id' | 'imageId' | 'config'>;
  /** What containers of the new image start with, whole. */
  readonly config: ImageRunConfig;
  readonly repository?: string | undefined;
  readonly tag?: string | undefined;
  readonly author?: string;
  readonly comment?: string;
}

/**
 * `docker commit`: a layer of a copy of the container's changes, and a document with it. Nothing of the container is
 * changed; it should not write meanwhile. Throws `not-found` when its image is gone, `invalid-argument`.
 */
export async function commitImage(
  parts: ImageParts,
  { record, config, author, comment, signal, ...target }: CommitRequest,
): Promise<{ id: string; reference: string | undefined }> {
  const reference = target.repository ? targetReference(target.repository, target.tag) : undefined;
  return underLease(parts, 'commit', async (lease) => {
    const parent = record.imageId === '' ? undefined : parts.images.get(record.imageId);
    // Its layers may outlive an image that was deleted by force, but not what was known of them.
    if (record.imageId !== '' && !parent) throw notFound('image', record.imageId);
    const changes = parts.snapshotter.changesDir(record.id);
    const layers = (await isUnchanged(parts, changes, parent?.chain))
      ? []
      : [await copyLayer(parts, changes, { parent: parent?.chain, lease, signal })];
    const created = now();
    const createdBy = (record.config.Cmd ?? []).join(' ');
    const image = await createImage(parts, {
      parent,
      layers,
      history: [
        {
          created,
          created_by: createdBy,
          ...(author && { author }),
          ...(comment && { comment }),
          ...(layers.length === 0 && { empty_layer: true }),
        },
      ],
      config,
      created,
      author,
      comment,
      keepParent: true,
      lease,
    });
    if (!reference) return { id: image.id, reference: undefined };
    await parts.db.durableTransaction(() => nameImage(parts, image.id, reference));
    parts.publish('tag', image.id, eventAttributes(image, reference));
    return { id: image.id, reference: familiarName(reference) };
  });
}

/** Whether a container wrote nothing: then there is no layer, as the directory itself is only the one below again. */
async function isUnchanged(parts: ImageParts, changes: string, below: ChainId | undefined): Promise<boolean> {
  if ((await readdir(changes)).length > 0) return false;
  if (below === undefined) return true;
  const [own, lower] = await Promise.all([stat(changes), stat(parts.snapshotter.changesDir(below))]);
  return own.mode === lower.mode && own.uid === lower.uid && own.gid === lower.gid;
}

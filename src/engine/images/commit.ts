import { notFound } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { now } from '../../base/time.ts';
import type { ImageRunConfig } from '../../oci/image.ts';
import { createImage } from './create-image.ts';
import { copyLayer } from './layers.ts';
import { nameImage, targetReference } from './names.ts';
import type { ImageParts } from './parts.ts';
import { underLease } from './under-lease.ts';

export interface CommitRequest extends OperationOptions {
  /** Id of the image the container was made from; undefined when it is gone. */
  readonly parent: string | undefined;
  /** The directory of the container's changes, in overlay form; nothing in it is changed. */
  readonly changes: string;
  /** What containers of the new image start with: the container's own configuration after `--change`. */
  readonly config: ImageRunConfig;
  /** The container's command, for the history. */
  readonly createdBy: string;
  readonly author?: string | undefined;
  readonly comment?: string | undefined;
  readonly repository?: string | undefined;
  readonly tag?: string | undefined;
}

/** `docker commit` */
export async function commitImage(parts: ImageParts, request: CommitRequest): Promise<{ id: string }> {
  const { author, comment, config, createdBy, signal } = request;
  const reference = request.repository ? targetReference(request.repository, request.tag) : undefined;
  return underLease(parts, 'commit', async (lease) => {
    const parent = request.parent === undefined ? undefined : parts.images.get(request.parent);
    // Its layers may outlive an image that was deleted by force, but not what was known of them.
    if (request.parent !== undefined && !parent) throw notFound('image', request.parent);
    if (parent) lease.add('image', parent.id);
    const layer = await copyLayer(parts, request.changes, { parent: parent?.chain, lease, signal });
    const created = now();
    const image = await createImage(parts, {
      parent,
      layers: [layer],
      history: [{ created, created_by: createdBy, ...(author && { author }), ...(comment && { comment }) }],
      config,
      created,
      author,
      comment,
      keepParent: true,
      lease,
    });
    if (reference) nameImage(parts, image.id, reference);
    return { id: image.id };
  });
}

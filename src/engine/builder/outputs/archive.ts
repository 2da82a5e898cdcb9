import type { Bytes } from '../../../content/content-store.ts';
import { tarHeader } from '../../../content/tar/header.ts';
import { type TarSource, writeTar } from '../../../content/tar/writer.ts';
import { MEDIA_TYPES } from '../../../oci/descriptor.ts';
import type { Digest } from '../../../oci/digest.ts';
import { canonicalName, familiarName, parseReference, withDefaultTag } from '../../../oci/reference.ts';
import { EngineError } from '../../../base/errors.ts';
import { isIndex } from '../../../content/children.ts';
import type { Assembled } from './assemble.ts';

/**
 * What was made as one archive: an OCI layout, for `docker` with the `manifest.json` that `docker load` reads as well.
 * Sorted and without times: the same build gives the same bytes.
 */
export function imageArchive(
  assembled: Assembled,
  {
    layout,
    names,
    created,
    tag,
  }: {
    readonly layout: 'docker' | 'oci';
    readonly names: readonly string[];
    readonly created?: string | undefined;
    /** Of something without a name of an image. */
    readonly tag?: string;
  },
): Bytes {
  if (layout === 'docker' && isIndex(assembled.target.mediaType)) {
    throw new EngineError(
      'invalid-argument',
      'docker exporter does not currently support exporting manifest lists: use the output oci, or one platform without attestations',
    );
  }
  const references = names.map((name) => withDefaultTag(parseReference(name)));
  const { mediaType, digest, size, annotations } = assembled.target;
  const descriptor = { mediaType, digest, size };
  const time = {
    ...(created !== undefined && { 'org.opencontainers.image.created': created }),
    ...(tag !== undefined && { 'org.opencontainers.image.ref.name': tag }),
  };
  const manifests =
    references.length === 0
      ? [
          {
            ...descriptor,
            ...(Object.keys({ ...annotations, ...time }).length > 0 && { annotations: { ...annotations, ...time } }),
          },
        ]
      : references.map((reference) => ({
          ...descriptor,
          annotations: {
            ...annotations,
            'io.containerd.image.name': canonicalName(reference),
            ...time,
            'org.opencontainers.image.ref.name': reference.tag,
          },
        }));
  function* entries(): Generator<TarSource> {
    yield { header: tarHeader({ type: 'directory', name: 'blobs/' }) };
    yield { header: tarHeader({ type: 'directory', name: 'blobs/sha256/' }) };
    for (const digest of [...assembled.blobs.keys()].sort()) {
      const { descriptor: blob, open } = assembled.blobs.get(digest)!;
      yield { header: tarHeader({ type: 'file', name: path(digest), size: blob.size }), body: open() };
    }
    yield document('index.json', { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests });
    if (layout === 'docker') {
      yield document(
        'manifest.json',
        assembled.images.map(({ image, layers }) => ({
          Config: path(image.id),
          RepoTags: references.length > 0 ? references.map(familiarName) : null,
          Layers: layers.map((layer) => path(layer.digest)),
        })),
      );
    }
    yield document('oci-layout', { imageLayoutVersion: '1.0.0' });
  }
  return writeTar(entries());
}

function document(name: string, value: unknown): TarSource {
  const bytes = Buffer.from(JSON.stringify(value));
  return { header: tarHeader({ type: 'file', name, size: bytes.byteLength }), body: [bytes] };
}

function path(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`;
}

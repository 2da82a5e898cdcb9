import type { Descriptor as ApiDescriptor } from '../../api/descriptor.ts';
import type { ImageManifestSummary } from '../../api/image.ts';
import { childrenOf, isIndex } from '../../content/children.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { chainsOf } from '../gc.ts';
import type { ImageParts } from './parts.ts';
import { imagePlatform } from './resolve.ts';

const REFERENCE_TYPE = 'vnd.docker.reference.type';

/** What an image's name stands for when it is kept whole: an index, or a manifest with what is said about it. */
export function targetsOf(parts: ImageParts, image: Digest): Descriptor[] {
  const targets = parts.images.references(image).flatMap(({ target }) => (target ? [target] : []));
  const kept = targets.filter(({ digest }) => parts.images.targets.get(digest));
  return [...new Map(kept.map((target) => [target.digest, target])).values()];
}

/** The manifests of an index (`GET /images/json?manifests=1`): which are here, what they hold, and who uses them. */
export async function manifestSummaries(parts: ImageParts, target: Descriptor): Promise<ImageManifestSummary[]> {
  const members = new Map(
    (parts.images.targets.get(target.digest)?.members ?? []).map(({ manifest, image }) => [manifest.digest, image]),
  );
  const manifests = isIndex(target.mediaType) ? await childrenOf(parts.content, target) : [target];
  return Promise.all(
    manifests.map(async (manifest): Promise<ImageManifestSummary> => {
      const id = members.get(manifest.digest);
      const image = id === undefined ? undefined : parts.images.get(id);
      const { bytes, whole } = await contentOf(parts, manifest);
      const isAttestation = manifest.annotations?.[REFERENCE_TYPE] === 'attestation-manifest';
      const about = manifest.annotations?.['vnd.docker.reference.digest'];
      const unpacked = image
        ? chainsOf(image.config).reduce((sum, chain) => sum + (parts.snapshotter.stat(chain)?.layer?.size ?? 0), 0)
        : 0;
      return {
        ID: manifest.digest,
        Descriptor: shownDescriptor(manifest),
        // The layers of an image that is here can be made again from its files.
        Available: image !== undefined || whole,
        Size: { Content: bytes, Total: bytes + unpacked },
        Kind: isAttestation ? 'attestation' : image || manifest.platform ? 'image' : 'unknown',
        ...(isAttestation && about !== undefined && { AttestationData: { For: about } }),
        ...(!isAttestation &&
          (image || manifest.platform) && {
            ImageData: {
              Platform: image ? imagePlatform(image) : { ...manifest.platform! },
              Containers: [...parts.containers()].filter(({ imageId }) => imageId === id).map((one) => one.id),
              Size: { Unpacked: unpacked },
            },
          }),
      };
    }),
  );
}

export function shownDescriptor({ mediaType, digest, size, urls, annotations, platform }: Descriptor): ApiDescriptor {
  return {
    mediaType,
    digest,
    size,
    ...(urls && { urls: [...urls] }),
    ...(annotations && { annotations: { ...annotations } }),
    ...(platform && { platform: { ...platform } }),
  };
}

/** Bytes of what is stored of a manifest, itself counted, and whether that is all of it. */
async function contentOf(parts: ImageParts, manifest: Descriptor): Promise<{ bytes: number; whole: boolean }> {
  if (!(await parts.content.has(manifest))) return { bytes: 0, whole: false };
  let bytes = manifest.size;
  let whole = true;
  for (const child of await childrenOf(parts.content, manifest)) {
    if (await parts.content.has(child)) bytes += child.size;
    else whole = false;
  }
  return { bytes, whole };
}

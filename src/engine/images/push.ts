import type { AuthConfig } from '../../api/auth.ts';
import { EngineError } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { bytesOf } from '../../content/bytes.ts';
import type { Bytes, ContentSource } from '../../content/content-store.ts';
import { type Descriptor, MEDIA_TYPES } from '../../oci/descriptor.ts';
import { type ChainId, type Digest, sha256 } from '../../oci/digest.ts';
import { canonicalName, familiarName, parseReference, type Reference, withDefaultTag } from '../../oci/reference.ts';
import type { ImageRecord } from '../../state/images.ts';
import type { LayerRecord } from '../../state/layers.ts';
import { chainsOf } from '../gc.ts';
import { layerRecord, layerTar } from './layers.ts';
import { eventAttributes, nameImage } from './names.ts';
import type { ImageParts } from './parts.ts';
import { needRegistry } from './pull.ts';
import { resolveImage } from './resolve.ts';
import { manifestOf } from './save.ts';

export interface PushOptions extends OperationOptions {
  readonly auth?: AuthConfig | undefined;
  readonly platform?: string | undefined;
  readonly all?: boolean;
}

/** `docker push`. Throws `not-found` for a name that is none here, `unauthorized`, `unavailable`. */
export async function pushImage(parts: ImageParts, name: string, options: PushOptions): Promise<void> {
  const parsed = parseReference(name);
  const references = options.all ? tagsOf(parts, parsed) : [withDefaultTag(parsed)];
  if (!references.some((reference) => isHere(parts, reference))) {
    throw new EngineError('not-found', `An image does not exist locally with the tag: ${familiarName(parsed)}`);
  }
  const registry = needRegistry(parts.registry, withDefaultTag(parsed));
  for (const reference of references) {
    const image = resolveImage(parts.images, familiarName(reference), options.platform);
    using lease = parts.leases.acquire('push');
    const { manifest, source } = await imageSource(parts, image, options.signal);
    lease.add('blob', manifest.digest);
    await registry.push(reference, manifest, source, options);
    nameImage(parts, image.id, { ...reference, tag: undefined, digest: manifest.digest }, manifest);
    parts.publish('push', image.id, eventAttributes(image, reference));
  }
}

function isHere(parts: ImageParts, reference: Reference): boolean {
  return parts.images.references().some((known) => known.reference === canonicalName(reference));
}

function tagsOf(parts: ImageParts, { repository }: Reference): Reference[] {
  return parts.images
    .references()
    .filter((known) => known.repository === repository && !known.reference.includes('@'))
    .map((known) => parseReference(known.reference));
}

/** An image as blobs to read: from the store, or made while they are read. */
export async function imageSource(
  parts: ImageParts,
  image: ImageRecord,
  signal?: AbortSignal,
): Promise<{ readonly manifest: Descriptor; readonly source: ContentSource }> {
  if (image.manifest) return { manifest: image.manifest, source: parts.content };
  const chains = chainsOf(image.config);
  const records: LayerRecord[] = [];
  const made = new Map<Digest, { record: LayerRecord; chain: ChainId }>();
  for (const [index, diffId] of image.config.rootfs.diff_ids.entries()) {
    const chain = chains[index]!;
    const record = await layerRecord(parts, diffId, chain, signal);
    records.push(record);
    if (!record.stored) made.set(record.blob.digest, { record, chain });
  }
  const bytes = Buffer.from(manifestOf(image, records));
  const manifest = { mediaType: MEDIA_TYPES.ociManifest, digest: sha256(bytes), size: bytes.byteLength };
  const source: ContentSource = {
    read(target, options): Bytes {
      if (target.digest === manifest.digest) return bytesOf(bytes);
      const layer = made.get(target.digest);
      return layer ? layerTar(parts, layer.record, layer.chain, options?.signal) : parts.content.read(target, options);
    },
  };
  return { manifest, source };
}

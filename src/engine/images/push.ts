import type { AuthConfig } from '../../api/auth.ts';
import { EngineError } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { bytesOf } from '../../content/bytes.ts';
import { childrenOf, isManifest } from '../../content/children.ts';
import type { Bytes, ContentSource } from '../../content/content-store.ts';
import { type Descriptor, MEDIA_TYPES } from '../../oci/descriptor.ts';
import { sha256 } from '../../oci/digest.ts';
import { canonicalName, familiarName, parseReference, type Reference, withDefaultTag } from '../../oci/reference.ts';
import type { ImageRecord } from '../../state/images.ts';
import type { LayerRecord } from '../../state/layers.ts';
import type { Lease } from '../../state/leases.ts';
import { chainsOf } from '../gc.ts';
import { compressedLayer } from './compress-layer.ts';
import { eventAttributes, nameImage } from './names.ts';
import { Gate } from './parallel.ts';
import type { ImageParts } from './parts.ts';
import { needRegistry } from './pull.ts';
import { resolveImage } from './resolve.ts';
import { manifestOf } from './save.ts';
import { wholeTarget } from './targets.ts';

export interface PushOptions extends OperationOptions {
  readonly auth?: AuthConfig | undefined;
  readonly platform?: string | undefined;
  readonly all?: boolean;
}

/** Compressing takes a thread of its own for each. */
const MAX_COMPRESSIONS = 2;
/** Repositories of one registry that a layer is looked for in. */
const MAX_MOUNTS = 3;

/** `docker push`. Throws `not-found` for a name that is none here, `unauthorized`, `unavailable`. */
export async function pushImage(parts: ImageParts, name: string, options: PushOptions): Promise<void> {
  const parsed = parseReference(name);
  const references = options.all ? tagsOf(parts, parsed) : [withDefaultTag(parsed)];
  if (!references.some((reference) => isHere(parts, reference))) {
    throw new EngineError('not-found', `An image does not exist locally with the tag: ${familiarName(parsed)}`);
  }
  const registry = needRegistry(parts.registry, withDefaultTag(parsed));
  options.onProgress?.({ id: '', status: `The push refers to repository [${parsed.repository}]` });
  for (const reference of references) {
    const image = resolveImage(parts.images, familiarName(reference), options.platform);
    using lease = parts.leases.acquire('push');
    const names = new Map<string, string>();
    for (const diffId of image.config.rootfs.diff_ids.toReversed()) {
      options.onProgress?.({ id: layerName(diffId), status: 'Preparing' });
    }
    const whole = options.platform ? undefined : await wholeTarget(parts, reference, image.id, lease);
    const { manifest, source } = whole ?? (await imageSource(parts, image, { lease, signal: options.signal }));
    const [, ...layers] = isManifest(manifest.mediaType) ? await childrenOf(source, manifest, options.signal) : [];
    for (const [index, layer] of layers.entries()) {
      names.set(layer.digest, layerName(image.config.rootfs.diff_ids[index]!));
    }
    const mountFrom = (blob: Descriptor): string[] =>
      neighbours(
        parts,
        reference,
        image,
        layers.findIndex((layer) => layer.digest === blob.digest),
      );
    await registry.push(reference, manifest, source, { ...options, names, mountFrom });
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

/** Other repositories of the same registry that an image with this layer came from or went to. */
function neighbours(parts: ImageParts, { domain, path }: Reference, image: ImageRecord, index: number): string[] {
  const diffId = image.config.rootfs.diff_ids[index];
  if (diffId === undefined) return [];
  const paths = new Set<string>();
  for (const known of parts.images.references()) {
    if (!known.target || !known.repository.startsWith(`${domain}/`)) continue;
    if (parts.images.get(known.image)?.config.rootfs.diff_ids.includes(diffId)) {
      paths.add(known.repository.slice(domain.length + 1));
    }
  }
  paths.delete(path);
  return [...paths].slice(0, MAX_MOUNTS);
}

function layerName(diffId: string): string {
  return diffId.slice('sha256:'.length).slice(0, 12);
}

/** An image as blobs of the store, with the manifest it came with or one that is made for it. */
export async function imageSource(
  parts: ImageParts,
  image: ImageRecord,
  { lease, signal }: { lease: Lease; signal?: AbortSignal | undefined },
): Promise<{ readonly manifest: Descriptor; readonly source: ContentSource }> {
  if (image.manifest && (await isWhole(parts, image.manifest, lease, signal))) {
    return { manifest: image.manifest, source: parts.content };
  }
  const chains = chainsOf(image.config);
  const gate = new Gate(MAX_COMPRESSIONS);
  const records = await Promise.all(
    image.config.rootfs.diff_ids.map((diffId, index): Promise<LayerRecord> =>
      gate.run(() => compressedLayer(parts, diffId, chains[index]!, { lease, signal })),
    ),
  );
  for (const record of records) lease.add('blob', record.blob.digest);
  const bytes = Buffer.from(manifestOf(image, records));
  const manifest = { mediaType: MEDIA_TYPES.ociManifest, digest: sha256(bytes), size: bytes.byteLength };
  lease.add('blob', manifest.digest);
  const source: ContentSource = {
    read: (target, options): Bytes =>
      target.digest === manifest.digest ? bytesOf(bytes) : parts.content.read(target, options),
  };
  return { manifest, source };
}

/** A layer that was here before the image came was not fetched with it. */
export async function isWhole(
  parts: ImageParts,
  manifest: Descriptor,
  lease: Lease,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  lease.add('blob', manifest.digest);
  if (!(await parts.content.has(manifest))) return false;
  for (const child of await childrenOf(parts.content, manifest, signal)) {
    lease.add('blob', child.digest);
    if (!(await parts.content.has(child))) return false;
  }
  return true;
}

import type { AuthConfig } from '../../api/auth.ts';
import { EngineError } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { bytesOf } from '../../content/bytes.ts';
import { childrenOf, isManifest } from '../../content/children.ts';
import type { Bytes, ContentSource } from '../../content/content-store.ts';
import type { GrowingBlob } from '../../content/growing-blob.ts';
import { type Descriptor, MEDIA_TYPES } from '../../oci/descriptor.ts';
import { sha256 } from '../../oci/digest.ts';
import { canonicalName, familiarName, parseReference, type Reference, withDefaultTag } from '../../oci/reference.ts';
import type { ImageRecord } from '../../state/images.ts';
import type { LayerRecord } from '../../state/layers.ts';
import type { Lease } from '../../state/leases.ts';
import { chainsOf } from '../gc.ts';
import { compressedLayer } from './compress-layer.ts';
import { eventAttributes, nameImage } from './names.ts';
import { Gate } from '../../base/gate.ts';
import type { ImageParts } from './parts.ts';
import type { LayerInTheMaking } from './registry-access.ts';
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
    const diffIds = image.config.rootfs.diff_ids;
    const indexes = new Map<string, number>();
    const know = (layer: Descriptor, index: number): void => {
      names.set(layer.digest, layerName(diffIds[index]!));
      indexes.set(layer.digest, index);
    };
    const mountFrom = (blob: Descriptor): string[] => neighbours(parts, reference, image, indexes.get(blob.digest));
    const how = { lease, signal: options.signal };
    let manifest = whole?.manifest ?? (await wholeManifest(parts, image, how));
    if (manifest) {
      const source = whole?.source ?? parts.content;
      const [, ...layers] = isManifest(manifest.mediaType) ? await childrenOf(source, manifest, options.signal) : [];
      for (const [index, layer] of layers.entries()) know(layer, index);
      const ownBytes = source === parts.content;
      await registry.push(reference, manifest, source, { ...options, names, mountFrom, ownBytes });
    } else {
      const making = makeManifest(parts, image, { ...how, onLayer: know });
      const early = making.layers;
      try {
        const how = { ...options, names, mountFrom, early, ownBytes: true };
        await registry.push(reference, making.manifest, making.source, how);
        manifest = await making.manifest;
      } finally {
        await making.end();
      }
    }
    const [target, name] = [manifest, { ...reference, tag: undefined, digest: manifest.digest }];
    await parts.db.durableTransaction(() => nameImage(parts, image.id, name, target));
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
function neighbours(
  parts: ImageParts,
  { domain, path }: Reference,
  image: ImageRecord,
  index: number | undefined,
): string[] {
  const diffId = index === undefined ? undefined : image.config.rootfs.diff_ids[index];
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

interface SourceOptions {
  readonly lease: Lease;
  readonly signal?: AbortSignal | undefined;
}

/** An image as blobs of the store, with the manifest it came with or one that is made for it. */
export async function imageSource(
  parts: ImageParts,
  image: ImageRecord,
  options: SourceOptions,
): Promise<{ readonly manifest: Descriptor; readonly source: ContentSource }> {
  const whole = await wholeManifest(parts, image, options);
  if (whole) return { manifest: whole, source: parts.content };
  const { manifest, source } = makeManifest(parts, image, options);
  return { manifest: await manifest, source };
}

/** The manifest an image came with, if all it names is here. */
async function wholeManifest(
  parts: ImageParts,
  image: ImageRecord,
  { lease, signal }: SourceOptions,
): Promise<Descriptor | undefined> {
  return image.manifest && (await isWhole(parts, image.manifest, lease, signal)) ? image.manifest : undefined;
}

interface ManifestInTheMaking {
  /** Those that are different. */
  readonly layers: readonly LayerInTheMaking[];
  readonly manifest: Promise<Descriptor>;
  /** Has the layers, and the manifest once that is known. */
  readonly source: ContentSource;
  /** Gives up what is not done; nothing is being written when it resolves. */
  end(): Promise<void>;
}

/** Compresses the layers of an image, two at a time, and describes them. */
function makeManifest(
  parts: ImageParts,
  image: ImageRecord,
  { lease, signal, onLayer }: SourceOptions & { readonly onLayer?: (layer: Descriptor, index: number) => void },
): ManifestInTheMaking {
  const chains = chainsOf(image.config);
  const gate = new Gate(MAX_COMPRESSIONS);
  const stop = new AbortController();
  const signals = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const diffIds = image.config.rootfs.diff_ids;
  const growing: GrowingBlob[] = [];
  const begun = diffIds.map(() => Promise.withResolvers<(() => Bytes) | undefined>());
  const records = diffIds.map((diffId, index) =>
    gate
      .run(async (): Promise<LayerRecord> => {
        signals.throwIfAborted();
        const onGrowing = (blob: GrowingBlob): void => {
          growing.push(blob);
          begun[index]!.resolve(() => blob.read());
        };
        const how = { lease, signal: signals, ...(onLayer && { onGrowing }) };
        const record = await compressedLayer(parts, diffId, chains[index]!, how);
        onLayer?.(record.blob, index);
        return record;
      })
      .finally(() => begun[index]!.resolve(undefined)),
  );
  // What fails first says why; nobody needs the others then.
  for (const record of records) record.catch(() => stop.abort());
  const layers = records
    .map((record, index) => ({
      name: layerName(diffIds[index]!),
      blob: record.then(({ blob }) => blob),
      growing: begun[index]!.promise,
    }))
    .filter((_, index) => diffIds.indexOf(diffIds[index]!) === index);
  let made: { readonly digest: string; readonly bytes: Buffer } | undefined;
  const manifest = (async (): Promise<Descriptor> => {
    const bytes = Buffer.from(manifestOf(image, await Promise.all(records)));
    made = { digest: sha256(bytes), bytes };
    lease.add('blob', made.digest);
    return { mediaType: MEDIA_TYPES.ociManifest, digest: sha256(bytes), size: bytes.byteLength };
  })();
  for (const promise of [manifest, ...layers.map(({ blob }) => blob)]) promise.catch(() => {});
  const source: ContentSource = {
    read: (target, options): Bytes =>
      target.digest === made?.digest ? bytesOf(made.bytes) : parts.content.read(target, options),
  };
  const end = async (): Promise<void> => {
    stop.abort();
    await Promise.allSettled(records);
    for (const blob of growing) await blob[Symbol.asyncDispose]();
  };
  return { layers, manifest, source, end };
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

import { EngineError, notFound } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { bytesOf } from '../../content/bytes.ts';
import { childrenOf } from '../../content/children.ts';
import type { Bytes, ContentSource } from '../../content/content-store.ts';
import { tarHeader } from '../../content/tar/header.ts';
import { type TarSource, writeTar } from '../../content/tar/writer.ts';
import { canonicalJson } from '../../oci/canonical-json.ts';
import { type Descriptor, MEDIA_TYPES } from '../../oci/descriptor.ts';
import { type Digest, isDigest, sha256 } from '../../oci/digest.ts';
import { platformDistance } from '../../oci/platform.ts';
import {
  canonicalName,
  familiarName,
  familiarRepository,
  isIdentifier,
  parseReference,
  type Reference,
} from '../../oci/reference.ts';
import type { ImageRecord } from '../../state/images.ts';
import type { LayerRecord } from '../../state/layers.ts';
import type { Lease } from '../../state/leases.ts';
import { chainsOf } from '../gc.ts';
import { layerRecord, layerTar } from './layers.ts';
import { eventAttributes } from './names.ts';
import type { ImageParts } from './parts.ts';
import { wholeTarget } from './targets.ts';
import { imageByPrefix, imagePlatform, platformOf, resolveImage } from './resolve.ts';

export interface SaveOptions extends OperationOptions {
  readonly platforms?: string[];
}

/**
 * `docker save`: one archive that is a docker-archive (`manifest.json`, `repositories`) and an OCI layout (`index.json`,
 * `oci-layout`, `blobs/`) at once. Sorted and without times: the same images give the same bytes.
 * Throws `not-found`, `invalid-argument` before the first byte.
 */
export async function saveImages(
  parts: ImageParts,
  names: readonly string[],
  options: SaveOptions = {},
): Promise<Bytes> {
  const selected = selectImages(parts, names, options.platforms ?? []);
  const lease = parts.leases.acquire('save');
  try {
    const described: Described[] = [];
    for (const image of selected) described.push(await describe(parts, image, lease, options.signal));
    return archive(parts, described, lease, options.signal);
  } catch (error) {
    lease.release();
    throw error;
  }
}

interface Selected {
  readonly image: ImageRecord;
  /** The names asked for; none when it was asked for by its id. */
  readonly references: readonly Reference[];
}

/** Each image once, in the order of ids, with the names that were asked for in theirs. */
function selectImages(parts: ImageParts, names: readonly string[], platforms: readonly string[]): Selected[] {
  const selected = new Map<Digest, { image: ImageRecord; references: Map<string, Reference> }>();
  const add = (image: ImageRecord, reference?: Reference): void => {
    const entry = selected.get(image.id) ?? { image, references: new Map<string, Reference>() };
    if (reference && reference.digest === undefined) entry.references.set(canonicalName(reference), reference);
    selected.set(image.id, entry);
  };
  for (const name of names) for (const [image, reference] of imagesNamed(parts, name)) add(image, reference);
  for (const { image } of selected.values()) {
    const own = imagePlatform(image);
    if (platforms.length > 0 && !platforms.some((wanted) => platformDistance(platformOf(wanted), own) === 0)) {
      throw new EngineError(
        'not-found',
        `image ${shortId(image.id)} is not for the platform asked for: it is for ${own.os}/${own.architecture}`,
      );
    }
  }
  return [...selected.values()]
    .sort((a, b) => (a.image.id < b.image.id ? -1 : 1))
    .map(({ image, references }) => ({
      image,
      references: [...references].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, reference]) => reference),
    }));
}

/** A repository without a tag means all of its tags. */
function imagesNamed(parts: ImageParts, name: string): [ImageRecord, Reference?][] {
  if (isIdentifier(name) || isDigest(name)) return [[resolveImage(parts.images, name)]];
  const reference = parseReference(name);
  if (reference.tag !== undefined || reference.digest !== undefined) {
    const image = resolveImage(parts.images, name);
    return [parts.images.reference(canonicalName(reference)) ? [image, reference] : [image]];
  }
  const tags = parts.images
    .references()
    .filter((known) => known.repository === reference.repository)
    .map((known): [ImageRecord, Reference] => [parts.images.get(known.image)!, parseReference(known.reference)]);
  if (tags.length > 0) return tags;
  const image = imageByPrefix(parts.images, name);
  if (!image) throw notFound('image', familiarName(reference));
  return [[image]];
}

/** An image as the archive shows it. */
interface Described extends Selected {
  readonly layers: readonly { readonly record: LayerRecord; readonly open: () => Bytes }[];
  readonly manifest: Descriptor;
  /** Undefined: the manifest is a blob of the store. */
  readonly manifestBytes: Buffer | undefined;
  /** By name, what it stands for where that is more than this image: an index with all of its platforms. */
  readonly targets: ReadonlyMap<string, SavedTarget>;
}

interface SavedTarget {
  readonly manifest: Descriptor;
  readonly blobs: readonly Descriptor[];
  readonly source: ContentSource;
}

/** What the names stand for, each with everything below it. */
async function savedTargets(
  parts: ImageParts,
  { image, references }: Selected,
  lease: Lease,
  signal: AbortSignal | undefined,
): Promise<Map<string, SavedTarget>> {
  const targets = new Map<string, SavedTarget>();
  for (const reference of references) {
    const whole = await wholeTarget(parts, reference, image.id, lease);
    if (!whole) continue;
    const blobs: Descriptor[] = [];
    const add = async (descriptor: Descriptor): Promise<void> => {
      blobs.push(descriptor);
      for (const child of await childrenOf(whole.source, descriptor, signal)) await add(child);
    };
    await add(whole.manifest);
    targets.set(canonicalName(reference), { ...whole, blobs });
  }
  return targets;
}

async function describe(
  parts: ImageParts,
  { image, references }: Selected,
  lease: Lease,
  signal: AbortSignal | undefined,
): Promise<Described> {
  lease.add('blob', image.id);
  const targets = await savedTargets(parts, { image, references }, lease, signal);
  const chains = chainsOf(image.config);
  for (const chain of chains) lease.add('snapshot', chain);
  const layers: Described['layers'][number][] = [];
  for (const [index, diffId] of image.config.rootfs.diff_ids.entries()) {
    const chain = chains[index]!;
    const record = await layerRecord(parts, diffId, chain, signal);
    if (record.stored) lease.add('blob', record.blob.digest);
    layers.push({ record, open: () => layerTar(parts, record, chain, signal) });
  }
  if (image.manifest) {
    lease.add('blob', image.manifest.digest);
    return { image, references, layers, manifest: image.manifest, manifestBytes: undefined, targets };
  }
  const manifestBytes = Buffer.from(
    manifestOf(
      image,
      layers.map(({ record }) => record),
    ),
  );
  const manifest = {
    mediaType: MEDIA_TYPES.ociManifest,
    digest: sha256(manifestBytes),
    size: manifestBytes.byteLength,
  };
  return { image, references, layers, manifest, manifestBytes, targets };
}

/** The manifest of an image that came without one. */
export function manifestOf(image: ImageRecord, layers: readonly LayerRecord[]): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: { mediaType: MEDIA_TYPES.ociConfig, digest: image.id, size: Buffer.byteLength(image.configText) },
    layers: layers.map(({ blob }) => ociLayer(blob)),
  });
}

/** OCI's name for a layer, whatever it came as. */
function ociLayer({ mediaType, digest, size }: Pick<Descriptor, 'mediaType' | 'digest' | 'size'>): Descriptor {
  const types: Readonly<Record<string, string>> = {
    [MEDIA_TYPES.dockerLayer]: MEDIA_TYPES.ociLayer,
    [MEDIA_TYPES.dockerLayerGzip]: MEDIA_TYPES.ociLayerGzip,
  };
  return { mediaType: types[mediaType] ?? mediaType, digest, size };
}

async function* archive(parts: ImageParts, images: readonly Described[], lease: Lease, signal?: AbortSignal): Bytes {
  try {
    yield* writeTar(entries(parts, images, signal));
    for (const { image } of images) parts.publish('save', image.id, eventAttributes(image, image.id));
  } finally {
    lease.release();
  }
}

function* entries(parts: ImageParts, images: readonly Described[], signal?: AbortSignal): Generator<TarSource> {
  const blobs = new Map<Digest, TarSource>();
  const add = (digest: Digest, size: number, body: Bytes): void => {
    if (!blobs.has(digest))
      blobs.set(digest, { header: tarHeader({ type: 'file', name: blobPath(digest), size }), body });
  };
  for (const { image, layers, manifest, manifestBytes, targets } of images) {
    for (const { blobs: below, source } of targets.values())
      for (const blob of below) add(blob.digest, blob.size, source.read(blob));
    add(image.id, Buffer.byteLength(image.configText), bytesOf(image.configText));
    add(manifest.digest, manifest.size, manifestBytes ? bytesOf(manifestBytes) : parts.content.read(manifest));
    for (const { record, open } of layers) add(record.blob.digest, record.blob.size, open());
  }
  yield { header: tarHeader({ type: 'directory', name: 'blobs/' }) };
  yield { header: tarHeader({ type: 'directory', name: 'blobs/sha256/' }) };
  for (const digest of [...blobs.keys()].sort()) {
    signal?.throwIfAborted();
    yield blobs.get(digest)!;
  }
  yield document('index.json', ociIndex(images));
  yield document('manifest.json', JSON.stringify(images.map(dockerManifest)));
  yield document('oci-layout', '{"imageLayoutVersion":"1.0.0"}');
  const repositories = dockerRepositories(images);
  if (repositories !== undefined) yield document('repositories', repositories);
}

function document(name: string, text: string): TarSource {
  const bytes = Buffer.from(text);
  return { header: tarHeader({ type: 'file', name, size: bytes.byteLength }), body: [bytes] };
}

function blobPath(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function ociIndex(images: readonly Described[]): string {
  const manifests = images.flatMap(({ manifest, references, targets }) => {
    const plain = ({ mediaType, digest, size }: Descriptor): Pick<Descriptor, 'mediaType' | 'digest' | 'size'> => ({
      mediaType,
      digest,
      size,
    });
    if (references.length === 0) return [plain(manifest)];
    return references.map((reference) => ({
      ...plain(targets.get(canonicalName(reference))?.manifest ?? manifest),
      annotations: {
        'io.containerd.image.name': canonicalName(reference),
        'org.opencontainers.image.ref.name': reference.tag,
      },
    }));
  });
  return JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests });
}

function dockerManifest({ image, references, layers }: Described): unknown {
  return {
    Config: blobPath(image.id),
    RepoTags: references.length > 0 ? references.map(familiarName) : null,
    Layers: layers.map(({ record }) => blobPath(record.blob.digest)),
    LayerSources: Object.fromEntries(layers.map(({ record }) => [record.diffId, ociLayer(record.blob)])),
  };
}

/** For readers of before 2016. */
function dockerRepositories(images: readonly Described[]): string | undefined {
  const repositories = new Map<string, Map<string, string>>();
  for (const { references, layers } of images) {
    const top = layers.at(-1)?.record.diffId.replace('sha256:', '') ?? '';
    for (const reference of references) {
      const name = familiarRepository(reference);
      const tags = repositories.get(name) ?? new Map<string, string>();
      repositories.set(name, tags.set(reference.tag!, top));
    }
  }
  if (repositories.size === 0) return undefined;
  return canonicalJson(Object.fromEntries([...repositories].map(([name, tags]) => [name, Object.fromEntries(tags)])));
}

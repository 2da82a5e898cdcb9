import { EngineError } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { collect, isIndex, isManifest, MAX_DOCUMENT_BYTES, parseIndex, parseManifest } from '../../content/children.ts';
import { type Compression, decompress, sniffCompression } from '../../content/compression.ts';
import type { Bytes } from '../../content/content-store.ts';
import { externalDecompressor } from '../../linux/external-decompressor.ts';
import { type Descriptor, MEDIA_TYPES, type Platform } from '../../oci/descriptor.ts';
import type { ChainId, Digest } from '../../oci/digest.ts';
import { formatPlatform, platformDistance } from '../../oci/platform.ts';
import { parseImageConfig } from '../../oci/image-config.ts';
import { familiarName, parseReference, type Reference, withDefaultTag } from '../../oci/reference.ts';
import type { Lease } from '../../state/leases.ts';
import { ArchiveIndex, type ArchiveMember } from './archive-index.ts';
import { recordImage, storeConfig, type StoredConfig } from './create-image.ts';
import { unpackLayer } from './layers.ts';
import { eventAttributes, nameImage } from './names.ts';
import type { ImageParts } from './parts.ts';
import { imagePlatform, platformOf } from './resolve.ts';
import { underLease } from './under-lease.ts';

export interface LoadOptions extends OperationOptions {
  readonly platforms?: string[];
  readonly quiet?: boolean;
}

/** Images in one archive. */
const MAX_IMAGES = 1000;

/**
 * `docker load`: archives of `docker save` of any age since 1.10 and OCI layouts, compressed or not. All images of the
 * archive are recorded in one transaction at the end: a refused archive leaves nothing.
 * Throws `corrupt`, `invalid-argument`, `too-large`, `no-space`, `cancelled`.
 */
export async function loadImages(parts: ImageParts, archive: Bytes, options: LoadOptions = {}): Promise<void> {
  await underLease(parts, 'load', async (lease) => {
    const { signal } = options;
    const tar = decompress(archive, { external: externalDecompressor });
    const index = await ArchiveIndex.read(tar, { content: parts.content, lease, signal });
    const archived = await imagesOf(index, parts, options.platforms ?? []);
    const loaded: (ArchivedImage & { readonly config: StoredConfig })[] = [];
    for (const image of archived) loaded.push({ ...image, config: await unpackImage(parts, image, lease, options) });
    await record(parts, loaded, options);
  });
}

/** An image as an archive describes it, of either form. */
interface ArchivedImage {
  readonly text: string;
  readonly layers: readonly (ArchiveMember & { readonly mediaType: string })[];
  readonly references: readonly Reference[];
  /** The descriptor of the manifest it had in an OCI layout, when its blobs are the ones we keep. */
  readonly manifest?: Descriptor;
  /** An index that its names stand for, all of whose content is in the archive. */
  readonly whole?: WholeIndex;
}

interface WholeIndex {
  readonly target: Descriptor;
  /** Everything below it, itself included. */
  readonly blobs: Digest[];
}

async function imagesOf(
  index: ArchiveIndex,
  parts: ImageParts,
  platforms: readonly string[],
): Promise<ArchivedImage[]> {
  const dockerManifest = index.document('manifest.json');
  const ociIndex = index.document('index.json');
  const whole = platforms.length === 0 && ociIndex !== undefined && holdsWholeIndex(index, ociIndex);
  const images =
    dockerManifest && !whole
      ? await dockerImages(index, parts, dockerManifest)
      : ociIndex
        ? await ociImages(index, parts, ociIndex, platforms)
        : undefined;
  if (!images) {
    throw new EngineError(
      'invalid-argument',
      'invalid archive: it has neither a manifest.json (docker save) nor an index.json (OCI layout)',
    );
  }
  const wanted = platforms.map(platformOf);
  const chosen = images.filter((image) => isFor(image, wanted));
  if (chosen.length === 0 && images.length > 0) {
    throw new EngineError(
      'invalid-argument',
      `the archive has no image for ${wanted.map((platform) => formatPlatform(platform)).join(', ')}`,
    );
  }
  return chosen;
}

function isFor(image: ArchivedImage, wanted: readonly Platform[]): boolean {
  if (wanted.length === 0) return true;
  const own = imagePlatform({ config: parseImageConfig(image.text) });
  return wanted.some((platform) => platformDistance(platform, own) === 0);
}

/** `manifest.json` of `docker save`. */
async function dockerImages(index: ArchiveIndex, parts: ImageParts, document: Buffer): Promise<ArchivedImage[]> {
  const entries = json(document, 'manifest.json');
  if (!Array.isArray(entries) || entries.length > MAX_IMAGES) throw invalid('manifest.json is not a list of images');
  const images: ArchivedImage[] = [];
  for (const entry of entries as unknown[]) {
    const { Config: config, RepoTags: tags, Layers: names } = (entry ?? {}) as Record<string, unknown>;
    if (typeof config !== 'string' || !isTexts(names ?? []) || !isTexts(tags ?? [])) {
      throw invalid('manifest.json has an entry without Config, Layers and RepoTags');
    }
    const text = await textOfMember(parts, index.member(config), config);
    const expected = parseImageConfig(text).rootfs.diff_ids.length;
    const layers = (names ?? []) as readonly string[];
    if (layers.length !== expected) {
      throw invalid(`layers length mismatch: expected ${layers.length}, got ${expected}`, 'manifest');
    }
    images.push({
      text,
      layers: await Promise.all(layers.map((name) => typedLayer(parts, index.member(name)))),
      references: ((tags ?? []) as readonly string[]).map(taggedReference),
    });
  }
  return images;
}

/** Here nothing says how a layer is compressed: archives hold gzipped ones under the same names. */
async function typedLayer(parts: ImageParts, member: ArchiveMember): Promise<ArchivedImage['layers'][number]> {
  let start: Uint8Array = Buffer.alloc(0);
  for await (const chunk of parts.content.read(member)) {
    start = chunk;
    break;
  }
  const types: Partial<Record<Compression, string>> = {
    gzip: MEDIA_TYPES.ociLayerGzip,
    zstd: MEDIA_TYPES.ociLayerZstd,
  };
  return { ...member, mediaType: types[sniffCompression(start)] ?? MEDIA_TYPES.ociLayer };
}

/** `index.json` of an OCI layout, as skopeo, umoci, buildx and `docker save` write it. */
async function ociImages(
  index: ArchiveIndex,
  parts: ImageParts,
  document: Buffer,
  platforms: readonly string[],
): Promise<ArchivedImage[]> {
  const images = new Map<Digest, ArchivedImage>();
  for (const descriptor of parseIndex(document).manifests) {
    const reference = nameOf(descriptor);
    const manifests = await manifestsOf(index, parts, descriptor, 0);
    const whole =
      platforms.length === 0 && reference && isIndex(descriptor.mediaType)
        ? await wholeIndex(index, parts, descriptor, manifests)
        : undefined;
    const best = bestOf(manifests, parts.platform);
    for (const manifest of platforms.length > 0 || whole ? manifests : best) {
      const image = images.get(manifest.digest) ?? (await ociImage(index, parts, manifest));
      if (!image || (whole && imagePlatform({ config: parseImageConfig(image.text) }).os !== 'linux')) continue;
      // With all platforms there, the name is that of the one that runs here.
      const named = reference && (!whole || manifest === (best[0] ?? manifests[0]));
      images.set(manifest.digest, {
        ...image,
        references: [...image.references, ...(named ? [reference] : [])],
        ...(whole && { whole }),
      });
    }
  }
  if (images.size === 0) throw new EngineError('invalid-argument', 'invalid archive: its index.json names no image');
  return [...images.values()];
}

/** Whether some name of the layout stands for an index: `manifest.json` knows only one image of it. */
function holdsWholeIndex(index: ArchiveIndex, document: Buffer): boolean {
  return parseIndex(document).manifests.some(
    (descriptor) => isIndex(descriptor.mediaType) && nameOf(descriptor) !== undefined && has(index, descriptor),
  );
}

/** The index with everything below it; undefined when the archive has only some of its platforms. */
async function wholeIndex(
  index: ArchiveIndex,
  parts: ImageParts,
  descriptor: Descriptor,
  manifests: readonly Descriptor[],
): Promise<WholeIndex | undefined> {
  const { mediaType, digest, size } = descriptor;
  const blobs = [digest];
  for (const manifest of manifests) {
    if (!has(index, manifest)) return undefined;
    blobs.push(manifest.digest);
    const { config, layers } = parseManifest(
      Buffer.from(await textOfMember(parts, index.blob(manifest), manifest.digest)),
    );
    for (const child of [config, ...layers]) {
      if (!has(index, child)) return undefined;
      blobs.push(child.digest);
    }
  }
  return { target: { mediaType, digest, size }, blobs };
}

function has(index: ArchiveIndex, descriptor: Descriptor): boolean {
  try {
    index.blob(descriptor);
    return true;
  } catch {
    return false;
  }
}

async function manifestsOf(
  index: ArchiveIndex,
  parts: ImageParts,
  descriptor: Descriptor,
  depth: number,
): Promise<Descriptor[]> {
  if (isManifest(descriptor.mediaType)) return [descriptor];
  if (!isIndex(descriptor.mediaType)) return [];
  if (depth === 4) throw new EngineError('too-large', 'invalid archive: indexes are nested more than 4 deep');
  const text = await textOfMember(parts, index.blob(descriptor), descriptor.digest);
  const found: Descriptor[] = [];
  for (const child of parseIndex(Buffer.from(text)).manifests)
    found.push(...(await manifestsOf(index, parts, child, depth + 1)));
  return found;
}

/** Of many platforms, the one that runs here; all of those that do not say what they are for. */
function bestOf(manifests: readonly Descriptor[], host: Platform): readonly Descriptor[] {
  if (manifests.length <= 1) return manifests;
  const ranked = manifests
    .map((manifest) => [manifest, manifest.platform && platformDistance(host, manifest.platform)] as const)
    .filter(([manifest, distance]) => distance !== undefined || !manifest.platform);
  const best = Math.min(...ranked.map(([, distance]) => distance ?? 0));
  return ranked.filter(([, distance]) => (distance ?? 0) === best).map(([manifest]) => manifest);
}

/** Undefined for what is no image: attestations, charts, signatures. */
async function ociImage(
  index: ArchiveIndex,
  parts: ImageParts,
  descriptor: Descriptor,
): Promise<ArchivedImage | undefined> {
  const text = await textOfMember(parts, index.blob(descriptor), descriptor.digest);
  const manifest = parseManifest(Buffer.from(text));
  if (manifest.config.mediaType !== MEDIA_TYPES.ociConfig && manifest.config.mediaType !== MEDIA_TYPES.dockerConfig)
    return undefined;
  if (manifest.layers.some((layer) => layer.mediaType.startsWith('application/vnd.in-toto'))) return undefined;
  const { mediaType, digest, size } = descriptor;
  return {
    text: await textOfMember(parts, index.blob(manifest.config), manifest.config.digest),
    layers: manifest.layers.map((layer) => ({ ...index.blob(layer), mediaType: layer.mediaType })),
    references: [],
    manifest: { mediaType, digest, size },
  };
}

/** The name an OCI layout gives. A bare word there is a tag without a repository, which is no name. */
function nameOf({ annotations = {} }: Descriptor): Reference | undefined {
  const full = annotations['io.containerd.image.name'];
  const short = annotations['org.opencontainers.image.ref.name'];
  const name = typeof full === 'string' ? full : typeof short === 'string' && /[/:]/.test(short) ? short : undefined;
  return name === undefined ? undefined : taggedReference(name);
}

function taggedReference(name: string): Reference {
  const reference = withDefaultTag(parseReference(name));
  if (reference.tag === undefined) throw new EngineError('invalid-argument', `invalid tag ${JSON.stringify(name)}`);
  return { ...reference, digest: undefined };
}

async function unpackImage(
  parts: ImageParts,
  image: ArchivedImage,
  lease: Lease,
  { signal, onProgress, quiet }: LoadOptions,
): Promise<StoredConfig> {
  const config = await storeConfig(parts, image.text, lease);
  const { os } = imagePlatform(config);
  if (os !== 'linux') throw new EngineError('invalid-argument', `cannot load ${os} image on linux`);
  let parent: ChainId | undefined;
  for (const [index, diffId] of config.config.rootfs.diff_ids.entries()) {
    const blob = image.layers[index]!;
    const id = shortId(diffId);
    if (!quiet) onProgress?.({ id, status: 'Loading layer', current: 0, total: blob.size });
    const layer = await unpackLayer(parts, blob, diffId, { parent, lease, signal });
    if (!quiet) onProgress?.({ id, status: 'Loading layer', current: blob.size, total: blob.size });
    parent = layer.chain;
  }
  return config;
}

/** The one step that makes the images visible; then the words and events about it. */
async function record(
  parts: ImageParts,
  images: readonly (ArchivedImage & { readonly config: StoredConfig })[],
  { onProgress }: LoadOptions,
): Promise<void> {
  const said: (() => void)[] = [];
  const say = (stream: string): void => void said.push(() => onProgress?.({ id: '', status: '', stream }));
  await parts.db.durableTransaction(() => {
    for (const { target, blobs } of new Set(images.flatMap(({ whole }) => whole ?? []))) {
      const members = images.flatMap(({ whole, config, manifest }) =>
        whole?.target.digest === target.digest && manifest ? [{ image: config.id, manifest }] : [],
      );
      parts.images.targets.put({ digest: target.digest, members, blobs });
    }
    for (const { config, layers, references, manifest, whole } of images) {
      const image = recordImage(parts, config, { manifest: isKept(parts, config, layers) ? manifest : undefined });
      for (const reference of references) {
        const before = nameImage(parts, image.id, reference, whole?.target);
        if (before !== undefined) {
          say(
            `The image ${familiarName(reference)} already exists, renaming the old one with ID ${before} to empty string\n`,
          );
        }
        say(`Loaded image: ${familiarName(reference)}\n`);
      }
      if (references.length === 0 && !whole) say(`Loaded image ID: ${image.id}\n`);
      said.push(() => parts.publish('load', image.id, eventAttributes(image, image.id)));
    }
  });
  for (const line of said) line();
}

/** Whether the blobs that the manifest refers to are those of our records: then saving and pushing can use it as it is. */
function isKept(parts: ImageParts, { config }: StoredConfig, layers: ArchivedImage['layers']): boolean {
  return config.rootfs.diff_ids.every((diffId, index) => {
    const layer = parts.layers.get(diffId);
    return layer?.stored === true && layer.blob.digest === layers[index]!.digest;
  });
}

/** A document of the archive that became a blob. Throws `too-large`, `corrupt`. */
async function textOfMember(parts: ImageParts, member: ArchiveMember, name: string): Promise<string> {
  const bytes = await collect(parts.content.read(member), MAX_DOCUMENT_BYTES, name);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new EngineError('corrupt', `invalid archive: ${name} is not UTF-8`, { cause: error });
  }
}

function json(document: Buffer, name: string): unknown {
  try {
    return JSON.parse(document.toString());
  } catch (error) {
    throw new EngineError('corrupt', `invalid archive: ${name} is not JSON`, { cause: error });
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function invalid(what: string, kind = 'archive'): EngineError {
  return new EngineError('corrupt', kind === 'archive' ? `invalid archive: ${what}` : `invalid ${kind}, ${what}`);
}

import { now } from '../../base/time.ts';
import { childrenOf } from '../../content/children.ts';
import type { Bytes, ContentSource } from '../../content/content-store.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type ChainId, type Digest, isDigest } from '../../oci/digest.ts';
import { canonicalName, isIdentifier, parseReference, type Reference, withDefaultTag } from '../../oci/reference.ts';
import type { ImageRecord } from '../../state/images.ts';
import type { Lease } from '../../state/leases.ts';
import { chainsOf } from '../gc.ts';
import { layerRecord, layerTar } from './layers.ts';
import { eventAttributes } from './names.ts';
import type { ImageParts } from './parts.ts';
import { lookupName } from './resolve.ts';

/** An index or manifest with everything below it, as `builder/outputs` makes it. */
export interface TargetContent {
  readonly target: Descriptor;
  readonly images: readonly { readonly image: { readonly id: Digest }; readonly manifest: Descriptor }[];
  readonly blobs: ReadonlyMap<
    Digest,
    { readonly descriptor: Descriptor; readonly open: (options?: { readonly signal?: AbortSignal }) => Bytes }
  >;
}

/**
 * Gives an image a name. With `assembled`, the name stands for all of it, as in Docker's containerd store: the index with
 * the images of its platforms, whose rows are there already, and what is said about them. All of it is kept as long as a
 * name points to it. The blobs are written first, the rows together in one transaction: a crash leaves blobs to collect.
 */
export async function nameTarget(
  parts: ImageParts,
  {
    image,
    reference,
    assembled,
    lease,
    signal,
  }: {
    readonly image: Digest;
    readonly reference: Reference;
    readonly assembled: TargetContent | undefined;
    readonly lease: Lease;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  if (assembled) {
    for (const { descriptor, open } of assembled.blobs.values()) {
      lease.add('blob', descriptor.digest);
      if (await parts.content.has(descriptor)) continue;
      // A layer that can be made again is made again when it is wanted.
      if (parts.layers.get(descriptor.digest)?.stored === false) continue;
      await parts.content.write(descriptor, open(signal ? { signal } : {}), signal ? { signal } : {});
    }
  }
  const before = parts.images.reference(canonicalName(reference));
  const same = before?.image === image && before.target?.digest === assembled?.target.digest;
  // A build that changes nothing writes nothing: a commit waits for the disk.
  if (!same || assembled)
    await parts.db.durableTransaction(() => {
      if (assembled) {
        parts.images.targets.put({
          digest: assembled.target.digest,
          members: assembled.images.map((member) => ({ image: member.image.id, manifest: member.manifest })),
          blobs: [...assembled.blobs.keys()],
        });
      }
      parts.images.setReference(
        { reference: canonicalName(reference), repository: reference.repository, image, target: assembled?.target },
        now(),
      );
      if (before?.target && before.target.digest !== assembled?.target.digest) {
        forgetTarget(parts, before.target.digest, { except: before.image });
      }
    });
  const record = parts.images.get(image);
  if (record) parts.publish('tag', image, eventAttributes(record, reference));
}

/**
 * The name that pointed to the target is gone, or points elsewhere: its row goes with the last one, and with it the images
 * of other platforms that nobody names. In the caller's transaction. Gives the images whose rows are gone.
 */
export function forgetTarget(
  parts: Pick<ImageParts, 'images' | 'containers'>,
  digest: Digest,
  { except }: { readonly except: Digest },
): ImageRecord[] {
  const target = parts.images.targets.get(digest);
  if (!target || parts.images.references().some((reference) => reference.target?.digest === digest)) return [];
  parts.images.targets.delete(digest);
  const deleted: ImageRecord[] = [];
  for (const { image } of target.members) {
    // The image that the name stood for has its own rules.
    if (image === except) continue;
    const used = [...parts.containers()].some((container) => container.imageId === image);
    if (used || parts.images.references(image).length > 0 || parts.images.children(image).length > 0) continue;
    if (parts.images.targets.list().some((other) => other.members.some((member) => member.image === image))) continue;
    const record = parts.images.get(image);
    if (record) deleted.push(record);
    parts.images.delete(image);
  }
  return deleted;
}

/** Images that a name holds as one of its platforms: they are no images without a name. */
export function memberImages(parts: Pick<ImageParts, 'images'>): Set<Digest> {
  const named = new Set(parts.images.references().flatMap(({ target }) => (target ? [target.digest] : [])));
  const members = new Set<Digest>();
  for (const target of parts.images.targets.list())
    if (named.has(target.digest)) for (const { image } of target.members) members.add(image);
  return members;
}

/** What the name that a person gave points to, when it is kept whole and stands for that image. */
export function ownTarget(parts: Pick<ImageParts, 'images'>, name: string, image: Digest): Descriptor | undefined {
  if (isIdentifier(name) || isDigest(name)) return undefined;
  const known = parts.images.reference(lookupName(withDefaultTag(parseReference(name))));
  return known?.image === image && known.target && parts.images.targets.get(known.target.digest)
    ? known.target
    : undefined;
}

/** The index or manifest that a name points to with all that it refers to, when this machine has all of it: what a push sends. */
export async function wholeTarget(
  parts: Pick<ImageParts, 'images' | 'content' | 'layers' | 'snapshotter'>,
  reference: Reference,
  image: Digest,
  lease: Lease,
): Promise<{ readonly manifest: Descriptor; readonly source: ContentSource } | undefined> {
  const named = parts.images.reference(canonicalName(reference));
  const target = named?.image === image ? named.target : undefined;
  const known = target && parts.images.targets.get(target.digest);
  if (!target || !known) return undefined;
  const chains = new Map<string, ChainId>();
  for (const member of known.members) {
    const config = parts.images.get(member.image)?.config;
    if (!config) return undefined;
    for (const [index, diffId] of config.rootfs.diff_ids.entries()) chains.set(diffId, chainsOf(config)[index]!);
  }
  for (const digest of known.blobs) {
    lease.add('blob', digest);
    if (!chains.has(digest) && !(await parts.content.stat(digest))) return undefined;
  }
  const source = contentOf(parts, chains);
  // Of an index that was pulled, some platforms may never have come.
  for (const child of await childrenOf(source, target))
    if (!chains.has(child.digest) && !(await parts.content.stat(child.digest))) return undefined;
  return { manifest: target, source };
}

/** The store, and layers of the images in it that have no blob. */
function contentOf(
  parts: Pick<ImageParts, 'content' | 'layers' | 'snapshotter'>,
  chains: ReadonlyMap<string, ChainId>,
): ContentSource {
  async function* read(target: Pick<Descriptor, 'digest' | 'size'>, options: ReadOptions = {}): Bytes {
    const chain = chains.get(target.digest);
    if (!chain || (await parts.content.has(target))) return yield* parts.content.read(target, options);
    const layer = await layerRecord(parts, target.digest, chain, options.signal);
    const plain = { ...layer, blob: { ...layer.blob, digest: target.digest, size: target.size }, stored: false };
    let skip = options.offset ?? 0;
    for await (const chunk of layerTar(parts, plain, chain, options.signal)) {
      if (skip < chunk.byteLength) yield chunk.subarray(skip);
      skip = Math.max(0, skip - chunk.byteLength);
    }
  }
  return { read };
}

type ReadOptions = { offset?: number; signal?: AbortSignal };

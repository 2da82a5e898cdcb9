import { errorCode } from '../../base/errors.ts';
import type { ContentSource } from '../../content/content-store.ts';
import { parseImageConfig } from '../../oci/image-config.ts';
import { isIndex, isManifest, parseIndex, parseManifest, readDocument } from '../../content/children.ts';
import { type Descriptor, MEDIA_TYPES } from '../../oci/descriptor.ts';
import type { ChainId, Digest } from '../../oci/digest.ts';
import { platformDistance } from '../../oci/platform.ts';
import type { CollectedBlobs } from '../../registry/server/repositories.ts';
import type { ManifestRecord, SharedStore } from '../../registry/server/repository-links.ts';
import { recordImage, storeConfig } from '../images/create-image.ts';
import { chainOver, unpackLayer } from '../images/layers.ts';
import type { ImageParts } from '../images/parts.ts';
import { underLease } from '../images/under-lease.ts';
import type { RegistryRoots } from './registry-roots.ts';

/** A blob that was pushed waits so long for the manifest that names it. */
const GRACE_MS = 24 * 3600_000;
const MAX_REMEMBERED = 100;
const CONFIGS: readonly string[] = [MEDIA_TYPES.ociConfig, MEDIA_TYPES.dockerConfig];
const LAYERS: readonly string[] = [
  MEDIA_TYPES.ociLayer,
  MEDIA_TYPES.ociLayerGzip,
  MEDIA_TYPES.ociLayerZstd,
  MEDIA_TYPES.dockerLayer,
  MEDIA_TYPES.dockerLayerGzip,
];

/** The engine's blobs as the served registry shares them: what is pushed with a tag becomes an image. */
export class EngineStore implements SharedStore {
  readonly #parts: ImageParts;
  readonly #roots: RegistryRoots;

  /** The image that a manifest or index was made, until the tag is on it. */
  readonly #admitted = new Map<Digest, Digest>();

  constructor(parts: ImageParts, roots: RegistryRoots) {
    this.#parts = parts;
    this.#roots = roots;
  }

  hold(digests: Iterable<Digest>): Disposable {
    const lease = this.#parts.leases.acquire('registry');
    for (const digest of digests) lease.add('blob', digest);
    return lease;
  }

  /** Unpacks the image that a tag is put on; an index is the one of its images that fits this machine. */
  async admit(_repository: string, manifest: ManifestRecord, tags: readonly string[]): Promise<void> {
    // What another push of the same made stays: it says the same.
    if (tags.length === 0) return;
    const chosen = await this.#choose(manifest);
    if (!chosen || !(await this.#parts.content.has(chosen))) return;
    const { config, layers } = parseManifest(await readDocument(this.#parts.content, chosen));
    if (!CONFIGS.includes(config.mediaType) || !layers.every(({ mediaType }) => LAYERS.includes(mediaType))) return;
    const text = await imageDocument(this.#parts.content, config, layers.length);
    if (text === undefined) return;
    await underLease(this.#parts, 'registry push', async (lease) => {
      for (const { digest } of [chosen, config, ...layers]) lease.add('blob', digest);
      const stored = await storeConfig(this.#parts, text, lease);
      const diffIds = stored.config.rootfs.diff_ids;
      let parent: ChainId | undefined;
      for (const [index, diffId] of diffIds.entries()) {
        lease.add('snapshot', chainOver(parent, diffId));
        parent = (await unpackLayer(this.#parts, layers[index]!, diffId, { parent, lease })).chain;
      }
      const { mediaType, digest, size } = chosen;
      await this.#parts.db.durableTransaction(() =>
        recordImage(this.#parts, stored, { manifest: { mediaType, digest, size } }),
      );
      if (this.#admitted.size >= MAX_REMEMBERED) this.#admitted.delete(this.#admitted.keys().next().value!);
      this.#admitted.set(manifest.digest, stored.id);
    });
  }

  admitted(manifest: Digest): Digest | undefined {
    return this.#admitted.get(manifest);
  }

  async collect(): Promise<CollectedBlobs> {
    this.#roots.forget(Date.now() - GRACE_MS);
    const { blobs, bytes } = await this.#parts.collector.collectAll();
    return { blobs, bytes };
  }

  async #choose({ mediaType, digest, size }: ManifestRecord): Promise<Descriptor | undefined> {
    const { content, platform } = this.#parts;
    if (isManifest(mediaType)) return { mediaType, digest, size };
    if (!isIndex(mediaType)) return undefined;
    const { manifests } = parseIndex(await readDocument(content, { digest, size }));
    return manifests
      .filter((one) => isManifest(one.mediaType) && one.platform)
      .map((one) => ({ one, distance: platformDistance(platform, one.platform!) }))
      .filter((fitting): fitting is { one: Descriptor; distance: number } => fitting.distance !== undefined)
      .sort((a, b) => a.distance - b.distance)[0]?.one;
  }
}

/** The config of an image; undefined for what only calls itself one, and is kept as it came. */
async function imageDocument(source: ContentSource, config: Descriptor, layers: number): Promise<string | undefined> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await readDocument(source, config));
    return parseImageConfig(text).rootfs.diff_ids.length === layers ? text : undefined;
  } catch (error) {
    if (error instanceof TypeError || ['corrupt', 'too-large'].includes(errorCode(error))) return undefined;
    throw error;
  }
}

import type { AuthConfig } from '../../api/auth.ts';
import type { Inventory } from '../../api/inventory.ts';
import type { Filters } from '../../api/filters.ts';
import type {
  ImageDeleteItem,
  ImageHistoryItem,
  ImageInspect,
  ImageSummary,
  PruneImagesReport,
} from '../../api/image.ts';
import { EngineError, errorCode } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Bytes } from '../../content/content-store.ts';
import type { ChainId, Digest } from '../../oci/digest.ts';
import type { ImageConfig } from '../../oci/image.ts';
import { familiarName, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { ImageRecord } from '../../state/images.ts';
import type { ContainerCommitter, ContainerImages, ResolvedImage } from '../containers/parts.ts';
import type { BootstrapRequest, FsckReport, ImageService } from '../engine.ts';
import { chainsOf } from '../gc.ts';
import { bootstrapImage } from './bootstrap.ts';
import { commitImage, type CommitRequest } from './commit.ts';
import { registerImage } from './create-image.ts';
import { imageHistory } from './history.ts';
import { imageInventory } from './inventory.ts';
import { importImage, type ImportOptions } from './import.ts';
import { inspectImage } from './inspect.ts';
import { checkImages, type FsckOptions } from './fsck.ts';
import { layersSize, listImages, type ListOptions } from './list.ts';
import { loadImages, type LoadOptions } from './load.ts';
import { eventAttributes, nameImage, targetReference } from './names.ts';
import { manifestSummaries, shownDescriptor, targetsOf } from './manifests.ts';
import type { ImageParts } from './parts.ts';
import { pruneImages } from './prune.ts';
import { needRegistry, pullImage, type PullOptions } from './pull.ts';
import { pushImage, type PushOptions } from './push.ts';
import { removeImage, type RemoveOptions } from './remove.ts';
import { isIdOf, resolveImage } from './resolve.ts';
import { ownTarget } from './targets.ts';
import { saveImages, type SaveOptions } from './save.ts';

/** The verbs on images: their table of contents, each in a file of its own. */
export class Images implements ImageService, ContainerImages, ContainerCommitter {
  readonly #parts: ImageParts;

  constructor(parts: ImageParts) {
    this.#parts = parts;
  }

  async list(options?: ListOptions): Promise<ImageSummary[]> {
    const summaries = listImages(this.#parts, options);
    if (options?.manifests !== true) return summaries;
    return Promise.all(summaries.map(async (summary) => ({ ...summary, ...(await this.#manifests(summary.Id)) })));
  }

  async inspect(name: string, options: { platform?: string; manifests?: boolean } = {}): Promise<ImageInspect> {
    const image = this.record(name, options.platform);
    const document = inspectImage(this.#parts, image);
    return options.manifests === true ? { ...document, ...(await this.#manifests(image.id)) } : document;
  }

  /** Of an image whose names stand for an index: that, and what it has. */
  async #manifests(id: string): Promise<Pick<ImageSummary, 'Descriptor' | 'Manifests'>> {
    const targets = targetsOf(this.#parts, id as Digest);
    if (targets.length === 0) return {};
    const manifests = await Promise.all(targets.map((target) => manifestSummaries(this.#parts, target)));
    return { Descriptor: shownDescriptor(targets[0]!), Manifests: manifests.flat() };
  }

  async history(name: string, options: { platform?: string } = {}): Promise<ImageHistoryItem[]> {
    return imageHistory(this.#parts, this.record(name, options.platform));
  }

  async inventory(name: string, options: { platform?: string; signal?: AbortSignal } = {}): Promise<Inventory> {
    return imageInventory(this.#parts, this.record(name, options.platform), options);
  }

  async tag(source: string, repository: string, tag?: string): Promise<void> {
    const reference = targetReference(repository, tag);
    const image = this.record(source);
    const target = ownTarget(this.#parts, source, image.id);
    await this.#parts.db.durableTransaction(() => nameImage(this.#parts, image.id, reference, target));
    this.#parts.publish('tag', image.id, eventAttributes(image, reference));
  }

  async remove(name: string, options: RemoveOptions & { platforms?: string[] } = {}): Promise<ImageDeleteItem[]> {
    const ticket = this.#parts.trash?.ticket();
    // An image is of one platform here: another one is not there to be removed.
    for (const platform of options.platforms ?? []) this.record(name, platform);
    return removeImage(this.#parts, name, { ...options, ticket });
  }

  prune(filters: Filters): Promise<PruneImagesReport> {
    return pruneImages(this.#parts, filters);
  }

  async save(names: readonly string[], options?: SaveOptions): Promise<Bytes> {
    return saveImages(this.#parts, names, options);
  }

  async load(archive: Bytes, options?: LoadOptions): Promise<void> {
    this.#parts.admit?.();
    return loadImages(this.#parts, archive, options);
  }

  async import(archive: Bytes, options: ImportOptions = {}): Promise<{ id: string }> {
    this.#parts.admit?.();
    return importImage(this.#parts, archive, options);
  }

  async pull(name: string, options: PullOptions = {}): Promise<void> {
    this.#parts.admit?.();
    await pullImage(this.#parts, name, options);
  }

  async push(name: string, options: PushOptions = {}): Promise<void> {
    await pushImage(this.#parts, name, options);
  }

  async search(
    term: string,
    options: { limit?: number; filters?: Filters; auth?: AuthConfig | undefined },
  ): Promise<Record<string, unknown>[]> {
    const { registry } = this.#parts;
    if (!registry) throw new EngineError('unavailable', `cannot search for ${term}: this engine has no registry yet`);
    return registry.search(term, options);
  }

  async distribution(name: string, auth?: AuthConfig): Promise<Record<string, unknown>> {
    const reference = withDefaultTag(parseReference(name));
    return needRegistry(this.#parts.registry, reference).distribution(reference, { auth });
  }

  async bootstrap(request: BootstrapRequest, options?: OperationOptions): Promise<{ id: string }> {
    this.#parts.admit?.();
    return bootstrapImage(this.#parts, request, options);
  }

  fsck(options?: FsckOptions): Promise<FsckReport> {
    return checkImages(this.#parts, options);
  }

  /** The record of the image a person means. Throws `not-found`, `invalid-argument`. */
  record(name: string, platform?: string): ImageRecord {
    return resolveImage(this.#parts.images, name, platform);
  }

  /** The image to make a container or another image of. Throws `forbidden` when the policy has something against it. */
  async resolve(name: string, platform?: string): Promise<ResolvedImage> {
    const image = this.record(name, platform);
    const { id, config, chain, manifest } = image;
    const { images, policy } = this.#parts;
    const reference = isIdOf(image, name) ? undefined : withDefaultTag(parseReference(name));
    policy.checkUse(name, reference, { names: images.references(id), manifest });
    this.#parts.used?.(id);
    return { id, config, chain };
  }

  /** Layers, not only parents: an image counts as made from another when it stands on all of its layers. */
  async descendants(name: string): Promise<ReadonlySet<string>> {
    let ancestor: ImageRecord;
    try {
      ancestor = this.record(name);
    } catch (error) {
      if (errorCode(error) === 'not-found') return new Set();
      throw error;
    }
    const { images } = this.#parts;
    const isChild = (image: ImageRecord): boolean =>
      ancestor.chain === undefined ? image.id === ancestor.id : chainsOf(image.config).includes(ancestor.chain);
    return new Set(
      images
        .list()
        .filter((image) => image.id === ancestor.id || isChild(image))
        .map((image) => image.id),
    );
  }

  /** Bytes of all layers, each counted once (`docker system df`). */
  layersSize(): number {
    return layersSize(this.#parts);
  }

  get count(): number {
    return this.#parts.images.size;
  }

  /** The image's half of `docker commit`. */
  async commit(request: CommitRequest): Promise<{ id: string; reference: string | undefined }> {
    this.#parts.admit?.();
    return commitImage(this.#parts, request);
  }

  /** Records the image of this document, whose layers are snapshots. Idempotent. */
  async create(config: ImageConfig, chain: ChainId | undefined): Promise<Digest> {
    return (await registerImage(this.#parts, config, chain)).id;
  }

  /** Throws `invalid-argument` (`invalid reference format`); gives the name with its tag. */
  checkReference(text: string): string {
    return familiarName(targetReference(text));
  }

  /** Keeps layers from collection until it is disposed; those that nothing refers to then are collected. */
  async lease(purpose: string): Promise<AsyncDisposable & { keep(chain: ChainId): void }> {
    const lease = this.#parts.leases.acquire(purpose);
    return {
      keep: (chain) => lease.add('snapshot', chain),
      [Symbol.asyncDispose]: async () => {
        lease.release();
        await this.#parts.collector.collect({ blobs: [], snapshots: lease.names('snapshot') });
      },
    };
  }
}

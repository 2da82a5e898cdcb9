import { errorMessage } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { blobDigest } from '../../content/blob-digest.ts';
import { parseManifest, readDocument } from '../../content/children.ts';
import { bytesOf } from '../../content/bytes.ts';
import type { BlobInfo } from '../../content/content-store.ts';
import type { Digest } from '../../oci/digest.ts';
import { parseReference } from '../../oci/reference.ts';
import { digestLayer } from '../../snapshot/diff-layer.ts';
import type { ImageRecord } from '../../state/images.ts';
import { chainsOf } from '../gc.ts';
import type { FsckReport } from '../engine.ts';
import type { ImageParts } from './parts.ts';
import { imagePlatform } from './resolve.ts';
import { underLease } from './under-lease.ts';

export interface FsckOptions extends OperationOptions {
  readonly repair?: boolean;
}

type Problem = FsckReport['problems'][number];

/**
 * Reads every blob and every layer that can be made again, and looks for what records refer to. With `repair`, what can be
 * had again is: documents from the database, blobs from the registry they came from; orphans are deleted.
 */
export async function checkImages(parts: ImageParts, options: FsckOptions = {}): Promise<FsckReport> {
  const check = new Check(parts, options);
  await check.blobs();
  await check.images();
  await check.layers();
  return check.report();
}

class Check {
  readonly #parts: ImageParts;
  readonly #options: FsckOptions;
  readonly #problems: Problem[] = [];
  #blobs = 0;
  #bytes = 0;

  constructor(parts: ImageParts, options: FsckOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  report(): FsckReport {
    return { blobs: this.#blobs, bytes: this.#bytes, problems: this.#problems };
  }

  async blobs(): Promise<void> {
    const { content, collector } = this.#parts;
    for await (const blob of content.list()) {
      this.#options.signal?.throwIfAborted();
      this.#blobs++;
      this.#bytes += blob.size;
      this.#options.onProgress?.({
        id: shortId(blob.digest),
        status: 'Checking',
        current: blob.size,
        total: blob.size,
      });
      const damage = await this.#damage(blob);
      const used = collector.reachable().blobs.has(blob.digest);
      if (!used) {
        if (this.#options.repair) await collector.collect({ blobs: [blob.digest], snapshots: [] });
        this.#found('orphan', blob.digest, 'nothing refers to this blob', this.#options.repair);
      } else if (damage !== undefined) {
        if (this.#options.repair) await content.delete(blob.digest);
        this.#found('damaged blob', blob.digest, damage, await this.#bringBack(blob.digest));
      }
    }
  }

  /** What is wrong with the blob; undefined when nothing is. */
  async #damage(blob: BlobInfo): Promise<string | undefined> {
    try {
      const found = await blobDigest(this.#parts.content.path(blob.digest), blob.digest, this.#signal());
      return found.digest === blob.digest ? undefined : `content is ${found.digest} now (${found.size} bytes)`;
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      return errorMessage(error);
    }
  }

  /** Whether each image has its document, its manifest and its layers. */
  async images(): Promise<void> {
    const { content, images, layers, snapshotter } = this.#parts;
    const missing = new Set<Digest>();
    const want = async (digest: Digest): Promise<void> => {
      if (!(await content.stat(digest))) missing.add(digest);
    };
    for (const image of images.list()) {
      await want(image.id);
      if (image.manifest) await want(image.manifest.digest);
      for (const [index, diffId] of image.config.rootfs.diff_ids.entries()) {
        const chain = chainsOf(image.config)[index]!;
        if (snapshotter.stat(chain)?.kind !== 'committed') {
          this.#found(
            'missing layer',
            diffId,
            `image ${shortId(image.id)} has no snapshot ${chain}: remove and load or pull it again`,
          );
        }
        const layer = layers.get(diffId);
        if (!layer)
          this.#found('missing record', diffId, `the layer of image ${shortId(image.id)} cannot be saved or pushed`);
        else if (layer.stored) await want(layer.blob.digest);
      }
    }
    for (const digest of missing) {
      if (this.#problems.some((problem) => problem.what === digest)) continue;
      this.#found('missing blob', digest, 'an image refers to it', await this.#bringBack(digest));
    }
  }

  /** Layers whose tar is made again have their digest in their name: their files can be checked by it. */
  async layers(): Promise<void> {
    const { layers, snapshotter } = this.#parts;
    for (const { name, kind, layer } of snapshotter.list()) {
      if (kind !== 'committed' || !layer || layers.get(layer.diffId)?.stored !== false) continue;
      this.#options.onProgress?.({ id: shortId(layer.diffId), status: 'Checking layer' });
      const found = await digestLayer(snapshotter.changesDir(name), this.#signal());
      if (found.diffId !== layer.diffId) {
        this.#found('damaged layer', layer.diffId, `its files are those of ${found.diffId} now`);
      }
    }
  }

  #found(kind: string, what: string, detail: string, repaired = false): void {
    this.#problems.push({ kind, what, detail, repaired });
  }

  /** Whether the blob is there again: documents are in the database as well, all else is where it was pulled from. */
  async #bringBack(digest: Digest): Promise<boolean> {
    if (!this.#options.repair) return false;
    const { content, images } = this.#parts;
    const document = images.get(digest)?.configText;
    if (document !== undefined) {
      const bytes = Buffer.from(document);
      await content.write({ digest, size: bytes.byteLength }, bytesOf(bytes));
      return true;
    }
    for (const image of images.list()) if (this.#refersTo(image, digest) && (await this.#fetchAgain(image))) break;
    return (await content.stat(digest)) !== undefined;
  }

  #refersTo(image: ImageRecord, digest: Digest): boolean {
    if (image.manifest?.digest === digest) return true;
    return image.config.rootfs.diff_ids.some((diffId) => this.#parts.layers.get(diffId)?.blob.digest === digest);
  }

  async #fetchAgain(image: ImageRecord): Promise<boolean> {
    const { content, images, registry } = this.#parts;
    const name = images.references(image.id).find((reference) => reference.reference.includes('@'));
    if (!registry || !name) return false;
    try {
      await underLease(this.#parts, 'repair', async (lease) => {
        const reference = parseReference(name.reference);
        const platform = imagePlatform(image);
        const fetched = await registry.fetch(reference, { content, lease, platform, ...this.#signal() });
        const { layers } = parseManifest(await readDocument(content, fetched.manifest));
        for (const layer of layers) await fetched.fetchLayer(layer, this.#signal());
      });
      return true;
    } catch (error) {
      this.#options.onProgress?.({ id: shortId(image.id), status: `Cannot fetch again: ${errorMessage(error)}` });
      return false;
    }
  }

  #signal(): { signal?: AbortSignal } {
    return this.#options.signal ? { signal: this.#options.signal } : {};
  }
}

import { errorMessage } from '../../../base/errors.ts';
import { KeyedMutex } from '../../../base/mutex.ts';
import type { Descriptor } from '../../../oci/descriptor.ts';
import type { DiffId, Digest } from '../../../oci/digest.ts';
import type { BuildRecord } from '../../../state/build-records.ts';
import { chainOver, unpackLayer } from '../../images/layers.ts';
import type { ImageParts } from '../../images/parts.ts';
import type { CacheImport } from '../step-cache.ts';
import type { PortableRecord } from './cache-config.ts';
import type { CacheStore } from './cache-store.ts';

/** Steps by their keys, from a cache that was exported. Layers come when a step needs them, and not before. */
export class KeyedImport implements CacheImport {
  readonly #parts: ImageParts;
  readonly #records: ReadonlyMap<Digest, PortableRecord>;
  readonly #blobs: ReadonlyMap<DiffId, Descriptor>;
  readonly #store: CacheStore;
  readonly #signal: AbortSignal | undefined;
  readonly #warn: (message: string) => void;
  readonly #locks = new KeyedMutex();

  constructor(
    parts: ImageParts,
    cache: {
      readonly records: ReadonlyMap<Digest, PortableRecord>;
      readonly blobs: ReadonlyMap<DiffId, Descriptor>;
      readonly store: CacheStore;
      readonly signal: AbortSignal | undefined;
      readonly warn: (message: string) => void;
    },
  ) {
    this.#parts = parts;
    this.#records = cache.records;
    this.#blobs = cache.blobs;
    this.#store = cache.store;
    this.#signal = cache.signal;
    this.#warn = cache.warn;
  }

  async find(key: Digest, { parent, lease }: Parameters<CacheImport['find']>[1]): Promise<BuildRecord | undefined> {
    const record = this.#records.get(key);
    if (!record) return undefined;
    const { layer } = record;
    const found: BuildRecord = { ...record, layer: undefined, usedAt: Date.now(), uses: 1 } as BuildRecord;
    if (!layer) return found;
    // What it was made on is not what is here: the step has to be made again.
    if (layer.over !== parent) return undefined;
    const chain = chainOver(parent, layer.diffId);
    lease.add('snapshot', chain);
    const here = this.#parts.snapshotter.stat(chain)?.layer;
    if (here) return { ...found, layer: { chain, diffId: layer.diffId, size: here.size } };
    const blob = this.#blobs.get(layer.diffId);
    if (!blob) return undefined;
    try {
      lease.add('blob', blob.digest);
      await this.#fetch(blob);
      const made = await unpackLayer(this.#parts, blob, layer.diffId, { parent, lease, signal: this.#signal });
      return { ...found, layer: { chain: made.chain, diffId: made.diffId, size: made.size } };
    } catch (error) {
      this.#signal?.throwIfAborted();
      this.#warn(`cache ${this.#store.name}: ${errorMessage(error)}`);
      return undefined;
    }
  }

  async #fetch(blob: Descriptor): Promise<void> {
    const { content } = this.#parts;
    await using _lock = await this.#locks.acquire(blob.digest);
    if (await content.has(blob)) return;
    await content.write(blob, this.#store.blob(blob), this.#signal ? { signal: this.#signal } : {});
  }
}

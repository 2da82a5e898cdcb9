import { errorCode } from '../base/errors.ts';
import type { ContentStore } from '../content/content-store.ts';
import { chainIds, type ChainId, type DiffId, type Digest, isDigest } from '../oci/digest.ts';
import type { ImageConfig } from '../oci/image.ts';
import type { Snapshotter } from '../snapshot/snapshotter.ts';
import type { ImageStore } from '../state/images.ts';
import type { LayerStore } from '../state/layers.ts';
import type { Leases } from '../state/leases.ts';

export interface CollectorParts {
  readonly images: ImageStore;
  readonly layers: LayerStore;
  readonly leases: Leases;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  /** Layers that something other than images keeps: records of the build cache. */
  readonly otherChains?: () => Iterable<ChainId>;
  /** Whether one of them is surely kept so: a quick look at what is most often asked about. */
  readonly keepsChain?: (chain: string) => boolean;
  /** Blobs that something other than images keeps: a registry that we serve. */
  readonly otherBlobs?: () => Iterable<Digest>;
}

/** Things that may have become garbage; what of them is still referred to stays. */
export interface Candidates {
  readonly blobs: Iterable<string>;
  readonly snapshots: Iterable<string>;
}

export interface Collected {
  readonly blobs: number;
  readonly snapshots: number;
  /** Of the blobs alone. */
  readonly bytes: number;
}

/**
 * Roots → reachable → delete the rest. Roots are images, their names, leases, active snapshots (containers, builds)
 * and build records.
 *
 * Safe beside everything that adds content: what it adds is leased before it can be seen, marking reads memory and the
 * database without a pause, and each deletion takes the name away in the same stretch as the last look at the marks.
 */
export class Collector {
  readonly #parts: CollectorParts;
  #running: Promise<unknown> = Promise.resolve();
  /** The sweep that begins when the one that runs now is over: whoever comes until then adds to it. */
  #next:
    | { readonly candidates: { blobs: Set<string>; snapshots: Set<string> }; readonly swept: Promise<Collected> }
    | undefined;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  /** Everything in the stores is a candidate. One at a time: a second call waits for the first. */
  collectAll(): Promise<Collected> {
    return this.#alone(async () => {
      const blobs: string[] = [];
      for await (const blob of this.#parts.content.list()) blobs.push(blob.digest);
      const snapshots = this.#parts.snapshotter.list().filter((snapshot) => snapshot.kind === 'committed');
      const collected = await this.#sweep({ blobs, snapshots: snapshots.map((snapshot) => snapshot.name) });
      const { layers } = this.reachable();
      const { images } = this.#parts;
      const named = new Set(images.references().map(({ target }) => target?.digest));
      for (const { digest } of images.targets.list()) if (!named.has(digest)) images.targets.delete(digest);
      const rows = this.#parts.layers.list();
      await this.#parts.layers.delete(rows.flatMap(({ diffId }) => (layers.has(diffId) ? [] : [diffId])));
      return collected;
    });
  }

  /**
   * Deletes those of the candidates that nothing refers to, and the blobs of the layers among them. Of many at once only two
   * sweeps come: each answers with what the whole of its own deleted.
   */
  async collect(candidates: Candidates): Promise<Collected> {
    // A build that made nothing new has used only what is kept. Who takes the last reference to it collects it then.
    const snapshots = [...candidates.snapshots].filter((name) => !this.#isKept(name));
    const blobs = [...candidates.blobs];
    if (snapshots.length + blobs.length === 0) return { blobs: 0, snapshots: 0, bytes: 0 };
    if (!this.#next) {
      const all = { blobs: new Set<string>(), snapshots: new Set<string>() };
      const swept = this.#alone(() => {
        this.#next = undefined;
        return this.#sweep(all);
      });
      this.#next = { candidates: all, swept };
    }
    const { candidates: all, swept } = this.#next;
    for (const blob of blobs) all.blobs.add(blob);
    for (const snapshot of snapshots) all.snapshots.add(snapshot);
    return swept;
  }

  #isKept(chain: string): boolean {
    const { images, keepsChain } = this.#parts;
    return keepsChain?.(chain) === true || images.hasChain(chain);
  }

  /** Whether something refers to this very chain by now; what it stands on has children, and refuses to go. */
  #isRoot(chain: string): boolean {
    if (this.#isKept(chain) || this.#parts.leases.has('snapshot', chain)) return true;
    for (const other of this.#parts.otherChains?.() ?? []) if (other === chain) return true;
    return false;
  }

  /** Deletes active snapshots that `isOwned` does not know: half-made layers and containers of an engine that died. For the start. */
  async collectActive(isOwned: (key: string) => boolean): Promise<void> {
    for (const snapshot of this.#parts.snapshotter.list()) {
      if (snapshot.kind === 'active' && !isOwned(snapshot.name)) await this.#parts.snapshotter.remove(snapshot.name);
    }
  }

  /** What is in use at this moment. */
  reachable(): { readonly blobs: Set<string>; readonly snapshots: Set<string>; readonly layers: Set<string> } {
    const { images, layers, leases, snapshotter, otherBlobs, otherChains } = this.#parts;
    const kept = { blobs: leases.names('blob'), snapshots: leases.names('snapshot'), layers: new Set<string>() };
    for (const image of images.roots()) {
      kept.blobs.add(image.id);
      if (image.manifest) kept.blobs.add(image.manifest.digest);
      for (const diffId of image.config.rootfs.diff_ids) kept.layers.add(diffId);
      for (const chain of chainsOf(image.config)) kept.snapshots.add(chain);
    }
    for (const { target } of images.references()) {
      if (!target) continue;
      kept.blobs.add(target.digest);
      for (const digest of images.targets.get(target.digest)?.blobs ?? []) kept.blobs.add(digest);
    }
    for (const chain of otherChains?.() ?? []) kept.snapshots.add(chain);
    for (const digest of otherBlobs?.() ?? []) kept.blobs.add(digest);
    const snapshots = new Map(snapshotter.list().map((snapshot) => [snapshot.name, snapshot]));
    for (const { kind, parent } of snapshots.values()) if (kind === 'active' && parent) kept.snapshots.add(parent);
    const seen = new Set<string>();
    for (const name of kept.snapshots) {
      let snapshot = snapshots.get(name);
      while (snapshot && !seen.has(snapshot.name)) {
        seen.add(snapshot.name);
        kept.snapshots.add(snapshot.name);
        if (snapshot.layer) kept.layers.add(snapshot.layer.diffId);
        snapshot = snapshot.parent === undefined ? undefined : snapshots.get(snapshot.parent);
      }
    }
    for (const diffId of kept.layers) {
      const layer = layers.get(diffId as Digest);
      if (layer?.stored) kept.blobs.add(layer.blob.digest);
    }
    return kept;
  }

  async #sweep(candidates: Candidates): Promise<Collected> {
    const { content, layers, snapshotter } = this.#parts;
    let snapshots = 0;
    const blobs = new Set(candidates.blobs);
    // One look at all, since most are wanted; what seems unwanted is looked at again when it goes.
    const { blobs: markedBlobs, snapshots: marked } = this.reachable();
    for (const digest of blobs) if (markedBlobs.has(digest)) blobs.delete(digest);
    const removed = new Set<DiffId>();
    // Children first: a snapshot with children refuses to go.
    for (const name of deepestFirst(snapshotter, candidates.snapshots)) {
      const snapshot = snapshotter.stat(name);
      if (marked.has(name) || snapshot?.kind !== 'committed' || this.#isRoot(name)) continue;
      try {
        await snapshotter.remove(name);
      } catch (error) {
        // Someone began to build on it just now, which is as good as a reference.
        if (errorCode(error) !== 'conflict') throw error;
        continue;
      }
      snapshots++;
      if (snapshot.layer) removed.add(snapshot.layer.diffId);
    }
    const kept = removed.size > 0 ? this.reachable().layers : removed;
    const gone = [...removed].filter((diffId) => !kept.has(diffId));
    for (const diffId of gone) {
      const layer = layers.get(diffId);
      if (layer?.stored) blobs.add(layer.blob.digest);
    }
    await layers.delete(gone);
    return { snapshots, ...(await this.#sweepBlobs(content, blobs)) };
  }

  async #sweepBlobs(content: ContentStore, blobs: Iterable<string>): Promise<{ blobs: number; bytes: number }> {
    let count = 0;
    let bytes = 0;
    const found = new Map<Digest, number>();
    for (const digest of blobs) {
      const blob = isDigest(digest) ? await content.stat(digest) : undefined;
      if (blob) found.set(blob.digest, blob.size);
    }
    if (found.size === 0) return { blobs: 0, bytes: 0 };
    const kept = this.reachable();
    const deletions: Promise<void>[] = [];
    for (const [digest, size] of found) {
      if (kept.blobs.has(digest)) continue;
      deletions.push(content.delete(digest));
      count++;
      bytes += size;
    }
    await Promise.all(deletions);
    return { blobs: count, bytes };
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#running.then(work, work);
    this.#running = result.catch(() => undefined);
    return result;
  }
}

const CHAINS = new WeakMap<ImageConfig, readonly ChainId[]>();

/** The chain ids of an image's layers, bottom first. Computed once for a document. */
export function chainsOf(config: ImageConfig): readonly ChainId[] {
  let chains = CHAINS.get(config);
  if (!chains) {
    chains = chainIds(config.rootfs.diff_ids);
    CHAINS.set(config, chains);
  }
  return chains;
}

/** The candidates, each after all candidates that stand on it. */
function deepestFirst(snapshotter: Snapshotter, names: Iterable<string>): string[] {
  const depth = (name: string): number => {
    let count = 0;
    for (let at = snapshotter.stat(name); at?.parent !== undefined; at = snapshotter.stat(at.parent)) count++;
    return count;
  };
  return [...new Set(names)]
    .map((name) => [name, depth(name)] as const)
    .sort((a, b) => b[1] - a[1])
    .map(([name]) => name);
}

import type { ChainId, DiffId, Digest } from '../../oci/digest.ts';
import type { HistoryEntry } from '../../oci/image.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { BuildRecord, BuildRecords, StepInput } from '../../state/build-records.ts';
import type { Lease } from '../../state/leases.ts';
import type { StepOrigin } from './build-event.ts';

/** What a step is besides its key, for places that know it by something else. */
export interface ImportedStep {
  readonly kind: string;
  readonly text: string;
  readonly inputs: readonly StepInput[];
  readonly slot: string;
  /** What it stands on. */
  readonly state: {
    readonly key: Digest;
    readonly diffIds: readonly DiffId[];
    readonly history: Iterable<HistoryEntry> & { readonly length: number };
  };
  /** RFC 3339: the time that it gets, where that is not the time when it is run. */
  readonly createdAt: string | undefined;
  /** Its result is what its command prints: a record without that is none of it. */
  readonly givesOutput?: boolean;
}

/** Another place that knows steps: a cache that was exported to a registry, or to a directory. */
export interface CacheImport {
  /**
   * The record of a step, its layer made (unpacked over `parent`, on the lease) so that it can be used like an own one;
   * undefined when it is not known there. A failure to reach the place is a warning of its own, not a throw.
   */
  find(
    key: Digest,
    place: { readonly parent: ChainId | undefined; readonly lease: Lease; readonly step: ImportedStep },
  ): Promise<BuildRecord | undefined>;
}

export interface WantedStep {
  readonly key: Digest;
  /** The layers that it stands on. */
  readonly chain: ChainId | undefined;
  readonly lease: Lease;
  readonly step: ImportedStep;
  readonly signal: AbortSignal;
  /** What was known before the build began is not to be used. */
  readonly fresh: boolean;
  readonly turn: CacheTurn;
  readonly imports: readonly CacheImport[];
  /** Called when it has to be made, before it is. */
  readonly onMiss: () => void;
  readonly make: () => Promise<BuildRecord>;
}

/** A time in which one build uses the cache. */
export interface CacheTurn extends Disposable {
  /** When it began, in the cache's own count. */
  readonly since: number;
}

export interface StepResult {
  readonly record: BuildRecord;
  readonly origin: StepOrigin;
}

/** Results of steps by their keys: those kept, and those that some build makes now. One for the whole engine. */
export class StepCache {
  readonly records: BuildRecords;
  readonly #snapshotter: Pick<Snapshotter, 'stat' | 'sync'>;
  /** Made, and not written yet: their layers may not be on the disk. */
  readonly #pending = new Map<Digest, BuildRecord>();
  readonly #running = new Map<string, { readonly work: Promise<BuildRecord>; readonly fresh: boolean }>();
  /** Results that builds which still run may share though they want nothing older than themselves. */
  readonly #fresh = new Map<string, { readonly record: BuildRecord; readonly began: number }>();
  readonly #turns = new Set<CacheTurn>();
  #count = 0;

  constructor(records: BuildRecords, snapshotter: Pick<Snapshotter, 'stat' | 'sync'>) {
    this.records = records;
    this.#snapshotter = snapshotter;
  }

  /** To be had for as long as a build asks for steps. */
  begin(): CacheTurn {
    const turn: CacheTurn = { since: ++this.#count, [Symbol.dispose]: () => this.#end(turn) };
    this.#turns.add(turn);
    return turn;
  }

  /**
   * The record of a step: kept, imported, from another build that makes it now, or made. Builds without a cache share
   * what they make at the same time too: it is run once, and is as new as all of them.
   */
  async get(wanted: WantedStep): Promise<StepResult> {
    const { key, chain, fresh, signal, turn } = wanted;
    const place = `${key} ${chain ?? ''}`;
    if (fresh) {
      const made = this.#fresh.get(place);
      if (made && made.began > turn.since && this.#fits(made.record, wanted))
        return { record: made.record, origin: 'shared' };
    } else {
      const record = this.#find(key);
      if (record && this.#fits(record, wanted)) return { record, origin: 'cached' };
    }
    const running = this.#running.get(place);
    const other = fresh && running?.fresh !== true ? undefined : running?.work;
    if (other) {
      // Its failure is its own: an abort of that build is none of this one.
      const record = await Promise.race([other.catch(() => undefined), aborted(signal)]);
      signal.throwIfAborted();
      if (record && this.#fits(record, wanted)) return { record, origin: 'shared' };
      // Of all that waited, one makes it; the rest wait again.
      if (this.#running.has(place)) return this.get(wanted);
    }
    const began = ++this.#count;
    let origin: StepOrigin = 'run';
    const work = (async (): Promise<BuildRecord> => {
      if (!fresh) {
        for (const cache of wanted.imports) {
          const found = await cache.find(key, { parent: chain, lease: wanted.lease, step: wanted.step });
          if (!found || !this.#fits(found, wanted)) continue;
          this.#pending.set(key, found);
          origin = 'cached';
          return found;
        }
      }
      wanted.onMiss();
      const record = await wanted.make();
      this.#pending.set(key, record);
      return record;
    })();
    this.#running.set(place, { work, fresh });
    try {
      const record = await work;
      if (fresh && [...this.#turns].some(({ since }) => since < began)) this.#fresh.set(place, { record, began });
      return { record, origin };
    } finally {
      if (this.#running.get(place)?.work === work) this.#running.delete(place);
    }
  }

  #end(turn: CacheTurn): void {
    this.#turns.delete(turn);
    // What began before all that still run is too old for each of them.
    const oldest = Math.min(...[...this.#turns].map(({ since }) => since));
    for (const [place, { began }] of this.#fresh) if (began < oldest) this.#fresh.delete(place);
  }

  /**
   * Writes what was made since: one wait for the disk, one transaction. To be called before anything durable
   * refers to what a build made, and before its lease ends.
   */
  async flush(): Promise<void> {
    const made = [...this.#pending.values()];
    if (made.length === 0) return;
    await this.#snapshotter.sync(made.flatMap(({ layer }) => (layer ? [layer.chain] : [])));
    this.records.saveAll(made);
    for (const record of made) if (this.#pending.get(record.key) === record) this.#pending.delete(record.key);
  }

  #find(key: Digest): BuildRecord | undefined {
    return this.#pending.get(key) ?? this.records.use(key);
  }

  /** A record's layer stands on the layers that it was made on: on others it would be another. */
  #fits({ layer, output }: BuildRecord, { chain, lease, step }: WantedStep): boolean {
    if (step.givesOutput === true && output === undefined) return false;
    if (layer === undefined) return true;
    lease.add('snapshot', layer.chain);
    return this.#snapshotter.stat(layer.chain)?.parent === chain;
  }
}

/** Resolves when the signal aborts. */
function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

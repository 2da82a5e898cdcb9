import { statfs } from 'node:fs/promises';
import { statfsSync } from 'node:fs';
import type {
  TrashDocument,
  TrashEmptyReport,
  TrashKind,
  TrashOperation,
  TrashRestoreReport,
  TrashRestoreRequest,
} from '../../api/trash.ts';
import type { FactAuthor } from '../../api/why.ts';
import { presentCaller } from '../../base/caller.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import { formatNanos } from '../../base/time.ts';
import type { TrashContent, TrashEntry, TrashRecords } from '../../state/trash-records.ts';
import { presentAuthor } from '../containers/facts.ts';

/** How long and how much is kept of what was removed. */
export interface TrashPolicy {
  readonly maxAgeMs: number;
  /** Bytes, or a part of the disk (0.1). */
  readonly maxSize: { readonly bytes: number } | { readonly share: number };
}

/** Leave to put what one call removes into the trash. To be asked for first thing in the call. */
export interface TrashTicket {
  readonly operation: string;
  readonly by: FactAuthor;
}

/** What the trash does with one kind of things. */
export interface TrashShelf<C extends TrashContent> {
  /** Bytes that deleting it frees, about. */
  size(content: C): Promise<number>;
  /** Its row is gone: deletes its files. Idempotent; what a crash leaves of them the next start sweeps. */
  dispose(content: C): Promise<void>;
  /**
   * Brings it back. Calls `taken` in the transaction that writes it into its own table; a crash before leaves it in the
   * trash. Throws `conflict` when its name is taken.
   */
  restore(content: C, taken: () => void): Promise<void>;
}

export type TrashShelves = { readonly [K in TrashKind]: TrashShelf<Extract<TrashContent, { kind: K }>> };

export interface TrashParts {
  readonly records: TrashRecords;
  /** Undefined: nothing is put into it; what is there stays until it is too old. */
  readonly policy: TrashPolicy | undefined;
  /** A directory of the disk that it is on. */
  readonly place: string;
  readonly shelves: () => TrashShelves;
  readonly report: (message: string) => void;
  readonly now?: () => number;
}

/** Removals of one process this close together are one operation: `compose down`, `rm a b c`. */
const TOGETHER_MS = 10_000;
/** Entries at most: each is a row, and some files. */
const MAX_ENTRIES = 1000;
/** Below this part of the disk free, nothing is kept. */
const MIN_FREE = 0.05;
const MIN_FREE_BYTES = 1 << 30;
const QUIET_MS = 1000;
/** While something is in it, the disk is looked at this often. */
const WATCH_MS = 10_000;
const DEFAULT_AGE_MS = 86_400_000;

/**
 * What was removed, until it is too old, too much, or the disk needs the room. Removing something is then a matter of the
 * database: files stay where they are (those of volumes are renamed), so a crash between any two lines leaves either the
 * thing or its entry here.
 */
export class Trash {
  readonly #parts: TrashParts;
  readonly #locks = new KeyedMutex();
  readonly #closing = new AbortController();
  /** By who asks: the operation that a next removal of theirs still belongs to. */
  readonly #recent = new Map<string, { readonly operation: string; last: number }>();
  #timer: NodeJS.Timeout | undefined;
  #due = Infinity;
  #working: Promise<unknown> = Promise.resolve();

  constructor(parts: TrashParts) {
    this.#parts = parts;
  }

  get records(): TrashRecords {
    return this.#parts.records;
  }

  /** Undefined when what is removed now is to be gone: by configuration, by the caller's wish, or because the disk is full. */
  ticket(): TrashTicket | undefined {
    const caller = presentCaller();
    if (!this.#parts.policy || caller?.trash === false) return undefined;
    if (this.#short()) {
      this.changed();
      return undefined;
    }
    return { operation: this.#operation(), by: presentAuthor() };
  }

  /** In the transaction that removes the thing. */
  put({ operation, by }: TrashTicket, content: TrashContent): void {
    this.#parts.records.add({ operation, by, removedAt: this.#now(), content });
    this.changed();
  }

  /** Something was put in, or the disk may be short of room: looks soon. */
  changed(): void {
    this.#schedule(QUIET_MS);
  }

  /** At the engine's start. */
  recover(): void {
    if (this.#parts.records.count > 0) this.changed();
  }

  async list(): Promise<TrashDocument> {
    await this.#measure();
    const operations = new Map<string, TrashEntry[]>();
    for (const entry of this.#parts.records.list().toReversed()) {
      const entries = operations.get(entry.operation);
      if (entries) entries.push(entry);
      else operations.set(entry.operation, [entry]);
    }
    const documents = [...operations].map(([id, entries]) => this.#document(id, entries));
    const size = sum(documents.flatMap(({ Items }) => Items.map(({ Size }) => Size)));
    const off = this.#parts.policy === undefined;
    return { Off: off, Operations: documents, Size: size, Limit: off ? 0 : await this.#limit() };
  }

  /** How many things, and their bytes. */
  async usage(): Promise<{ Count: number; Size: number }> {
    await this.#measure();
    const entries = this.#parts.records.list();
    return { Count: entries.length, Size: sum(entries.map(({ size }) => size ?? 0)) };
  }

  /** Bytes of the volumes in it, which are beside all else. */
  async volumeBytes(): Promise<number> {
    await this.#measure();
    return sum(this.#parts.records.list('volume').map(({ size }) => size ?? 0));
  }

  /** Throws `not-found` when there is nothing of that name, or nothing at all. */
  async restore({ Ids: ids = [] }: TrashRestoreRequest): Promise<TrashRestoreReport> {
    return this.#alone(async () => {
      const entries = this.#chosen(ids);
      const restored: TrashRestoreReport['Restored'][number][] = [];
      const problems: TrashRestoreReport['Problems'][number][] = [];
      for (const entry of entries.toSorted((a, b) => rank(a) - rank(b) || a.seq - b.seq)) {
        const { kind, record } = entry.content;
        try {
          await this.#shelf(entry.content).restore(entry.content, () => this.#parts.records.delete(entry.seq));
          restored.push({ Kind: kind, Id: record.id, Name: record.name });
        } catch (error) {
          problems.push({ Kind: kind, Name: record.name, Problem: errorMessage(error) });
        }
      }
      this.#recent.clear();
      return { Restored: restored, Problems: problems };
    });
  }

  /** Deletes for good; without ids all of it. Throws `not-found`. */
  async empty(ids: readonly string[] = []): Promise<TrashEmptyReport> {
    await this.#measure();
    return this.#alone(async () => {
      const entries = ids.length === 0 ? this.#parts.records.list() : this.#chosen(ids);
      await this.#purge(entries);
      return { Deleted: entries.length, SpaceReclaimed: sum(entries.map(({ size }) => size ?? 0)) };
    });
  }

  /** Deletes the oldest until so many bytes are free; gives how many that were. */
  async free(bytes: number): Promise<number> {
    await this.#measure();
    return this.#alone(async () => {
      let freed = 0;
      for (const entry of this.#parts.records.list()) {
        if (freed >= bytes) break;
        await this.#purge([entry]);
        freed += entry.size ?? 0;
      }
      return freed;
    });
  }

  /** One look at the bounds, and what they ask for. */
  async keep(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#due = Infinity;
    await this.#alone(async () => {
      const { records, policy } = this.#parts;
      const oldest = this.#now() - (policy?.maxAgeMs ?? DEFAULT_AGE_MS);
      const entries = records.list();
      const old = entries.filter(({ removedAt }, index) => removedAt < oldest || entries.length - index > MAX_ENTRIES);
      await this.#purge(old);
      while (this.#short() && records.count > 0) await this.#purge(records.list().slice(0, 1));
    });
    await this.#measure();
    await this.#alone(async () => {
      const entries = this.#parts.records.list();
      let excess = sum(entries.map(({ size }) => size ?? 0)) - (await this.#limit());
      for (const entry of entries) {
        if (excess <= 0) break;
        await this.#purge([entry]);
        excess -= entry.size ?? 0;
      }
    });
    if (this.#parts.records.count > 0) this.#schedule(WATCH_MS);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await this.#working;
  }

  /** The row first: what a crash leaves of the files is nobody's, and the next start sweeps it. */
  async #purge(entries: readonly TrashEntry[]): Promise<void> {
    for (const entry of entries) {
      if (this.#closing.signal.aborted) return;
      this.#parts.records.delete(entry.seq);
      await this.#shelf(entry.content).dispose(entry.content);
    }
  }

  async #measure(): Promise<void> {
    for (const { seq, size, content } of this.#parts.records.list()) {
      if (size !== undefined || this.#closing.signal.aborted) continue;
      let bytes: number;
      try {
        bytes = await this.#shelf(content).size(content);
      } catch {
        continue; // it went meanwhile
      }
      try {
        this.#parts.records.setSize(seq, bytes);
      } catch {
        return; // the disk is full: room comes first
      }
    }
  }

  #shelf<C extends TrashContent>(content: C): TrashShelf<C> {
    return this.#parts.shelves()[content.kind] as unknown as TrashShelf<C>;
  }

  #chosen(ids: readonly string[]): TrashEntry[] {
    const all = this.#parts.records.list();
    if (ids.length === 0) {
      const last = all.at(-1)?.operation;
      if (last === undefined) throw new EngineError('not-found', 'there is nothing in the trash');
      return all.filter(({ operation }) => operation === last);
    }
    const chosen = new Set<TrashEntry>();
    for (const id of ids) {
      const found = all.filter(({ operation }) => id.length >= 3 && operation.startsWith(id));
      const operations = new Set(found.map(({ operation }) => operation));
      if (operations.size > 1) {
        throw new EngineError('invalid-argument', `several operations begin with ${id}: ${[...operations].join(', ')}`);
      }
      const named = found.length > 0 ? found : all.filter((entry) => isNamed(entry, id)).slice(-1);
      if (named.length === 0) throw new EngineError('not-found', `there is nothing in the trash that is called ${id}`);
      for (const entry of named) chosen.add(entry);
    }
    return [...chosen];
  }

  /** Whether the disk is so full that nothing is kept. */
  #short(): boolean {
    const { bavail, blocks, bsize } = statfsSync(this.#parts.place);
    return bavail * bsize < Math.min(blocks * bsize * MIN_FREE, MIN_FREE_BYTES);
  }

  async #limit(): Promise<number> {
    const { policy, place } = this.#parts;
    if (!policy) return Infinity;
    if ('bytes' in policy.maxSize) return policy.maxSize.bytes;
    const { blocks, bsize } = await statfs(place);
    return Math.trunc(blocks * bsize * policy.maxSize.share);
  }

  #operation(): string {
    const caller = presentCaller();
    const { process, address, agent } = caller ?? {};
    const now = this.#now();
    for (const [who, { last }] of this.#recent) if (now - last > TOGETHER_MS) this.#recent.delete(who);
    const who = process ? `${process.pid}` : address === undefined ? undefined : `${address} ${agent}`;
    const known = who === undefined ? undefined : this.#recent.get(who);
    if (known) {
      known.last = now;
      return known.operation;
    }
    const operation = newId().slice(0, 12);
    if (who !== undefined) this.#recent.set(who, { operation, last: now });
    return operation;
  }

  #document(id: string, entries: readonly TrashEntry[]): TrashOperation {
    const removed = Math.max(...entries.map(({ removedAt }) => removedAt));
    const time = (ms: number): string => formatNanos(BigInt(Math.round(ms)) * 1_000_000n);
    return {
      Id: id,
      Removed: time(removed),
      Expires: time(removed + (this.#parts.policy?.maxAgeMs ?? DEFAULT_AGE_MS)),
      By: entries[0]!.by,
      Items: entries.toReversed().map(({ content, size }) => ({
        Kind: content.kind,
        Id: content.record.id,
        Name: content.record.name,
        Size: size ?? 0,
      })),
    };
  }

  #schedule(delayMs: number): void {
    if (this.#closing.signal.aborted) return;
    const due = performance.now() + delayMs;
    if (this.#due <= due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => {
      void this.keep().catch((error: unknown) => this.#parts.report(`trash: ${errorMessage(error)}`));
    }, delayMs).unref();
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#locks.run('trash', work);
    this.#working = result.catch(() => undefined);
    return result;
  }

  #now(): number {
    return (this.#parts.now ?? Date.now)();
  }
}

/** What others need comes back first. */
function rank({ content }: TrashEntry): number {
  return ['image', 'network', 'volume', 'container'].indexOf(content.kind);
}

function isNamed({ content }: TrashEntry, id: string): boolean {
  const { record } = content;
  const plain = record.id.replace(/^sha256:/, '');
  return record.name === id || (/^[0-9a-f]{4,64}$/.test(id) && /^[0-9a-f]{64}$/.test(plain) && plain.startsWith(id));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

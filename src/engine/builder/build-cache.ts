import { statfs } from 'node:fs/promises';
import { checkFilters, type Filters } from '../../api/filters.ts';
import type { BuildCacheRecord } from '../../api/system.ts';
import { EngineError } from '../../base/errors.ts';
import type { ChainId } from '../../oci/digest.ts';
import type { BuildRecords } from '../../state/build-records.ts';
import { pruneUntil } from '../containers/prune.ts';
import type { CacheMounts } from './cache-mounts.ts';
import type { ClientFiles } from './client-files/client-files.ts';
import type { UploadedContexts } from './uploads/uploaded-contexts.ts';
import type { RemoteSources } from './sources/remote-sources.ts';

/** How much the cache may take. Bytes. */
export interface CacheLimits {
  /** So much is kept in any case. */
  readonly reserved?: number | undefined;
  /** More is not kept. */
  readonly maxUsed?: number | undefined;
  /** So much of the disk is left to others. */
  readonly minFree?: number | undefined;
}

/** Bytes, or a part of the disk. */
export type CacheSize = number | { readonly percent: number };

/** What goes first, and down to where: a rule of `builder.gc.policy`. */
export interface CacheRule {
  /** Also what images share, and caches that steps mount. */
  readonly all: boolean;
  readonly filters: Filters;
  readonly reserved?: CacheSize | undefined;
  readonly maxUsed?: CacheSize | undefined;
  readonly minFree?: CacheSize | undefined;
}

/** How the engine collects by itself: by the rules in their order, or where there are none by its own, within the limits. */
export interface CachePolicy {
  readonly rules?: readonly CacheRule[] | undefined;
  readonly reserved?: CacheSize | undefined;
  readonly maxUsed?: CacheSize | undefined;
  readonly minFree?: CacheSize | undefined;
}

/** One pass of what the engine collects by itself, for people. */
export interface CollectionRule {
  /** Also what images share, and caches that steps mount. */
  readonly all: boolean;
  /** `type==source.local`; empty is everything. */
  readonly filters: readonly string[];
  /** Milliseconds that something has to be unused; undefined: the longest unused first. */
  readonly unusedMs: number | undefined;
  readonly limits: CacheLimits;
}

export interface PruneOptions extends CacheLimits {
  /** Also what images share, and caches that steps mount. */
  readonly all?: boolean | undefined;
  readonly filters?: Filters | undefined;
}

export interface PrunedCache {
  readonly deleted: readonly string[];
  /** Bytes. */
  readonly reclaimed: number;
}

export interface BuildCacheParts {
  readonly records: BuildRecords;
  readonly caches: CacheMounts;
  readonly files: ClientFiles;
  readonly uploads: UploadedContexts;
  readonly remote: RemoteSources;
  /** Layers that images are made of. */
  readonly imageChains: () => ReadonlySet<ChainId>;
  /** Collects layers that nothing names any more. */
  readonly collect: () => Promise<void>;
  /** A path on the disk that all of it is on. */
  readonly place: string;
}

/** One thing of the cache, of whatever kind. */
interface CacheEntry {
  readonly document: BuildCacheRecord;
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
  /** False when it came into use meanwhile. */
  readonly remove: () => Promise<boolean>;
}

const FILTERS = [
  'until',
  'unused-for',
  'id',
  'parent',
  'type',
  'description',
  'inuse',
  'mutable',
  'immutable',
  'shared',
  'private',
];
const HOUR = 3_600_000;
/** What can be fetched or filled again goes first. */
const EPHEMERAL = new Set(['source.local', 'source.git.checkout', 'source.http', 'exec.cachemount']);
const EPHEMERAL_BYTES = 512 << 20;
const EPHEMERAL_UNUSED = 48 * HOUR;
const UNUSED = 60 * 24 * HOUR;

/** Everything that builds keep for the next one: results of steps, mounted caches, files of clients, repositories, downloads. */
export class BuildCache {
  readonly #parts: BuildCacheParts;

  constructor(parts: BuildCacheParts) {
    this.#parts = parts;
  }

  async list(): Promise<BuildCacheRecord[]> {
    return (await this.#entries()).map(({ document }) => document);
  }

  /** Removes what nobody uses now, the longest unused first, down to the limits. Throws `invalid-argument` for a filter that is none. */
  async prune(options: PruneOptions): Promise<PrunedCache> {
    const { filters = new Map() as Filters, all = false } = options;
    checkFilters(filters, FILTERS);
    const matches = cacheFilter(filters);
    const entries = await this.#entries();
    const chosen = entries.filter(
      (entry) => matches(entry) && (all || (!entry.document.Shared && entry.document.Type !== 'exec.cachemount')),
    );
    return this.#remove(chosen, await this.#toFree(entries, options));
  }

  /** The rules that `collect` goes by. */
  async rules({ rules = [], ...given }: CachePolicy): Promise<CollectionRule[]> {
    const bytes = await this.#bytes();
    if (rules.length > 0)
      return rules.map(({ all, filters, reserved, maxUsed, minFree }) => ({
        all,
        filters: [...filters].flatMap(([name, values]) => values.map((value) => `${name}==${value}`)),
        unusedMs: undefined,
        limits: { reserved: bytes(reserved), maxUsed: bytes(maxUsed), minFree: bytes(minFree) },
      }));
    const own = { all: false, filters: [], unusedMs: undefined, limits: {} };
    const filters = [...EPHEMERAL].map((type) => `type==${type}`);
    return [
      { ...own, filters, unusedMs: EPHEMERAL_UNUSED, limits: { maxUsed: EPHEMERAL_BYTES } },
      { ...own, unusedMs: UNUSED },
      { ...own, limits: await this.#limits(given) },
    ];
  }

  /** Sizes as bytes of the disk that there is. */
  async #bytes(): Promise<<T extends CacheSize | undefined>(size: T) => number | Extract<T, undefined>> {
    const disk = await statfs(this.#parts.place);
    return <T extends CacheSize | undefined>(size: T) =>
      typeof size === 'object'
        ? Math.floor((disk.blocks * disk.bsize * size.percent) / 100)
        : (size as number | Extract<T, undefined>);
  }

  /** What is not said is a part of the disk. */
  async #limits(given: Omit<CachePolicy, 'rules'>): Promise<Required<CacheLimits>> {
    const bytes = await this.#bytes();
    return {
      reserved: bytes(given.reserved ?? { percent: 10 }),
      maxUsed: bytes(given.maxUsed ?? { percent: 80 }),
      minFree: bytes(given.minFree ?? { percent: 20 }),
    };
  }

  /** What the engine does by itself after a build: the old and the large go. */
  async collect({ rules = [], ...given }: CachePolicy): Promise<PrunedCache> {
    if (rules.length > 0) {
      const bytes = await this.#bytes();
      const pruned: PrunedCache[] = [];
      for (const { all, filters, reserved, maxUsed, minFree } of rules)
        pruned.push(
          await this.prune({
            all,
            filters,
            reserved: bytes(reserved),
            maxUsed: bytes(maxUsed),
            minFree: bytes(minFree),
          }),
        );
      return together(pruned);
    }
    const limits = await this.#limits(given);
    const entries = await this.#entries();
    const idle = (entry: CacheEntry, ms: number): boolean => Date.now() - entry.usedAt > ms;
    const ephemeral = entries.filter((entry) => EPHEMERAL.has(entry.document.Type));
    const over = sum(ephemeral) - EPHEMERAL_BYTES;
    const first = await this.#remove(
      ephemeral.filter((entry) => idle(entry, EPHEMERAL_UNUSED)),
      over,
    );
    const second = await this.#remove(
      entries.filter((entry) => idle(entry, UNUSED)),
      Infinity,
    );
    const left = first.deleted.length + second.deleted.length > 0 ? await this.#entries() : entries;
    const third = await this.#remove(left, await this.#toFree(left, limits, 0));
    return together([first, second, third]);
  }

  /** Bytes that have to go; all of them when nothing is said. */
  async #toFree(entries: readonly CacheEntry[], limits: CacheLimits, otherwise = Infinity): Promise<number> {
    const { reserved, maxUsed, minFree } = limits;
    const used = sum(entries);
    if (reserved === undefined && !maxUsed && !minFree) return otherwise;
    let keep = maxUsed || minFree ? Infinity : (reserved ?? 0);
    if (maxUsed) keep = Math.min(keep, maxUsed);
    if (minFree) {
      const disk = await statfs(this.#parts.place);
      keep = Math.min(keep, used - Math.max(0, minFree - disk.bavail * disk.bsize));
    }
    return used - Math.max(keep, reserved ?? 0);
  }

  async #remove(entries: readonly CacheEntry[], bytes: number): Promise<PrunedCache> {
    const deleted: string[] = [];
    let [removed, reclaimed] = [0, 0];
    for (const entry of entries.toSorted((a, b) => a.usedAt - b.usedAt)) {
      if (removed >= bytes) break;
      if (entry.document.InUse || !(await entry.remove())) continue;
      deleted.push(entry.document.ID);
      removed += entry.document.Size;
      // what images have too stays on the disk
      if (!entry.document.Shared) reclaimed += entry.document.Size;
    }
    if (deleted.length > 0) await this.#parts.collect();
    return { deleted, reclaimed };
  }

  async #entries(): Promise<CacheEntry[]> {
    const { records, caches, files, uploads, remote } = this.#parts;
    const [mounts, clients, uploaded, git, http] = await Promise.all([
      caches.list(),
      files.list(),
      uploads.list(),
      remote.git.list(),
      remote.http.list(),
    ]);
    const shared = this.#parts.imageChains();
    const steps = records.list().map((record): CacheEntry => ({
      document: {
        ID: record.key.slice(7, 32),
        Type: 'regular',
        ...(record.parent && { Parents: [record.parent.slice(7, 32)] }),
        Description: record.text,
        InUse: false,
        Shared: record.layer !== undefined && shared.has(record.layer.chain),
        Size: record.layer?.size ?? 0,
        CreatedAt: record.createdAt,
        LastUsedAt: new Date(record.usedAt).toISOString(),
        UsageCount: record.uses,
      },
      usedAt: record.usedAt,
      remove: async () => {
        records.delete(record.key);
        return true;
      },
    }));
    const other = (
      type: string,
      {
        id,
        name,
        size,
        usedAt = 0,
        inUse = false,
      }: { id: string; name: string; size: number; usedAt?: number; inUse?: boolean },
      remove: () => Promise<boolean>,
    ): CacheEntry => ({
      document: {
        ID: id.slice(0, 25),
        Type: type,
        Description: name,
        InUse: inUse,
        Shared: false,
        Size: size,
        CreatedAt: '0001-01-01T00:00:00Z',
        LastUsedAt: usedAt === 0 ? null : new Date(usedAt).toISOString(),
        UsageCount: 0,
      },
      usedAt,
      remove,
    });
    return [
      ...steps,
      ...mounts.map(({ name, id, inUse, size, usedAt }) =>
        other('exec.cachemount', { id: name, name: `cached mount ${id}`, size, inUse, usedAt }, async () =>
          caches.removeIdle(name),
        ),
      ),
      ...clients.map(({ id, name, size, usedAt, inUse }) =>
        other('source.local', { id, name: `local source for ${name}`, size, usedAt, inUse }, async () =>
          files.remove(id),
        ),
      ),
      ...uploaded.map((kept) =>
        other('source.local', { ...kept, name: `local source for ${kept.name}` }, async () => uploads.remove()),
      ),
      ...git.map((kept) =>
        other('source.git.checkout', { ...kept, name: `git repository ${kept.name}` }, async () => {
          await remote.git.remove(kept.id);
          return true;
        }),
      ),
      ...http.map((kept) =>
        other('source.http', { ...kept, name: `http ${kept.name}` }, async () => {
          await remote.http.remove(kept.id);
          return true;
        }),
      ),
    ];
  }
}

function together(pruned: readonly PrunedCache[]): PrunedCache {
  return {
    deleted: pruned.flatMap(({ deleted }) => deleted),
    reclaimed: pruned.reduce((total, { reclaimed }) => total + reclaimed, 0),
  };
}

/** Throws `invalid-argument` for filters that the build cache does not know. */
export function checkCacheFilters(filters: Filters): void {
  checkFilters(filters, FILTERS);
  cacheFilter(filters);
}

function sum(entries: readonly CacheEntry[]): number {
  return entries.reduce((total, { document }) => total + document.Size, 0);
}

/** Docker's filters of the build cache; several values of one are alternatives. */
function cacheFilter(filters: Filters): (entry: CacheEntry) => boolean {
  const until = pruneUntil(new Map([['until', filters.get('until') ?? filters.get('unused-for') ?? []]]), Date.now());
  const flag = (name: string): boolean | undefined => {
    const [text] = filters.get(name) ?? [];
    if (text === undefined) return undefined;
    if (!['', 'true', 'false', '1', '0'].includes(text))
      throw new EngineError('invalid-argument', `invalid filter '${name}=[${text}]'`);
    return text !== 'false' && text !== '0';
  };
  const flags = {
    inuse: flag('inuse'),
    shared: flag('shared'),
    private: flag('private'),
    mutable: flag('mutable'),
    immutable: flag('immutable'),
  };
  const wanted = (name: string, is: (value: string) => boolean): boolean => filters.get(name)?.some(is) ?? true;
  return ({ document, usedAt }) => {
    const mutable = document.Type !== 'regular';
    return (
      (until === undefined || usedAt < until) &&
      (flags.inuse ?? document.InUse) === document.InUse &&
      (flags.shared ?? document.Shared) === document.Shared &&
      (flags.private ?? !document.Shared) === !document.Shared &&
      (flags.mutable ?? mutable) === mutable &&
      (flags.immutable ?? !mutable) === !mutable &&
      wanted('id', (id) => document.ID.startsWith(id)) &&
      wanted('type', (type) => document.Type === type) &&
      wanted('description', (text) => document.Description.includes(text)) &&
      wanted('parent', (id) => document.Parents?.some((parent) => parent.startsWith(id)) === true)
    );
  };
}

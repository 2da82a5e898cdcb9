import { randomUUID } from 'node:crypto';

/** What a lease keeps: a blob by digest, a committed snapshot by chain id. */
export type LeasedKind = 'blob' | 'snapshot';

/**
 * "Keep this until I say so", for work in progress: content that nothing refers to yet is not collected while it is
 * leased. Leases live in memory: the work they belong to ends with the process, and what it left half-made is garbage
 * for the next start. What is finished is referred to by a record instead.
 */
export class Leases {
  readonly #held = new Map<string, Lease>();

  /** `await using` or `using` it: disposal releases. */
  acquire(purpose: string): Lease {
    const id = randomUUID();
    const lease = new Lease(id, purpose, () => this.#held.delete(id));
    this.#held.set(id, lease);
    return lease;
  }

  /** Everything of a kind that is leased now. */
  names(kind: LeasedKind): Set<string> {
    const names = new Set<string>();
    for (const lease of this.#held.values()) for (const name of lease.names(kind)) names.add(name);
    return names;
  }

  has(kind: LeasedKind, name: string): boolean {
    for (const lease of this.#held.values()) if (lease.names(kind).has(name)) return true;
    return false;
  }
}

export class Lease implements Disposable {
  readonly id: string;
  /** For people: `load`, `build 3f…`. */
  readonly purpose: string;
  readonly #names: Readonly<Record<LeasedKind, Set<string>>> = {
    blob: new Set(),
    snapshot: new Set(),
  };
  readonly #release: () => void;

  constructor(id: string, purpose: string, release: () => void) {
    this.id = id;
    this.purpose = purpose;
    this.#release = release;
  }

  /** Idempotent. Called before the thing is made or looked for, never after. */
  add(kind: LeasedKind, name: string): void {
    this.#names[kind].add(name);
  }

  names(kind: LeasedKind): ReadonlySet<string> {
    return this.#names[kind];
  }

  /** Idempotent. */
  release(): void {
    this.#release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

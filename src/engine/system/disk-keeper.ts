import { EngineError, errorMessage } from '../../base/errors.ts';
import { parseTime } from '../../base/time.ts';

/** What the engine may use of the disk, and what it throws away for that. */
export interface DiskPolicy {
  /** Bytes of everything below the data root but volumes; undefined: no bound. */
  readonly budget: number | undefined;
  /** What nobody used for so long goes, within the budget too; undefined: only when the budget is exceeded. */
  readonly unusedForMs: number | undefined;
  /** Of each repository so many of the newest images stay, whatever the budget. */
  readonly keepLast: number;
}

export interface KeptImage {
  readonly id: string;
  /** Repositories of its names. */
  readonly repositories: readonly string[];
  readonly names: readonly string[];
  readonly createdAt: string;
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
  /** Bytes that go when it goes, about. */
  readonly size: number;
}

export interface DiskKeeperParts {
  readonly policy: DiskPolicy;
  /** Bytes of the data root without volumes. */
  readonly measure: (signal: AbortSignal) => Promise<number>;
  /** Deletes of what was removed the oldest, until so many bytes are free. Gives the bytes freed. */
  readonly emptyTrash?: (bytes: number) => Promise<number>;
  /** Images that no container has. */
  readonly unusedImages: () => readonly KeptImage[];
  /** By name, or by id when it has none. False when something still needs it. */
  readonly removeImage: (image: KeptImage) => Promise<boolean>;
  /** Removes what builds keep and did not use for `unusedForMs`, and of the others the longest unused until `bytes` are freed. Gives the bytes freed. */
  readonly pruneBuilds: (limits: {
    readonly unusedForMs?: number | undefined;
    readonly bytes?: number | undefined;
  }) => Promise<number>;
  readonly publish: (action: string, attributes: Record<string, string>) => void;
  readonly report: (message: string) => void;
  readonly now?: () => number;
}

/** A moment of quiet after the last change. */
const QUIET_MS = 1000;
const IDLE_MS = 3600_000;
/** Looking takes at most this part of the time. */
const SHARE = 20;

/**
 * Keeps the engine within its disk budget by itself: after whatever makes images, and every hour. First goes what was
 * removed already and is in the trash, then what the build cache can make again, then images that no container has, the longest unused first. Containers, their images and volumes
 * are never touched; when that is not enough, what would need more room is refused.
 */
export class DiskKeeper {
  readonly #parts: DiskKeeperParts;
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #due = 0;
  #notBefore = 0;
  #over: { readonly used: number } | undefined;

  constructor(parts: DiskKeeperParts) {
    this.#parts = parts;
  }

  get #active(): boolean {
    const { budget, unusedForMs } = this.#parts.policy;
    return budget !== undefined || unusedForMs !== undefined;
  }

  /** Something may have grown: looks soon. */
  changed(): void {
    this.#schedule(QUIET_MS);
  }

  /** Throws `no-space`, with what would help, while the budget is exceeded and nothing is left that may go. */
  admit(): void {
    const { budget } = this.#parts.policy;
    if (budget === undefined || !this.#over) return;
    throw new EngineError(
      'no-space',
      `the disk budget of ${megabytes(budget)} is used up (${megabytes(this.#over.used)}), and all that is left is in use: ` +
        'remove containers or images (gantry system df -v shows what is large), or raise disk-budget',
    );
  }

  /** One look, and what it asks for. For tests, and for who cannot wait. */
  keep(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running ??= this.#keep().finally(() => {
      this.#running = undefined;
      this.#schedule(IDLE_MS);
    });
    return this.#running;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  #schedule(delayMs: number): void {
    if (!this.#active || this.#closing.signal.aborted) return;
    const due = Math.max(performance.now() + delayMs, this.#notBefore);
    // never later than it was: changes without a pause would put it off for ever
    if (this.#timer !== undefined && this.#due <= due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => void this.keep(), due - performance.now()).unref();
  }

  async #keep(): Promise<void> {
    if (!this.#active) return;
    const began = performance.now();
    try {
      await this.#look();
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#parts.report(`disk budget: ${errorMessage(error)}`);
    }
    this.#notBefore = performance.now() + SHARE * (performance.now() - began);
  }

  async #look(): Promise<void> {
    const { policy, now = Date.now } = this.#parts;
    const { signal } = this.#closing;
    if (policy.unusedForMs !== undefined) {
      const before = now() - policy.unusedForMs;
      await this.#parts.pruneBuilds({ unusedForMs: policy.unusedForMs });
      for (const image of this.#candidates()) {
        if (signal.aborted) return;
        if (image.usedAt < before) await this.#remove(image, 'unused');
      }
    }
    if (policy.budget === undefined) return;
    let used = await this.#parts.measure(signal);
    const budget = policy.budget;
    if (used > budget && this.#parts.emptyTrash && (await this.#parts.emptyTrash(used - budget)) > 0) {
      used = await this.#parts.measure(signal);
    }
    if (used > budget) {
      await this.#parts.pruneBuilds({ bytes: used - budget });
      used = await this.#parts.measure(signal);
    }
    for (const image of this.#candidates()) {
      if (signal.aborted || used <= budget) break;
      if (await this.#remove(image, 'budget')) used = await this.#parts.measure(signal);
    }
    this.#tell(used > budget ? { used } : undefined, budget);
  }

  /** The longest unused first, without those that `keepLast` holds. */
  #candidates(): KeptImage[] {
    const images = this.#parts.unusedImages();
    const held = new Set<string>();
    const byRepository = new Map<string, KeptImage[]>();
    for (const image of images)
      for (const repository of image.repositories)
        byRepository.set(repository, [...(byRepository.get(repository) ?? []), image]);
    for (const group of byRepository.values()) {
      group.sort((a, b) => Number((parseTime(b.createdAt) ?? 0n) - (parseTime(a.createdAt) ?? 0n)));
      for (const { id } of group.slice(0, this.#parts.policy.keepLast)) held.add(id);
    }
    return images.filter(({ id }) => !held.has(id)).sort((a, b) => a.usedAt - b.usedAt);
  }

  async #remove(image: KeptImage, why: string): Promise<boolean> {
    const name = image.names[0] ?? image.id;
    if (!(await this.#parts.removeImage(image))) return false;
    this.#parts.report(
      `disk policy: removed the image ${name}, unused since ${new Date(image.usedAt).toISOString()} (${why})`,
    );
    this.#parts.publish('policy', { image: name, id: image.id, reason: why });
    return true;
  }

  /** Once for each change. */
  #tell(over: { readonly used: number } | undefined, budget: number): void {
    if (over && !this.#over) {
      this.#parts.report(
        `disk budget: ${megabytes(over.used)} of ${megabytes(budget)} are used, and nothing is left that may go`,
      );
      this.#parts.publish('exceeded', { used: String(over.used), budget: String(budget) });
    }
    this.#over = over;
  }
}

function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

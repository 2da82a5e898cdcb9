import type { MemoryWatch } from '../../runtime/memory-watch.ts';
import type { Task } from '../../runtime/task.ts';
import type { HealthMonitor } from './health.ts';
import type { LogShipping } from './log-shipping.ts';
import { RestartBackoff } from './restart-policy.ts';

export interface Outcome {
  readonly exitCode: number;
  readonly error?: string;
}

/** What this engine knows of a container beyond its record. Made again after a restart of the engine. */
export class LiveContainer {
  /** Of the present run. */
  task: Task | undefined;
  health: HealthMonitor | undefined;
  /** Of the present run, where its memory is limited. */
  memory: MemoryWatch | undefined;
  /** The event `oom` was told in the present run. */
  oomTold = false;
  readonly backoff = new RestartBackoff();
  /** Awaiting an automatic restart. */
  restartTimer: NodeJS.Timeout | undefined;
  /** A person asked the present run to end: the restart policy keeps still. */
  stopRequested = false;
  /** It is stopped because it is unhealthy, and starts again. */
  unwell = false;
  /** Somebody stops it: the event `stop` is owed, and comes in front of `die` as Docker has it. */
  stopEventOwed = false;
  /** A removal is under way. */
  removing = false;
  /** A restart is under way: the end of the run must not remove the container. */
  keep = false;
  /** Slow clean-up after the last run; never rejects. What needs the same resources waits for it. */
  cleanup: Promise<void> | undefined;
  /** Of a container whose output goes to a log server. */
  shipping: LogShipping | undefined;
  /** Clients that read its output. */
  readonly readers = new Crowd();
  readonly nextExit = new Signal<Outcome>();
  readonly removed = new Signal<Outcome>();
  /** Told the task when a run begins. */
  readonly nextStart = new Signal<Task>();
}

/** Wakes all who wait, once each. */
export class Signal<T> {
  #waiters = new Set<(value: T) => void>();

  wait(signal?: AbortSignal): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (signal?.aborted) {
      reject(signal.reason);
      return promise;
    }
    const waiter = (value: T): void => {
      signal?.removeEventListener('abort', abort);
      resolve(value);
    };
    const abort = (): void => {
      this.#waiters.delete(waiter);
      reject(signal!.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
    this.#waiters.add(waiter);
    return promise;
  }

  tell(value: T): void {
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const waiter of waiters) waiter(value);
  }
}

/** Counts those inside. */
export class Crowd {
  #inside = 0;
  readonly #empty = new Signal<void>();

  /** Gives the way out, to be taken once or more. */
  enter(): () => void {
    this.#inside++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      if (--this.#inside === 0) this.#empty.tell();
    };
  }

  /** Resolves when nobody is inside, rejects with the reason of `signal`. */
  async empty(signal?: AbortSignal): Promise<void> {
    if (this.#inside > 0) await this.#empty.wait(signal);
  }
}

/** Those of all containers, by id. */
export class LiveContainers {
  readonly #byId = new Map<string, LiveContainer>();

  of(id: string): LiveContainer {
    let live = this.#byId.get(id);
    if (!live) this.#byId.set(id, (live = new LiveContainer()));
    return live;
  }

  all(): Iterable<[string, LiveContainer]> {
    return this.#byId;
  }

  /** Nothing happens by itself any more: no probe, no automatic restart. */
  rest(): void {
    for (const live of this.#byId.values()) {
      clearTimeout(live.restartTimer);
      live.health?.stop();
      live.memory?.close();
    }
  }

  forget(id: string): void {
    this.#byId.delete(id);
  }
}

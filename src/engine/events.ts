import { checkFilters, type Filters, matchesLabels, NO_FILTERS } from '../api/filters.ts';
import type { EngineEvent } from '../api/system.ts';
import { nowNanos } from '../base/time.ts';
import type { EventService } from './engine.ts';

/** Events kept for `since`. */
const REMEMBERED = 1024;
/** Events that wait for one slow reader; the oldest give way. */
const QUEUED = 4096;

const FILTERS = [
  'config',
  'container',
  'daemon',
  'event',
  'image',
  'label',
  'network',
  'node',
  'plugin',
  'scope',
  'secret',
  'service',
  'type',
  'volume',
];

/** What happened, told to whoever listens: the last thousand events and the live ones. */
export class EventLog implements EventService {
  readonly #ring: EngineEvent[] = [];
  readonly #readers = new Set<EventQueue>();
  readonly #watchers: ((event: EngineEvent) => void)[] = [];
  readonly #clock: () => bigint;
  #last = 0n;

  constructor(clock: () => bigint = nowNanos) {
    this.#clock = clock;
  }

  publish(type: string, action: string, id: string, attributes: Record<string, string>): void {
    // never two at the same moment: clients resume with `since` the last one seen
    const clock = this.#clock();
    const timeNano = clock > this.#last ? clock : this.#last + 1n;
    this.#last = timeNano;
    const event: EngineEvent = {
      Type: type,
      Action: action,
      Actor: { ID: id, Attributes: attributes },
      scope: 'local',
      time: Number(timeNano / 1_000_000_000n),
      timeNano,
    };
    if (this.#ring.push(event) > REMEMBERED) this.#ring.shift();
    for (const reader of this.#readers) reader.push(event);
    for (const watcher of this.#watchers) watcher(event);
  }

  /** Throws `invalid-argument` at once for a filter that is none; what is published after the call is not missed. */
  subscribe(
    options: { since?: bigint; until?: bigint; filters?: Filters; signal?: AbortSignal } = {},
  ): AsyncIterable<EngineEvent> {
    const { since, until, signal } = options;
    const filters = options.filters ?? NO_FILTERS;
    checkFilters(filters, FILTERS);
    const queue = new EventQueue((event) => matches(event, filters));
    if (since !== undefined) {
      for (const event of this.#ring) {
        if (event.timeNano >= since && (until === undefined || event.timeNano <= until)) queue.push(event);
      }
    }
    const untilMs = until === undefined ? undefined : Number((until - this.#clock()) / 1_000_000n);
    if (signal?.aborted || (untilMs !== undefined && untilMs <= 0)) {
      queue.end();
      return queue;
    }
    this.#readers.add(queue);
    // setTimeout takes 2³¹ ms at most; a stream that shall last longer than 24 days is ended by its client
    const timer = untilMs === undefined ? undefined : setTimeout(() => queue.end(), Math.min(untilMs, 2 ** 31 - 1));
    const abort = (): void => queue.end();
    signal?.addEventListener('abort', abort, { once: true });
    queue.onEnd = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      this.#readers.delete(queue);
    };
    return queue;
  }

  /** A part of the engine itself, told at once: it must not throw, nor take long. */
  watch(watcher: (event: EngineEvent) => void): void {
    this.#watchers.push(watcher);
  }

  /** How many follow. */
  get listeners(): number {
    return this.#readers.size;
  }

  /** Ends every stream. */
  close(): void {
    for (const reader of this.#readers) reader.end();
  }
}

/** The events of one reader, at its own pace. */
class EventQueue implements AsyncIterableIterator<EngineEvent> {
  readonly #wanted: (event: EngineEvent) => boolean;
  readonly #events: EngineEvent[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  onEnd: (() => void) | undefined;

  constructor(wanted: (event: EngineEvent) => boolean) {
    this.#wanted = wanted;
  }

  push(event: EngineEvent): void {
    if (this.#ended || !this.#wanted(event)) return;
    if (this.#events.push(event) > QUEUED) this.#events.shift();
    this.#wake?.();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.onEnd?.();
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<EngineEvent>> {
    for (;;) {
      const event = this.#events.shift();
      if (event) return { done: false, value: event };
      if (this.#ended) return { done: true, value: undefined };
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = undefined;
    }
  }

  async return(): Promise<IteratorResult<EngineEvent>> {
    this.end();
    this.#events.length = 0;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Values of one key are alternatives, keys must all hold; `label` wants every value. */
function matches(event: EngineEvent, filters: Filters): boolean {
  const { ID, Attributes } = event.Actor;
  for (const [key, values] of filters) {
    if (values.length === 0) continue;
    const holds = values.some((value) => {
      switch (key) {
        case 'event':
          // `health_status` also means `health_status: healthy`, as `exec_create` does `exec_create: sh`
          return event.Action === value || event.Action.startsWith(`${value}:`);
        case 'type':
          return event.Type === value;
        case 'scope':
          return event.scope === value;
        case 'label':
          return true;
        case 'image':
          return imageMatches(event, value);
        default:
          return event.Type === key && (ID === value || ID.startsWith(value) || Attributes['name'] === value);
      }
    });
    if (!holds) return false;
  }
  return matchesLabels(filters, Attributes);
}

function imageMatches(event: EngineEvent, value: string): boolean {
  const names =
    event.Type === 'image' ? [event.Actor.ID, event.Actor.Attributes['name']] : [event.Actor.Attributes['image']];
  return names.some((name) => name !== undefined && (name === value || name.replace(/:[^:/]*$/, '') === value));
}

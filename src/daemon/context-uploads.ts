import { EngineError } from '../base/errors.ts';

/** How long a build and its context wait for each other. */
const MEET_MS = 5000;

interface Offered {
  take(): AsyncIterable<Uint8Array>;
  /** Nobody reads it any more. */
  done(): void;
}

/** Contexts of builds that come in requests of their own: each is read by the build of its id, once, while both are there. */
export class ContextUploads {
  readonly #meetings = new Map<string, PromiseWithResolvers<Offered>>();

  /** Resolves when the build has read it. Throws `timeout` when no build comes. */
  async offer(id: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const over = Promise.withResolvers<void>();
    let taken = false;
    const timer = setTimeout(() => {
      if (!taken) over.reject(new EngineError('timeout', `no build ${id} took its context`));
    }, MEET_MS);
    const gone = (): void => over.resolve();
    signal.addEventListener('abort', gone, { once: true });
    this.#meeting(id).resolve({
      take: () => {
        taken = true;
        return body;
      },
      done: over.resolve,
    });
    try {
      await over.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', gone);
      this.#meetings.delete(id);
    }
  }

  /** The context of a build; dispose it when it is not read any more. Throws `timeout`, `cancelled`. */
  async take(id: string, signal: AbortSignal): Promise<{ readonly body: AsyncIterable<Uint8Array> } & Disposable> {
    const meeting = this.#meeting(id);
    const timer = setTimeout(
      () => meeting.reject(new EngineError('timeout', `the context of build ${id} was not uploaded`)),
      MEET_MS,
    );
    const stopped = (): void => meeting.reject(signal.reason as Error);
    signal.addEventListener('abort', stopped, { once: true });
    try {
      const offered = await meeting.promise;
      return { body: offered.take(), [Symbol.dispose]: () => offered.done() };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stopped);
      this.#meetings.delete(id);
    }
  }

  #meeting(id: string): PromiseWithResolvers<Offered> {
    let meeting = this.#meetings.get(id);
    if (!meeting) {
      meeting = Promise.withResolvers();
      meeting.promise.catch(() => {});
      this.#meetings.set(id, meeting);
    }
    return meeting;
  }
}

/**
 * One at a time per key, in the order of asking. `await using lock = await locks.acquire(id)`.
 * Held by one service around one object's state change; never across a call that can take the same key again.
 */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<void>>();

  /** Throws the reason of `signal` when that is aborted before it is this one's turn. */
  async acquire(
    key: string,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<AsyncDisposable & { release(): void }> {
    signal?.throwIfAborted();
    const before = this.#tails.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    const tail = before ? before.then(() => promise) : promise;
    this.#tails.set(key, tail);
    const release = (): void => {
      resolve();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    };
    if (before) {
      try {
        await (signal ? unlessAborted(before, signal) : before);
      } catch (error) {
        // Its turn will come, and be over at once.
        resolve();
        void before.then(release);
        throw error;
      }
    }
    return { release, [Symbol.asyncDispose]: async () => release() };
  }

  /** Runs `work` alone among those with this key. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const lock = await this.acquire(key);
    try {
      return await work();
    } finally {
      lock.release();
    }
  }
}

async function unlessAborted(turn: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([turn, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/**
 * One at a time per key, in the order of asking. `await using lock = await locks.acquire(id)`.
 * Held by one service around one object's state change; never across a call that can take the same key again.
 */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<void>>();

  async acquire(key: string): Promise<AsyncDisposable & { release(): void }> {
    const before = this.#tails.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    const tail = before ? before.then(() => promise) : promise;
    this.#tails.set(key, tail);
    if (before) await before;
    const release = (): void => {
      resolve();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    };
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

import { randomUUID } from 'node:crypto';
import { EngineError } from '../base/errors.ts';

type Open = () => AsyncIterable<Uint8Array>;

/**
 * Streams that a build has ready for its client, each behind a ticket that only the client was told. One is valid while
 * its build waits for it, once: nothing is kept for a client that does not come.
 */
export class OutputTickets {
  readonly #waiting = new Map<string, { readonly open: Open; readonly taken: (error?: unknown) => void }>();

  /** Calls `announce` with a ticket; resolves when the stream behind it was read to its end. Throws what the reading threw, `cancelled`. */
  async offer(open: Open, announce: (ticket: string) => void, signal: AbortSignal | undefined): Promise<void> {
    const ticket = randomUUID();
    let stop: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        stop = () => reject(new EngineError('cancelled', 'the client is gone'));
        if (signal?.aborted) return stop();
        signal?.addEventListener('abort', stop, { once: true });
        this.#waiting.set(ticket, {
          open,
          taken: (error) => (error === undefined ? resolve() : reject(error as Error)),
        });
        announce(ticket);
      });
    } finally {
      this.#waiting.delete(ticket);
      if (stop) signal?.removeEventListener('abort', stop);
    }
  }

  /** Passes the stream to `send`. Throws `not-found`. */
  async redeem(ticket: string, send: (bytes: AsyncIterable<Uint8Array>) => Promise<void>): Promise<void> {
    const offered = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    if (!offered) throw new EngineError('not-found', 'no build waits with an output of that name');
    try {
      await send(offered.open());
      offered.taken();
    } catch (error) {
      offered.taken(error);
      throw error;
    }
  }
}

/** Files that a build wants of its client, each asked for under a ticket that the client answers with the file, or without. */
export class InputTickets {
  readonly #waiting = new Map<string, (bytes: AsyncIterable<Uint8Array> | undefined) => void>();

  /** Calls `announce` with a ticket; resolves when the client answers. Throws `cancelled`. */
  async ask(
    announce: (ticket: string) => void,
    signal: AbortSignal | undefined,
  ): Promise<AsyncIterable<Uint8Array> | undefined> {
    const ticket = randomUUID();
    let stop: (() => void) | undefined;
    try {
      return await new Promise((resolve, reject) => {
        stop = () => reject(new EngineError('cancelled', 'the client is gone'));
        if (signal?.aborted) return stop();
        signal?.addEventListener('abort', stop, { once: true });
        this.#waiting.set(ticket, resolve);
        announce(ticket);
      });
    } finally {
      this.#waiting.delete(ticket);
      if (stop) signal?.removeEventListener('abort', stop);
    }
  }

  /** Resolves when what was sent was read, or nobody will. Throws `not-found`. */
  async answer(ticket: string, bytes: AsyncIterable<Uint8Array> | undefined, signal: AbortSignal): Promise<void> {
    const give = this.#waiting.get(ticket);
    if (!give) throw new EngineError('not-found', 'no build waits for a file of that name');
    if (!bytes) return give(undefined);
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
      give(
        (async function* () {
          try {
            yield* bytes;
          } finally {
            resolve();
          }
        })(),
      );
    });
  }
}

import { errorMessage } from '../base/errors.ts';

/** Work that goes on after its caller was answered. The engine's `close` waits for all of it. */
export class BackgroundWork {
  readonly #running = new Set<Promise<void>>();
  readonly #report: (message: string) => void;

  constructor(report: (message: string) => void) {
    this.#report = report;
  }

  /** Starts `work`; the promise never rejects: a failure is reported, and what it left is swept at the next start. */
  run(what: string, work: () => Promise<void>): Promise<void> {
    const promise = Promise.try(work)
      .catch((error: unknown) => this.#report(`${what}: ${errorMessage(error)}`))
      .finally(() => this.#running.delete(promise));
    this.#running.add(promise);
    return promise;
  }

  /** Resolves when nothing is under way any more. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}

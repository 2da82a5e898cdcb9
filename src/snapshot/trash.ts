import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { filesystemWorker } from './filesystem-worker.ts';

/**
 * Directories on their way out: renamed aside at once, removed one after the other in the background. A crash leaves them
 * in the trash, where the next `empty` finds them.
 */
export class Trash {
  readonly #directory: string;
  readonly #abort = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #next = Date.now();

  /** @param directory on the same filesystem as what is thrown away; made when missing */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Resolves when `path` is gone from its place. Idempotent. */
  async throwAway(path: string): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const name = String(this.#next++);
    try {
      await rename(path, join(this.#directory, name));
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ENOENT') return;
      throw error;
    }
    this.#remove(name);
  }

  /** Starts removing what an earlier process left. */
  async empty(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#directory)) this.#remove(name);
  }

  /** Resolves when everything thrown away so far is removed. */
  async settled(): Promise<void> {
    await this.#work;
  }

  /** Stops removing; the rest stays for the next `empty`. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#work;
  }

  #remove(name: string): void {
    this.#work = this.#work.then(async () => {
      if (this.#abort.signal.aborted) return;
      try {
        await filesystemWorker.run({
          job: 'remove',
          parameters: { directory: this.#directory, name },
          signal: this.#abort.signal,
        });
      } catch {
        // What cannot be removed now (a file with the immutable flag, a failing disk) is tried again at the next start.
      }
    });
  }
}

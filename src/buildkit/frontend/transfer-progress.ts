import { ProgressStep } from '../control/progress.ts';
import type { StatusLog } from '../control/status-log.ts';
import type { TransferWatcher } from '../session/file-sync.ts';

/** How often a client is told how far a transfer is. */
const EVERY_MS = 200;

/** The transfer of a directory as a line of the client's terminal. */
export class TransferProgress implements TransferWatcher {
  readonly #log: StatusLog;
  readonly #key: string;
  readonly #name: string;
  #step: ProgressStep | undefined;
  readonly #what: string;
  #bytes = 0;
  #told = 0;

  /** @param what is brought, as it is called in front of the bytes */
  constructor(log: StatusLog, key: string, name: string, what = 'context') {
    this.#log = log;
    this.#key = key;
    this.#name = name;
    this.#what = `transferring ${what}:`;
  }

  began(): void {
    this.#told = Date.now();
    this.#step = new ProgressStep(this.#log, this.#key, this.#name);
  }

  received(bytes: number): void {
    this.#bytes += bytes;
    if (Date.now() - this.#told < EVERY_MS) return;
    this.#told = Date.now();
    this.#step?.part(this.#what, { current: this.#bytes });
  }

  ended(): void {
    this.#step?.part(this.#what, { current: this.#bytes, done: true });
    this.#step?.done();
  }
}

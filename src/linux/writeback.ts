import { beginWriteback } from './files.ts';

/** So much of a file waits before the disk is told of it: small files are left to the sync that ends all. */
const STRIDE = 32 << 20;

/**
 * Lets the disk begin with a large file while it still comes, so that the sync at the end finds little to do. One write-out
 * is under way at a time; how fast the file comes does not depend on it.
 */
export class Writeback {
  readonly #fd: number;
  #written = 0;
  #begun = 0;
  #running: Promise<void> | undefined;

  /** @param fd must stay open until `end` resolves. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** So many bytes more were written, one after the other. */
  wrote(bytes: number): void {
    this.#written += bytes;
    if (this.#running || this.#written - this.#begun < STRIDE) return;
    const offset = this.#begun;
    this.#begun = this.#written;
    this.#running = beginWriteback(this.#fd, offset, this.#begun - offset).finally(() => (this.#running = undefined));
  }

  /** Nothing more comes. */
  async end(): Promise<void> {
    await this.#running;
  }
}

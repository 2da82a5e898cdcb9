import { beginWriteback } from './files.ts';

const STRIDE = 32 << 20;

/**
 * Lets the disk begin with a large file while it still comes, so that the sync at the end finds little to do. One write-out
 * is under way at a time; how fast the file comes does not depend on it.
 */
export class Writeback {
  readonly #fd: number;
  readonly #stride: number;
  #written = 0;
  #begun = 0;
  #running: Promise<void> | undefined;

  /**
   * @param fd must stay open until `end` resolves.
   * @param stride so many bytes wait before the disk is told of them; small files are left to the sync that ends all
   */
  constructor(fd: number, stride: number = STRIDE) {
    this.#fd = fd;
    this.#stride = stride;
  }

  /** So many bytes more were written, one after the other. */
  wrote(bytes: number): void {
    this.#written += bytes;
    if (this.#running || this.#written - this.#begun < this.#stride) return;
    const offset = this.#begun;
    this.#begun = this.#written;
    this.#running = beginWriteback(this.#fd, offset, this.#begun - offset).finally(() => (this.#running = undefined));
  }

  /** Nothing more comes. */
  async end(): Promise<void> {
    await this.#running;
  }
}

import { type FileHandle, open } from 'node:fs/promises';
import type { Bytes } from './content-store.ts';

const CHUNK_BYTES = 512 << 10;

/**
 * A blob that is read while it is written, at the reader's pace and from the file: a reader that is behind holds up nobody,
 * and takes no memory. The name of the file may change meanwhile.
 */
export class GrowingBlob implements AsyncDisposable {
  readonly #handle: FileHandle;
  #size = 0;
  #isWhole = false;
  #failure: { readonly error: unknown } | undefined;
  #wake = Promise.withResolvers<void>();
  readonly #readers = new Set<Promise<void>>();

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** @param file where it is written, by its present name */
  static async open(file: string): Promise<GrowingBlob> {
    return new GrowingBlob(await open(file, 'r'));
  }

  /** There are so many bytes now. */
  grow(size: number): void {
    this.#size = size;
    this.#tell();
  }

  /** All bytes are there. */
  end(): void {
    this.#isWhole = true;
    this.#tell();
  }

  /** There will be no more: readers get `error` in the place of what is missing. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#tell();
  }

  /** From the beginning to the end; each piece is the reader's own. */
  async *read(): Bytes {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#readers.add(promise);
    try {
      for (let position = 0; ;) {
        if (this.#failure) throw this.#failure.error;
        const { promise: more } = this.#wake;
        const room = Math.min(CHUNK_BYTES, this.#size - position);
        if (room === 0) {
          if (this.#isWhole) return;
          await more;
          continue;
        }
        const { bytesRead, buffer } = await this.#handle.read(Buffer.allocUnsafeSlow(room), 0, room, position);
        if (bytesRead === 0) throw new Error(`the blob ends at ${position} of ${this.#size} bytes`);
        position += bytesRead;
        yield bytesRead === room ? buffer : buffer.subarray(0, bytesRead);
      }
    } finally {
      this.#readers.delete(promise);
      resolve();
    }
  }

  /** Waits for readers to leave; who has not read to the end gets an error. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isWhole) this.fail(new Error('the blob is not written any further'));
    await Promise.all(this.#readers);
    await this.#handle.close();
  }

  #tell(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}

/** Bytes that may wait for whoever unpacks them. */
const MAX_WAITING = 2 << 20;

/** The unpacking of a download starts while that goes on: its bytes pass through here. For one writer and one reader. */
export class LayerTap implements AsyncIterable<Uint8Array>, Disposable {
  readonly #place: Disposable;
  readonly #waiting: Uint8Array[] = [];
  #bytes = 0;
  #offset = 0;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #left = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  /** @param place of whoever unpacks them; given up when this is disposed of */
  constructor(place: Disposable) {
    this.#place = place;
  }

  /** The reader is done, whatever comes. */
  [Symbol.dispose](): void {
    this.#left = true;
    this.#wakeWriter?.();
    this.#place[Symbol.dispose]();
  }

  /** Bytes that went in. */
  get offset(): number {
    return this.#offset;
  }

  /** Waits while the reader is behind; what comes after the reader left is dropped. */
  async write(chunk: Uint8Array): Promise<void> {
    this.#offset += chunk.byteLength;
    if (this.#left || this.#failure) return;
    this.#waiting.push(chunk);
    this.#bytes += chunk.byteLength;
    this.#wakeReader?.();
    while (this.#bytes > MAX_WAITING && !this.#left && !this.#failure) {
      await new Promise<void>((resolve) => (this.#wakeWriter = resolve));
    }
  }

  /** All bytes are in. */
  end(): void {
    this.#ended = true;
    this.#wakeReader?.();
  }

  /** The reader gets `error` in the place of what is missing. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#failure ??= { error };
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        if (this.#failure) throw this.#failure.error;
        const chunk = this.#waiting.shift();
        if (chunk) {
          this.#bytes -= chunk.byteLength;
          this.#wakeWriter?.();
          yield chunk;
        } else if (this.#ended) {
          return;
        } else {
          await new Promise<void>((resolve) => (this.#wakeReader = resolve));
        }
      }
    } finally {
      this.#left = true;
      this.#wakeWriter?.();
    }
  }
}

/** Passes a stream on and counts its bytes. */
export class CountedBytes implements AsyncIterable<Uint8Array> {
  bytes = 0;
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #onChange: (bytes: number) => void;

  constructor(source: AsyncIterable<Uint8Array>, onChange: (bytes: number) => void = () => {}) {
    this.#source = source;
    this.#onChange = onChange;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of this.#source) {
      this.bytes += chunk.byteLength;
      this.#onChange(this.bytes);
      yield chunk;
    }
  }
}

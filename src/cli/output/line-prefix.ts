import type { Output } from '../io.ts';

/** What several write at once, each line with the name of who wrote it, and whole. */
export class LinePrefix implements Output {
  readonly isTTY = false;
  readonly columns = 80;
  readonly rows = 24;
  readonly #output: Output;
  readonly #prefix: string;
  readonly #decoder = new TextDecoder();
  #rest = '';

  constructor(output: Output, prefix: string) {
    this.#output = output;
    this.#prefix = prefix;
  }

  write(data: string | Uint8Array): void {
    const text = typeof data === 'string' ? data : this.#decoder.decode(data, { stream: true });
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#output.write(`${this.#prefix}${line}\n`);
  }

  /** Writes the line that was left open. */
  end(): void {
    const last = this.#rest + this.#decoder.decode();
    this.#rest = '';
    if (last !== '') this.#output.write(`${this.#prefix}${last}\n`);
  }
}

/** So much of a stage's output waits for the stages before it; more is shown at once. */
const MAX_WAITING = 1 << 20;

/**
 * Output of stages that run side by side, shown as if they ran one after the other: the first that is not done speaks,
 * what the others say waits.
 */
export class OrderedOutput {
  readonly #write: (text: string) => void;
  readonly #slots: { waiting: string; done: boolean }[];
  #first = 0;

  constructor(count: number, write: (text: string) => void) {
    this.#write = write;
    this.#slots = Array.from({ length: count }, () => ({ waiting: '', done: false }));
  }

  write(slot: number, text: string): void {
    const one = this.#slots[slot]!;
    if (slot === this.#first) return this.#write(text);
    one.waiting += text;
    if (one.waiting.length > MAX_WAITING) this.flush(slot);
  }

  /** Shows what waits, out of its turn: a failure's last words. */
  flush(slot: number): void {
    const one = this.#slots[slot]!;
    if (one.waiting !== '') this.#write(one.waiting);
    one.waiting = '';
  }

  done(slot: number): void {
    this.#slots[slot]!.done = true;
    while (this.#slots[this.#first]?.done) {
      this.flush(this.#first);
      this.#first++;
      if (this.#first < this.#slots.length) this.flush(this.#first);
    }
  }
}

/** Lets at most so many in at a time, in the order of asking. */
export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#free = limit;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** In at once, until it is disposed of; undefined where one would have to wait. */
  tryEnter(): Disposable | undefined {
    if (this.#free === 0) return undefined;
    this.#free--;
    let isIn = true;
    const leave = (): void => {
      if (isIn) this.#leave();
      isIn = false;
    };
    return { [Symbol.dispose]: leave };
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }
}

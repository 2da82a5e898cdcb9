/** A rate is over so many milliseconds, and shown after the first few. */
const WINDOW_MS = 3000;
const MIN_MS = 300;

interface Sample {
  readonly at: number;
  readonly bytes: number;
}

/** Bytes a second of transfers, by a name for each. */
export class Rates {
  readonly #now: () => number;
  readonly #samples = new Map<string, Sample[]>();

  /** @param now milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Notes how far a transfer is; gives its rate, undefined while too little is known. */
  note(name: string, bytes: number): number | undefined {
    const at = this.#now();
    const samples = this.#samples.get(name) ?? [];
    this.#samples.set(name, samples);
    // One that begins anew.
    if (samples.length > 0 && bytes < samples.at(-1)!.bytes) samples.length = 0;
    samples.push({ at, bytes });
    while (samples.length > 2 && at - samples[1]!.at > WINDOW_MS) samples.shift();
    const first = samples[0]!;
    return at - first.at < MIN_MS ? undefined : ((bytes - first.bytes) * 1000) / (at - first.at);
  }
}

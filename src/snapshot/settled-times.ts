import { setTimesAt } from '../linux/files.ts';
import type { ByteString } from '../base/byte-string.ts';

/** How old what is in a layer may be. */
export interface TimeRule {
  /** Seconds since the epoch: nothing is newer. */
  readonly seconds: number;
  /** Nothing is older either. */
  readonly exact: boolean;
}

/** Brings times to a `TimeRule`. */
export class SettledTimes {
  /** Nanoseconds since the epoch. */
  readonly time: bigint;
  readonly #exact: boolean;

  constructor({ seconds, exact }: TimeRule) {
    this.time = BigInt(seconds) * 1_000_000_000n;
    this.#exact = exact;
  }

  isWrong(mtime: bigint): boolean {
    return this.#exact ? mtime !== this.time : mtime > this.time;
  }

  of(mtime: bigint): bigint {
    return this.isWrong(mtime) ? this.time : mtime;
  }

  /** Sets the time of `name` in the open directory, where it is a wrong one. */
  settle(directory: number, name: ByteString, mtime: bigint): void {
    if (this.isWrong(mtime)) setTimesAt(directory, name, this.time);
  }
}

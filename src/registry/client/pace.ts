import type { IncomingMessage } from 'node:http';
import { EngineError } from '../../base/errors.ts';

/** How slow the other side may be before it is as good as gone. */
export interface PaceLimits {
  /** Nothing moved for so long; also the time over which the rate is measured. Default a minute. */
  readonly stallMs?: number | undefined;
  /** Fewer bytes a second, on the average of `stallMs` in which we waited for them, are too few; 0 is never too few. Default 1024. */
  readonly minBytesPerSecond?: number | undefined;
}

export interface Pace {
  readonly stallMs: number;
  readonly minBytesPerSecond: number;
}

const STALL_MS = 60_000;
const MIN_BYTES_PER_SECOND = 1024;

/** The other side does not stand still, but would keep us for ever. */
export class TooSlowError extends EngineError {
  constructor(words: string, does: 'sends' | 'takes', { minBytesPerSecond, stallMs }: Pace) {
    super(
      'unavailable',
      `${words}: the registry ${does} less than ${minBytesPerSecond} bytes a second (measured over ${stallMs / 1000} s; the setting registry-min-rate)`,
    );
  }
}

export function paceLimits({ stallMs, minBytesPerSecond }: PaceLimits): Pace {
  return { stallMs: stallMs ?? STALL_MS, minBytesPerSecond: minBytesPerSecond ?? MIN_BYTES_PER_SECOND };
}

/** The body of an answer, to be read or destroyed. Throws TooSlowError; that it stands still is the connection's to say. */
export class ResponseBody implements AsyncIterable<Buffer> {
  readonly #message: IncomingMessage;
  readonly #limits: Pace;
  readonly #words: string;

  constructor(message: IncomingMessage, limits: Pace, words: string) {
    this.#message = message;
    this.#limits = limits;
    this.#words = words;
  }

  destroy(): void {
    this.#message.destroy();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    const { stallMs, minBytesPerSecond } = this.#limits;
    const enough = (minBytesPerSecond * stallMs) / 1000;
    // Only the time in which we wait counts: that a disk of ours is slow is not the registry's fault.
    let waited = 0;
    let bytes = 0;
    let asked = performance.now();
    for await (const chunk of this.#message as AsyncIterable<Buffer>) {
      waited += performance.now() - asked;
      bytes += chunk.byteLength;
      if (bytes >= enough) waited = bytes = 0;
      else if (waited >= stallMs) throw new TooSlowError(this.#words, 'sends', this.#limits);
      yield chunk;
      asked = performance.now();
    }
  }
}

import { randomBytes } from 'node:crypto';
import type { LogMessage } from './log-sink.ts';

/** A line of the record of a container's output, or the part of one that one read returned. */
export interface PrintedLine {
  /** Nanoseconds since the epoch. */
  readonly time: bigint;
  readonly stream: 1 | 2;
  readonly text: Buffer;
  /** A newline was behind it. */
  readonly whole: boolean;
}

/** Bytes of the longest message, as with Docker: a longer line goes in pieces. */
const LONGEST = 16 * 1024;

interface Unfinished {
  readonly time: bigint;
  readonly parts: Buffer[];
  size: number;
  readonly id?: string;
  readonly ordinal: number;
}

/** Puts the parts of lines together again. Keeps no more than a piece of each stream. */
export class Messages {
  readonly #unfinished: [undefined, Unfinished | undefined, Unfinished | undefined] = [undefined, undefined, undefined];

  /** Something is kept that is in no message yet. */
  get pending(): boolean {
    return this.#unfinished.some((line) => line !== undefined);
  }

  take({ time, stream, text, whole }: PrintedLine): LogMessage[] {
    const found: LogMessage[] = [];
    const line = (this.#unfinished[stream] ??= { time, parts: [], size: 0, ordinal: 1 });
    line.parts.push(Buffer.from(text));
    line.size += text.length;
    while (this.#unfinished[stream]!.size > LONGEST) found.push(this.#cut(stream));
    if (whole) {
      const { id, ordinal, parts, time: begun } = this.#unfinished[stream]!;
      this.#unfinished[stream] = undefined;
      found.push(message(begun, stream, parts, id === undefined ? undefined : { id, ordinal, last: true }));
    }
    return found;
  }

  /** What a run has printed without a newline at its end. */
  rest(): LogMessage[] {
    return ([1, 2] as const).flatMap((stream) => {
      const line = this.#unfinished[stream];
      this.#unfinished[stream] = undefined;
      if (!line || line.size === 0) return [];
      return [message(line.time, stream, line.parts, { id: line.id ?? newId(), ordinal: line.ordinal, last: false })];
    });
  }

  #cut(stream: 1 | 2): LogMessage {
    const { time, parts, size, ordinal, id = newId() } = this.#unfinished[stream]!;
    const whole = Buffer.concat(parts);
    this.#unfinished[stream] = {
      time,
      parts: [whole.subarray(LONGEST)],
      size: size - LONGEST,
      id,
      ordinal: ordinal + 1,
    };
    return message(time, stream, [whole.subarray(0, LONGEST)], { id, ordinal, last: false });
  }
}

function message(time: bigint, stream: 1 | 2, parts: readonly Buffer[], piece: LogMessage['piece']): LogMessage {
  return { time, stream: stream === 1 ? 'stdout' : 'stderr', text: Buffer.concat(parts), piece };
}

function newId(): string {
  return randomBytes(32).toString('hex');
}

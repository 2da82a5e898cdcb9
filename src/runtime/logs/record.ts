import { formatNanos, parseTime } from '../../base/time.ts';
import type { OutputChunk } from '../task.ts';

/**
 * The record that conmon keeps of a container's output, as Kubernetes has it: one line for each line printed, or part of
 * one, all of the same shape since the monitor's time zone is UTC:
 *
 *     2026-01-02T03:04:05.678901234+00:00 stdout F a whole line
 *     2026-01-02T03:04:05.678901234+00:00 stderr P the part of a line before its newline
 *
 * The text of an `F` line had a newline behind it, that of a `P` line had none: so every byte printed can be given back.
 */
export interface RecordFilter {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Nanoseconds since the epoch, both ends included. A line belongs to the time of its first part. */
  readonly since?: bigint | undefined;
  readonly until?: bigint | undefined;
  /** Put the time in front of each line, as Docker prints it: nine digits and `Z`. */
  readonly timestamps?: boolean | undefined;
  /** Put this, and a space, in front of each line (behind the time). */
  readonly details?: string | undefined;
}

/** Turns stretches of the record into what was printed. Keeps no more than which lines are unfinished. */
export class RecordDecoder {
  readonly #filter: RecordFilter;
  readonly #since: Buffer | undefined;
  readonly #until: Buffer | undefined;
  readonly #details: Buffer;
  /** By stream: the line now being printed has begun, and whether it is among those wanted. */
  readonly #unfinished: [undefined, boolean | undefined, boolean | undefined] = [undefined, undefined, undefined];

  constructor(filter: RecordFilter) {
    this.#filter = filter;
    this.#since = filter.since === undefined ? undefined : timeText(filter.since);
    this.#until = filter.until === undefined ? undefined : timeText(filter.until);
    this.#details = Buffer.from(filter.details === undefined ? '' : `${filter.details} `);
  }

  /**
   * Decodes the whole lines of `block`, whose bytes it takes over, and skips damaged ones. Consecutive output of one
   * stream comes in one chunk. `consumed` is where the first unfinished line of the record begins; `past` is true once a
   * line later than `until` was met.
   */
  decode(block: Buffer): { readonly chunks: OutputChunk[]; readonly consumed: number; readonly past: boolean } {
    const decorated = this.#filter.timestamps === true || this.#details.length > 0;
    const chunks: OutputChunk[] = [];
    let at = 0;
    let written = 0; // decoded text is moved to the front of the block: it never outgrows the lines it came from
    let from = 0;
    let current: 0 | 1 | 2 = 0;
    const flush = (): void => {
      if (written > from && current !== 0) chunks.push({ stream: current, data: block.subarray(from, written) });
      from = written;
    };
    for (;;) {
      const newline = block.indexOf(NEWLINE, at);
      if (newline < 0) break;
      const start = at;
      at = newline + 1;
      const stream = streamOf(block, start, newline);
      if (stream === 0) continue;
      const first = this.#unfinished[stream] === undefined;
      if (first && this.#until && block.compare(this.#until, 0, TIME, start, start + TIME) > 0) {
        flush();
        return { chunks, consumed: at, past: true };
      }
      const wanted = this.#unfinished[stream] ?? this.#wanted(block, start, stream);
      const whole = block[start + TAG] === WHOLE;
      this.#unfinished[stream] = whole ? undefined : wanted;
      if (!wanted) continue;
      if (stream !== current) {
        flush();
        current = stream;
      }
      if (decorated && first) {
        // Details may be longer than the line's own header, so such lines are chunks of their own.
        flush();
        chunks.push({ stream, data: this.#decorate(block, start, whole ? at : newline) });
        continue;
      }
      const end = whole ? at : newline;
      block.copyWithin(written, start + HEADER, end);
      written += end - start - HEADER;
    }
    flush();
    return { chunks, consumed: at, past: false };
  }

  /** The stream begins in the middle of a line that is not wanted. */
  skipRest(stream: 1 | 2): void {
    this.#unfinished[stream] = false;
  }

  #wanted(block: Buffer, start: number, stream: 1 | 2): boolean {
    if (!(stream === 1 ? this.#filter.stdout : this.#filter.stderr)) return false;
    return this.#since === undefined || block.compare(this.#since, 0, TIME, start, start + TIME) >= 0;
  }

  #decorate(block: Buffer, start: number, end: number): Buffer {
    const time = this.#filter.timestamps ? `${block.toString('latin1', start, start + TIME)}Z ` : '';
    return Buffer.concat([Buffer.from(time, 'latin1'), this.#details, block.subarray(start + HEADER, end)]);
  }
}

/** One line of the record, whatever it is part of. */
export interface RecordLine {
  /** Nanoseconds since the epoch. */
  readonly time: bigint;
  readonly stream: 1 | 2;
  /** Of the block that was decoded. */
  readonly text: Buffer;
  /** A newline was behind it. */
  readonly whole: boolean;
}

/** The lines that are whole in `block`, without the damaged ones, and where the first unfinished one begins. */
export function decodeLines(block: Buffer): { readonly lines: RecordLine[]; readonly consumed: number } {
  const lines: RecordLine[] = [];
  let at = 0;
  for (;;) {
    const newline = block.indexOf(NEWLINE, at);
    if (newline < 0) return { lines, consumed: at };
    const stream = streamOf(block, at, newline);
    const time = stream === 0 ? undefined : parseTime(`${block.toString('latin1', at, at + TIME)}Z`);
    if (stream !== 0 && time !== undefined) {
      lines.push({ time, stream, text: block.subarray(at + HEADER, newline), whole: block[at + TAG] === WHOLE });
    }
    at = newline + 1;
  }
}

/**
 * Looks backwards through `block`, which ends with a whole record, for where the last `count` lines begin. When `done`,
 * that is at `offset`; otherwise it is further back: `found` of them end here, and `offset` is where the block's first
 * whole record begins.
 */
export function findLastLines(
  block: Buffer,
  count: number,
  options: { readonly isEnd: boolean; readonly isStart: boolean },
): { readonly offset: number; readonly found: number; readonly done: boolean } {
  let end = block.length;
  let found = 0;
  let last = options.isEnd;
  for (;;) {
    const start = end < 2 ? 0 : block.lastIndexOf(NEWLINE, end - 2) + 1;
    if (start === 0 && !options.isStart) return { offset: end, found, done: false };
    if (end > start && streamOf(block, start, end - 1) !== 0) {
      // A line counts at its end; the one still being printed counts as well.
      if (block[start + TAG] === WHOLE || last) {
        if (found === count) return { offset: end, found, done: true };
        found++;
      }
      last = false;
    }
    if (start === 0) return { offset: 0, found, done: false };
    end = start;
  }
}

/** Streams that have an unfinished line at the end of `block`, as far as it shows. */
export function unfinishedStreams(block: Buffer): (1 | 2)[] {
  const last: Partial<Record<1 | 2, boolean>> = {};
  for (let end = block.lastIndexOf(NEWLINE); end > 0 && (last[1] === undefined || last[2] === undefined);) {
    const before = block.lastIndexOf(NEWLINE, end - 1);
    const stream = before < 0 ? 0 : streamOf(block, before + 1, end);
    if (stream !== 0) last[stream] ??= block[before + 1 + TAG] === PART;
    end = before;
  }
  return ([1, 2] as const).filter((stream) => last[stream]);
}

/** Of `2026-01-02T03:04:05.678901234`. */
const TIME = 29;
const TAG = 43;
const HEADER = 45;
const NEWLINE = 0x0a;
const SPACE = 0x20;
const WHOLE = 0x46;
const PART = 0x50;

/** 1 or 2; 0 when what stands from `start` to the newline is no line of the record. */
function streamOf(block: Buffer, start: number, newline: number): 0 | 1 | 2 {
  if (newline < start + HEADER || block[start + 35] !== SPACE || block[start + 42] !== SPACE) return 0;
  if (block[start + 44] !== SPACE || block[start + 10] !== 0x54) return 0;
  const tag = block[start + TAG];
  if (tag !== WHOLE && tag !== PART) return 0;
  const letter = block[start + 39];
  if (letter === 0x6f) return 1; // stdOut
  return letter === 0x65 ? 2 : 0; // stdErr
}

function timeText(nanos: bigint): Buffer {
  const [seconds, fraction = ''] = formatNanos(nanos < 0n ? 0n : nanos)
    .slice(0, -1)
    .split('.');
  return Buffer.from(`${seconds}.${fraction.padEnd(9, '0')}`, 'latin1');
}

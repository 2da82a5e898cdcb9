/** Nanoseconds since the epoch, of the wall clock, at the clock's own resolution where Node gives it (µs). */
export function nowNanos(): bigint {
  const fine = performance.timeOrigin + performance.now() + skew;
  const wall = Date.now();
  // the clock was set, or the machine slept: the fine clock counts on from where the process began
  if (Math.abs(wall - fine) <= CLOCK_SLACK_MS) return BigInt(Math.round(fine * 1000)) * 1000n;
  skew += wall - fine;
  return BigInt(wall) * 1_000_000n;
}

/** What a timer can wait, of a wish that may be longer: past 24 days it would not wait at all. */
export function timerMs(ms: number): number {
  return Math.min(ms, 2 ** 31 - 1);
}

const CLOCK_SLACK_MS = 2;
let skew = 0;

const MAX_SECONDS = 8_640_000_000_000;

/** RFC 3339 with nanoseconds in UTC, as Docker prints times: `2026-01-02T03:04:05.678901234Z`. Trailing zeros are kept off, as in Go. */
export function formatNanos(nanos: bigint): string {
  const part = ((nanos % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  // what files of strangers claim may be outside of what a Date can hold
  const seconds = Math.max(-MAX_SECONDS, Math.min(MAX_SECONDS, Number((nanos - part) / 1_000_000_000n)));
  const fraction = String(part).padStart(9, '0').replace(/0+$/, '');
  const base = new Date(seconds * 1000).toISOString().slice(0, -5);
  return fraction === '' ? `${base}Z` : `${base}.${fraction}Z`;
}

/** Go's zero time, which Docker answers for 'never'. */
export const ZERO_TIME = '0001-01-01T00:00:00Z';

/** The current time as RFC 3339 with nanoseconds. */
export function now(): string {
  return formatNanos(nowNanos());
}

/** Nanoseconds of an RFC 3339 time, with any offset and up to nine fractional digits; undefined when it is none. */
export function parseTime(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:?\d\d)$/.exec(text);
  if (!match) return undefined;
  const zone = match[4]!.toUpperCase();
  const millis = Date.parse(`${match[1]}T${match[2]}${zone}`);
  if (Number.isNaN(millis)) return undefined;
  return BigInt(millis) * 1_000_000n + BigInt((match[3] ?? '').padEnd(9, '0'));
}

/** What `result` gives; undefined when it takes longer than `milliseconds`. */
export async function within<T>(milliseconds: number, result: Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, milliseconds, undefined);
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}

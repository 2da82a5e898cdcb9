const UNIT_NANOS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Nanoseconds of Go's durations (`1h30m`, `500ms`, `-1.5h`, `0`); undefined when it is none. */
export function parseGoDuration(text: string): number | undefined {
  const match = /^([+-]?)(.+)$/.exec(text);
  if (!match) return undefined;
  let rest = match[2]!;
  if (rest === '0') return 0;
  let nanos = 0;
  while (rest !== '') {
    const part = /^(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/.exec(rest);
    if (!part) return undefined;
    nanos += Number(part[1]) * UNIT_NANOS[part[2]!]!;
    rest = rest.slice(part[0].length);
  }
  return Math.round(match[1] === '-' ? -nanos : nanos);
}

import { EngineError } from '../../base/errors.ts';

const NANOS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
  d: 86_400e9,
  w: 604_800e9,
};

/** Nanoseconds of `1h5m30s`, `500ms`, `90s`. Throws `invalid-argument`. */
export function parseDuration(text: string): number {
  if (text === '0') return 0;
  let rest = text;
  let nanos = 0;
  while (rest !== '') {
    const part = /^(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h|d|w)/.exec(rest);
    if (!part) throw new EngineError('invalid-argument', `time: invalid duration ${JSON.stringify(text)}`);
    nanos += Number(part[1]) * NANOS[part[2]!]!;
    rest = rest.slice(part[0].length);
  }
  if (text === '') throw new EngineError('invalid-argument', 'time: invalid duration ""');
  return Math.round(nanos);
}

/** As Go prints durations: `1m30s`, `1h0m0s`, `500ms`. */
export function formatDuration(nanos: number): string {
  if (nanos === 0) return '0s';
  if (nanos < 1e3) return `${nanos}ns`;
  if (nanos < 1e6) return `${nanos / 1e3}µs`;
  if (nanos < 1e9) return `${nanos / 1e6}ms`;
  const hours = Math.floor(nanos / 3600e9);
  const minutes = Math.floor((nanos % 3600e9) / 60e9);
  const seconds = Number(((nanos % 60e9) / 1e9).toFixed(9));
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`;
}

const SIZES: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };

/** Bytes of `64m`, `1.5GB`, `2048`; units of 1024. Throws `invalid-argument`. */
export function parseSize(text: string): number {
  if (text === '-1') return -1;
  const match = /^(\d+(?:\.\d+)?|\.\d+) ?([kmgtp]?)(?:i?b)?$/i.exec(text);
  if (!match) throw new EngineError('invalid-argument', `invalid size: '${text}'`);
  return Math.trunc(Number(match[1]) * SIZES[match[2]!.toLowerCase()]!);
}

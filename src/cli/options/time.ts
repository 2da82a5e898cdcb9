import { parseTime } from '../../base/time.ts';
import { CommandError } from '../command.ts';
import { parseGoDuration } from './duration.ts';

/**
 * `--since` and `--until` as the API takes them, seconds with a fraction: an RFC 3339 time (a date alone too, in the
 * local zone), seconds since the epoch, or a duration back from now.
 */
export function parseMoment(text: string, now = Date.now()): string {
  const back = parseGoDuration(text);
  if (back !== undefined && text !== '0') {
    const nanos = BigInt(now) * 1_000_000n - BigInt(back);
    return `${nanos / 1_000_000_000n}.${String(nanos % 1_000_000_000n).padStart(9, '0')}`;
  }
  if (/^\d+(\.\d{1,9})?$/.test(text)) return text;
  const nanos = parseTime(text) ?? localTime(text);
  if (nanos === undefined) {
    throw new CommandError(
      `failed to parse value as time or duration: ${JSON.stringify(text)} (use 42m, 2026-01-02T15:04:05Z or seconds since the epoch)`,
    );
  }
  return `${nanos / 1_000_000_000n}.${String(nanos % 1_000_000_000n).padStart(9, '0')}`;
}

/** A date, or date and time, without a zone: local. */
function localTime(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?(Z)?$/.exec(text);
  if (!match) return undefined;
  const millis = Date.parse(`${match[1]}T${match[2] ?? '00'}:${match[3] ?? '00'}:${match[4] ?? '00'}${match[6] ?? ''}`);
  if (Number.isNaN(millis)) return undefined;
  return BigInt(millis) * 1_000_000n + BigInt((match[5] ?? '').padEnd(9, '0'));
}

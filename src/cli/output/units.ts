/** Sizes and times in docker's words. */

const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB'];
const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB', 'ZiB', 'YiB'];

/** `1.984MB`: `digits` significant digits, units of 1000. */
export function humanSize(bytes: number, digits = 4): string {
  const [value, unit] = scale(bytes, 1000, DECIMAL);
  return `${significant(value, digits)}${unit}`;
}

/** `1.938MiB`: units of 1024, four significant digits. */
export function binarySize(bytes: number): string {
  const [value, unit] = scale(bytes, 1024, BINARY);
  return `${significant(value, 4)}${unit}`;
}

function scale(bytes: number, base: number, units: readonly string[]): [number, string] {
  let value = bytes;
  let i = 0;
  while (value >= base && i < units.length - 1) {
    value /= base;
    i++;
  }
  return [value, units[i]!];
}

/** Go's `%.Ng`. */
export function significant(value: number, digits: number): string {
  if (value === 0) return '0';
  const exponent = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits)))));
  if (exponent < -4 || exponent >= digits) {
    return Number(value.toPrecision(digits))
      .toExponential()
      .replace(/e([+-])(\d)$/, 'e$10$2');
  }
  return String(Number(value.toPrecision(digits)));
}

/** `5 minutes`, `About an hour`, `2 weeks` */
export function humanDuration(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / 1000);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.trunc(milliseconds / 60_000);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.trunc(milliseconds / 3_600_000 + 0.5);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(milliseconds / 3_600_000 / 24 / 365)} years`;
}

/** `5 minutes ago`; empty for 'never'. */
export function timeAgo(seconds: number, now = Date.now()): string {
  return seconds <= 0 ? '' : `${humanDuration(Math.max(0, now - seconds * 1000))} ago`;
}

/** `2026-11-23 17:38:45 +0000 UTC`: Go's default way to print a time, in the local zone. */
export function goTime(milliseconds: number, fraction = ''): string {
  const date = new Date(milliseconds);
  const offset = -date.getTimezoneOffset();
  const local = new Date(milliseconds + offset * 60_000).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 19)}${fraction} ${zone(offset, '')} ${zoneName(date, offset)}`;
}

/** The same of an RFC 3339 time, with its fraction. */
export function goTimeText(text: string): string {
  const fraction = /\.\d+/.exec(text)?.[0].replace(/0+$/, '') ?? '';
  return goTime(Date.parse(text.replace(/\.\d+/, '')), fraction === '.' ? '' : fraction);
}

/** RFC 3339 in the local zone: `2026-11-23T17:38:45+01:00`. */
export function localRfc3339(milliseconds: number): string {
  const offset = -new Date(milliseconds).getTimezoneOffset();
  const local = new Date(milliseconds + offset * 60_000).toISOString().slice(0, 19);
  return offset === 0 ? `${local}Z` : `${local}${zone(offset, ':')}`;
}

export function zone(minutes: number, separator: string): string {
  const absolute = Math.abs(minutes);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.trunc(absolute / 60))}${separator}${two(absolute % 60)}`;
}

function zoneName(date: Date, offset: number): string {
  if (offset === 0) return 'UTC';
  const part = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' })
    .formatToParts(date)
    .find(({ type }) => type === 'timeZoneName');
  return part && !part.value.startsWith('GMT') ? part.value : zone(offset, '');
}

/** RFC 3339 with nine digits of fraction, in the local zone. */
export function localNanos(nanos: bigint): string {
  const millis = Number(nanos / 1_000_000n);
  const fraction = String(nanos % 1_000_000_000n).padStart(9, '0');
  return localRfc3339(millis).replace(/(\d\d:\d\d:\d\d)/, `$1.${fraction}`);
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Decimal units, as the command line shows sizes. */
export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toPrecision(3)} ${UNITS[unit]}`;
}

/** `3 minutes` since a moment in seconds of the epoch. */
export function age(seconds: number): string {
  const passed = Math.max(0, Date.now() / 1000 - seconds);
  const steps: readonly [number, string][] = [
    [60, 'second'],
    [3600, 'minute'],
    [86400, 'hour'],
    [86400 * 30, 'day'],
    [86400 * 365, 'month'],
    [Infinity, 'year'],
  ];
  const at = steps.findIndex(([until]) => passed < until);
  const count = Math.floor(at === 0 ? passed : passed / steps[at - 1]![0]);
  return `${count} ${steps[at]![1]}${count === 1 ? '' : 's'}`;
}

export function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}

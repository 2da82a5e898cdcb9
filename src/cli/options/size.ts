const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };

/** Docker's RAM sizes: `64m`, `1.5g`, `512` (bytes), `2GiB`. Throws an Error in Docker's words. */
export function parseByteSize(text: string): number {
  const match = /^(\d+(?:\.\d+)*|\d*\.\d+) ?([kKmMgGtTpP]?)(?:[iI]?[bB])?$/.exec(text);
  const value = match ? Number(match[1]) : Number.NaN;
  if (!match || Number.isNaN(value)) throw new Error(`invalid size: '${text}'`);
  return Math.trunc(value * UNITS[match[2]!.toLowerCase()]!);
}

/** `1.5` → 1 500 000 000. Exact: no more digits than the kernel's unit has. */
export function parseNanoCpus(text: string): number {
  const match = /^\+?(\d*)(?:\.(\d*))?$/.exec(text);
  if (!match || (match[1] === '' && (match[2] ?? '') === '')) {
    if (text.startsWith('-') && !Number.isNaN(Number(text))) return Math.round(Number(text) * 1e9);
    throw new Error(`failed to parse ${text} as a rational number`);
  }
  const fraction = (match[2] ?? '').replace(/0+$/, '');
  if (fraction.length > 9) throw new Error('value is too precise');
  return Number(match[1] === '' ? '0' : match[1]) * 1e9 + Number(fraction.padEnd(9, '0'));
}

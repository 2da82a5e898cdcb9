/** Values of log options. All throw an Error in Docker's words. */
import type { DriverOptions } from './log-sink.ts';

export function truth(options: DriverOptions, name: string, otherwise = false): boolean {
  const text = options.get(name) ?? '';
  if (text === '') return otherwise;
  if (/^(?:1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(?:0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw new Error(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

export function count(options: DriverOptions, name: string): number | undefined {
  const text = options.get(name) ?? '';
  if (text === '') return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new Error(`strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

const UNITS: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5 };

/** `1m30s`, in milliseconds. */
export function duration(options: DriverOptions, name: string): number | undefined {
  const text = options.get(name) ?? '';
  if (text === '') return undefined;
  if (!/^(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+$/.test(text))
    throw new Error(`time: invalid duration ${JSON.stringify(text)}`);
  let milliseconds = 0;
  for (const [, number, unit] of text.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g))
    milliseconds += Number(number) * UNITS[unit!]!;
  return milliseconds;
}

/** The scheme and what is behind it; a text without one has none. */
export function scheme(address: string): [scheme: string, rest: string] {
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(address);
  return match ? [match[1]!.toLowerCase(), match[2]!] : ['', address];
}

/** `host:port`, `[::1]:port`, `host`. */
export function hostAndPort(text: string): { readonly host: string; readonly port?: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:/[\]]*))(?::(\d{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const port = match[3] === undefined ? undefined : Number(match[3]);
  if (port !== undefined && port > 65_535) return undefined;
  return { host: match[1] ?? match[2] ?? '', ...(port !== undefined && { port }) };
}

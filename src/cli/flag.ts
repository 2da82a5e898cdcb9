/** The kinds of flags, with the syntax, the words for help and the complaints of Docker's own (Go's pflag). */
import { parseByteSize, parseNanoCpus } from './options/size.ts';
import { parseGoDuration } from './options/duration.ts';

/** How one flag is read. `T` is what the command gets. */
export interface Flag<T> {
  /** The word after its name in help; empty for a switch. */
  readonly kind: string;
  readonly help: string;
  readonly short: string | undefined;
  readonly initial: T;
  /** Shown in help as `(default …)`. */
  readonly defaultText: string | undefined;
  readonly hidden: boolean;
  /** Printed on stderr when used, after `Flag --x has been deprecated, `. */
  readonly deprecated: string | undefined;
  /** What stands for the value when none is given: only switches have one. */
  readonly implied: string | undefined;
  /** Names the completion of its value: `container`, `image`, `file`, or words. */
  readonly complete: string | readonly string[] | undefined;
  /** Throws a plain Error with the reason. `previous` is `initial` or what an earlier use gave. */
  parse(text: string, previous: T): T;
}

export type Flags = Readonly<Record<string, Flag<unknown>>>;
export type FlagValues<F extends Flags> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

export interface FlagOptions<T> {
  readonly short?: string;
  readonly initial?: T;
  readonly defaultText?: string;
  readonly hidden?: boolean;
  readonly deprecated?: string;
  readonly kind?: string;
  readonly complete?: string | readonly string[];
}

function flag<T>(
  kind: string,
  help: string,
  initial: T,
  options: FlagOptions<T>,
  parse: Flag<T>['parse'],
  implied?: string,
): Flag<T> {
  return {
    kind: options.kind ?? kind,
    help,
    short: options.short,
    initial: options.initial ?? initial,
    defaultText: options.defaultText,
    hidden: options.hidden ?? false,
    deprecated: options.deprecated,
    implied,
    complete: options.complete,
    parse,
  };
}

export function bool(help: string, options: FlagOptions<boolean> = {}): Flag<boolean> {
  const defaultText = options.defaultText ?? (options.initial === true ? 'true' : undefined);
  return flag(
    '',
    help,
    false,
    { ...options, ...(defaultText === undefined ? {} : { defaultText }) },
    parseBool,
    'true',
  );
}

export function string(help: string, options: FlagOptions<string> = {}): Flag<string> {
  const defaultText = options.defaultText ?? (options.initial ? `"${options.initial}"` : undefined);
  return flag(
    'string',
    help,
    '',
    { ...options, ...(defaultText === undefined ? {} : { defaultText }) },
    (text) => text,
  );
}

/** A text that may be left out after the flag: then it is `true`. A value follows an equals sign. */
export function optional(help: string, options: FlagOptions<string> = {}): Flag<string> {
  return flag('string', help, '', options, (text) => text, 'true');
}

/** A 64 bit integer; `initial` is 0 where the command does not look at whether it was given. */
export function int(help: string, options: FlagOptions<number> = {}): Flag<number> {
  const defaultText = options.defaultText ?? (options.initial ? String(options.initial) : undefined);
  return flag('int', help, 0, { ...options, ...(defaultText === undefined ? {} : { defaultText }) }, (text) =>
    parseInteger(text, 'ParseInt'),
  );
}

export function uint16(help: string, options: FlagOptions<number> = {}): Flag<number> {
  return flag('uint16', help, 0, { defaultText: '0', ...options }, (text) => {
    const value = parseInteger(text, 'ParseUint');
    if (value < 0 || value > 65535) throw new Error(`strconv.ParseUint: parsing ${quote(text)}: value out of range`);
    return value;
  });
}

/** Repeatable; each use adds one value as it stands. */
export function list(help: string, options: FlagOptions<readonly string[]> = {}): Flag<readonly string[]> {
  return flag<readonly string[]>('list', help, [], options, (text, previous) => [...previous, text]);
}

/** Repeatable, and each use may hold several values with commas between. */
export function strings(help: string, options: FlagOptions<readonly string[]> = {}): Flag<readonly string[]> {
  return flag<readonly string[]>('strings', help, [], options, (text, previous) => [
    ...previous,
    ...(text === '' ? [] : text.split(',')),
  ]);
}

/** Repeatable `key=value`; a later value of a key replaces the earlier. */
export function map(
  help: string,
  options: FlagOptions<ReadonlyMap<string, string>> & { readonly check?: (text: string) => void } = {},
): Flag<ReadonlyMap<string, string>> {
  const initial: ReadonlyMap<string, string> = new Map();
  return flag('map', help, initial, { defaultText: 'map[]', ...options }, (text, previous) => {
    options.check?.(text);
    const cut = text.indexOf('=');
    return new Map([...previous, cut < 0 ? [text, ''] : [text.slice(0, cut), text.slice(cut + 1)]]);
  });
}

/** `--filter key=value`: keys in lower case, trimmed, as Docker does. */
export function filters(
  help: string,
  options: FlagOptions<ReadonlyMap<string, readonly string[]>> = {},
): Flag<ReadonlyMap<string, readonly string[]>> {
  return flag<ReadonlyMap<string, readonly string[]>>('filter', help, new Map(), options, (text, previous) => {
    if (text === '') return previous;
    const cut = text.indexOf('=');
    if (cut < 0) throw new Error('bad format of filter (expected name=value)');
    const key = text.slice(0, cut).trim().toLowerCase();
    const value = text.slice(cut + 1).trim();
    return new Map([...previous, [key, [...(previous.get(key) ?? []), value]]]);
  });
}

/** Bytes, with `b`, `k`, `m`, `g`, `t` of 1024. */
export function bytes(help: string, options: FlagOptions<number> = {}): Flag<number> {
  return flag('bytes', help, 0, options, parseByteSize);
}

/** As `bytes`, and -1 for no limit. */
export function swapBytes(help: string, options: FlagOptions<number> = {}): Flag<number> {
  return flag('bytes', help, 0, options, (text) => (text === '-1' ? -1 : parseByteSize(text)));
}

/** Nanoseconds. */
export function duration(help: string, options: FlagOptions<number> = {}): Flag<number> {
  return flag('duration', help, 0, { defaultText: '0s', ...options }, (text) => {
    const value = parseGoDuration(text);
    if (value === undefined) throw new Error(`time: invalid duration ${quote(text)}`);
    return value;
  });
}

/** CPUs in units of 10⁻⁹. */
export function cpus(help: string, options: FlagOptions<number> = {}): Flag<number> {
  return flag('decimal', help, 0, options, parseNanoCpus);
}

/** Any repeatable flag with a syntax of its own: `parse` gives one item. */
export function each<T>(
  kind: string,
  help: string,
  parse: (text: string) => T,
  options: FlagOptions<readonly T[]> = {},
): Flag<readonly T[]> {
  return flag<readonly T[]>(kind, help, [], options, (text, previous) => [...previous, parse(text)]);
}

function parseBool(text: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  throw new Error(`strconv.ParseBool: parsing ${quote(text)}: invalid syntax`);
}

function parseInteger(text: string, name: 'ParseInt' | 'ParseUint'): number {
  const sign = name === 'ParseInt' ? '[+-]?' : '';
  if (!new RegExp(`^${sign}(\\d+|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)$`).test(text)) {
    throw new Error(`strconv.${name}: parsing ${quote(text)}: invalid syntax`);
  }
  const digits = text.replace(/^[+-]/, '');
  const value = Number(/^0[0-7]+$/.test(digits) ? `0o${digits}` : digits) * (text.startsWith('-') ? -1 : 1);
  if (!Number.isSafeInteger(value)) throw new Error(`strconv.${name}: parsing ${quote(text)}: value out of range`);
  return value;
}

/** Go's `%q`, for what people type. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

import { GoMap, GoStruct } from './go-value.ts';
import { entriesOf, goJson, goString } from './print.ts';

export type TemplateFunction = (...args: unknown[]) => unknown;

/** Go's idea of truth: not zero, not empty. */
export function truth(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof GoStruct) return true;
  if (typeof value === 'object') return Object.keys(value).length > 0;
  return Boolean(value);
}

/** As Go's HTMLEscape writes them. */
const HTML_ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};

/** The functions docker's templates have: Go's own and docker's. A Map, since names come from users. */
export const FUNCTIONS: ReadonlyMap<string, TemplateFunction> = new Map<string, TemplateFunction>([
  ['json', (value) => goJson(value ?? null)],
  ['split', (text, separator) => goString(text).split(goString(separator))],
  ['join', (items, separator) => asList(items).map(goString).join(goString(separator))],
  [
    'title',
    (text) =>
      goString(text).replace(
        /(^|[\s\p{P}])(\p{L})/gu,
        (_, before: string, letter: string) => before + letter.toUpperCase(),
      ),
  ],
  ['lower', (text) => goString(text).toLowerCase()],
  ['upper', (text) => goString(text).toUpperCase()],
  ['pad', (text, before, after) => (text === '' ? '' : blanks(before) + goString(text) + blanks(after))],
  ['truncate', (text, length) => goString(text).slice(0, Number(length))],
  ['println', (...args) => `${args.map(goString).join(' ')}\n`],
  ['print', (...args) => printArgs(args)],
  ['printf', (format, ...args) => printf(goString(format), args)],
  ['len', (value) => lengthOf(value)],
  ['index', (value, ...keys) => keys.reduce((item, key) => indexOf(item, key), value)],
  ['slice', (value, from, to) => sliceOf(value, Number(from ?? 0), to === undefined ? undefined : Number(to))],
  ['eq', (one, ...others) => others.some((other) => compare(one, other) === 0)],
  ['ne', (one, other) => compare(one, other) !== 0],
  ['lt', (one, other) => compare(one, other) < 0],
  ['le', (one, other) => compare(one, other) <= 0],
  ['gt', (one, other) => compare(one, other) > 0],
  ['ge', (one, other) => compare(one, other) >= 0],
  ['not', (value) => !truth(value)],
  ['html', (text) => goString(text).replace(/[&<>"']/g, (char) => HTML_ESCAPES[char]!)],
  [
    'js',
    (text) =>
      goString(text).replace(/["'\\<>&=]/g, (char) =>
        /["'\\]/.test(char) ? `\\${char}` : `\\u00${char.charCodeAt(0).toString(16).toUpperCase()}`,
      ),
  ],
  ['urlquery', (text) => encodeURIComponent(goString(text)).replaceAll('%20', '+')],
]);

/** As wide as Go's own verbs may be. */
const WIDEST = 1e6;

function blanks(count: unknown): string {
  if (!(Number(count) <= WIDEST)) throw new Error(`more than ${WIDEST} blanks`);
  return ' '.repeat(Number(count));
}

function asList(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (value === null || value === undefined) return [];
  throw new Error(`wrong type for value; expected []string; got ${typeof value}`);
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (typeof value === 'object' && value !== null) return entriesOf(value).length;
  if (value === null || value === undefined) throw new Error('len of nil pointer');
  throw new Error(`len of type ${typeof value}`);
}

function indexOf(value: unknown, key: unknown): unknown {
  if (Array.isArray(value)) {
    const at = Number(key);
    if (!Number.isInteger(at) || at < 0 || at >= value.length)
      throw new Error(`error calling index: reflect: slice index out of range`);
    return value[at] as unknown;
  }
  if (value instanceof GoStruct) return indexOf(value.document, key);
  if (value instanceof Map) {
    const map = value as Map<string, unknown>;
    return map.has(goString(key)) || !(map instanceof GoMap) ? map.get(goString(key)) : map.zero;
  }
  if (typeof value === 'string') return value.charCodeAt(Number(key));
  if (typeof value === 'object' && value !== null) {
    const name = goString(key);
    return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  }
  throw new Error('error calling index: index of untyped nil');
}

function sliceOf(value: unknown, from: number, to: number | undefined): unknown {
  if (typeof value !== 'string' && !Array.isArray(value)) throw new Error("error calling slice: can't slice item");
  if (from < 0 || (to ?? from) > value.length || from > value.length)
    throw new Error('error calling slice: index out of range');
  return value.slice(from, to);
}

function compare(one: unknown, other: unknown): number {
  if (typeof one === 'string' && typeof other === 'string') return one < other ? -1 : one > other ? 1 : 0;
  if (isNumber(one) && isNumber(other)) return Number(one) - Number(other);
  if (typeof one === 'boolean' && typeof other === 'boolean') return Number(one) - Number(other);
  if (one == null && other == null) return 0;
  if (one == null || other == null) return 1;
  throw new Error('error calling eq: incompatible types for comparison');
}

function isNumber(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

/** Go's Print: a space between neighbours that are both no strings. */
function printArgs(args: readonly unknown[]): string {
  return args
    .map((arg, i) =>
      i > 0 && typeof arg !== 'string' && typeof args[i - 1] !== 'string' ? ` ${goString(arg)}` : goString(arg),
    )
    .join('');
}

function printf(format: string, args: readonly unknown[]): string {
  let used = 0;
  const text = format.replace(
    /%([-+# 0]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])/g,
    (_, flags: string, width: string | undefined, precision: string | undefined, verb: string) => {
      if (verb === '%') return '%';
      if (Number(width ?? 0) > WIDEST) return '%!(BADWIDTH)';
      if (used >= args.length) return `%!${verb}(MISSING)`;
      const shown = formatVerb(verb, args[used++], flags, precision === undefined ? undefined : Number(precision));
      const wide = Number(width ?? 0);
      if (flags.includes('-')) return shown.padEnd(wide);
      return flags.includes('0') && /[dfxXob]/.test(verb) ? shown.padStart(wide, '0') : shown.padStart(wide);
    },
  );
  const extra = args.slice(used);
  return extra.length === 0
    ? text
    : `${text}%!(EXTRA ${extra.map((item) => `${goType(item)}=${goString(item)}`).join(', ')})`;
}

function formatVerb(verb: string, value: unknown, flags: string, precision: number | undefined): string {
  switch (verb) {
    case 'd':
      return `${flags.includes('+') && Number(value) >= 0 ? '+' : ''}${isNumber(value) ? goString(value) : `%!d(${typeof value}=${goString(value)})`}`;
    case 'f':
      return Number(value).toFixed(precision ?? 6);
    case 'e':
      return Number(value).toExponential(precision ?? 6);
    case 'g':
      return goString(value);
    case 'x':
    case 'X': {
      const hex = isNumber(value) ? value.toString(16) : Buffer.from(goString(value)).toString('hex');
      return verb === 'X' ? hex.toUpperCase() : hex;
    }
    case 'o':
      return Number(value).toString(8);
    case 'b':
      return Number(value).toString(2);
    case 'c':
      return String.fromCodePoint(Number(value));
    case 'q':
      return JSON.stringify(goString(value));
    case 't':
      return String(value === true);
    case 'T':
      return goType(value);
    case 's':
    case 'v': {
      const text =
        typeof value === 'object' && value !== null && !Array.isArray(value) && flags.includes('#')
          ? JSON.stringify(Object.fromEntries(entriesOf(value)))
          : goString(value);
      return precision === undefined ? text : text.slice(0, precision);
    }
    default:
      return `%!${verb}(${goString(value)})`;
  }
}

function goType(value: unknown): string {
  if (typeof value === 'string') return 'string';
  if (typeof value === 'boolean') return 'bool';
  if (isNumber(value)) return Number.isInteger(Number(value)) ? 'int' : 'float64';
  if (value === null || value === undefined) return '<nil>';
  return Array.isArray(value) ? '[]interface {}' : 'map[string]interface {}';
}

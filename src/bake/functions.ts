import { createHash, randomUUID } from 'node:crypto';
import { posix } from 'node:path';
import { type HclFunction, list, same, toNumber, toText, truth, type Value } from './expression.ts';

const text = toText;
const number = (value: Value): number => toNumber(value);
const object = (value: Value): Readonly<Record<string, Value>> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('an object is needed');
  return value as Readonly<Record<string, Value>>;
};
const hash =
  (algorithm: string): HclFunction =>
  (value) =>
    createHash(algorithm).update(text(value!)).digest('hex');
const trimSet = (set: string): string => `[${set.replace(/[\]\\^-]/g, '\\$&')}]+`;

/** Functions of bake files: those of HCL's standard library that buildx knows and that files use. */
export const FUNCTIONS: Readonly<Record<string, HclFunction>> = {
  absolute: (a) => Math.abs(number(a!)),
  add: (a, b) => number(a!) + number(b!),
  and: (a, b) => truth(a!) && truth(b!),
  base64decode: (a) => Buffer.from(text(a!), 'base64').toString('utf8'),
  base64encode: (a) => Buffer.from(text(a!)).toString('base64'),
  basename: (a) => posix.basename(text(a!)),
  ceil: (a) => Math.ceil(number(a!)),
  chomp: (a) => text(a!).replace(/[\r\n]+$/, ''),
  coalesce: (...values) => values.find((value) => value !== null && value !== '') ?? null,
  coalescelist: (...values) => values.find((value) => list(value).length > 0) ?? [],
  compact: (a) => list(a!).filter((item) => item !== '' && item !== null),
  concat: (...values) => values.flatMap((value) => [...list(value)]),
  contains: (a, b) => list(a!).some((item) => same(item, b!)),
  dirname: (a) => posix.dirname(text(a!)),
  distinct: (a) => list(a!).filter((item, at, all) => all.findIndex((other) => same(other, item)) === at),
  divide: (a, b) => number(a!) / number(b!),
  element: (a, b) => list(a!)[number(b!) % list(a!).length] ?? null,
  equal: (a, b) => same(a!, b!),
  flatten: (a) => (list(a!) as unknown[]).flat(Infinity) as Value[],
  floor: (a) => Math.floor(number(a!)),
  format: (a, ...values) => format(text(a!), values),
  formatlist: (a, ...values) => {
    const count = Math.max(...values.map((value) => (Array.isArray(value) ? value.length : 1)));
    return Array.from({ length: count }, (_, at) =>
      format(
        text(a!),
        values.map((value) => (Array.isArray(value) ? (value[at] as Value) : value)),
      ),
    );
  },
  greaterthan: (a, b) => number(a!) > number(b!),
  greaterthanorequalto: (a, b) => number(a!) >= number(b!),
  hasindex: (a, b) => (Array.isArray(a) ? number(b!) < a.length : Object.hasOwn(object(a!), text(b!))),
  indent: (a, b) => text(b!).replaceAll('\n', `\n${' '.repeat(number(a!))}`),
  index: (a, b) => (Array.isArray(a) ? (a[number(b!)] as Value) : object(a!)[text(b!)]) ?? null,
  int: (a) => Math.trunc(number(a!)),
  join: (a, ...lists) => lists.flatMap((value) => list(value).map(text)).join(text(a!)),
  jsondecode: (a) => JSON.parse(text(a!)) as Value,
  jsonencode: (a) => JSON.stringify(a),
  keys: (a) => Object.keys(object(a!)).sort(),
  length: (a) =>
    typeof a === 'string' ? Array.from(a).length : Array.isArray(a) ? a.length : Object.keys(object(a!)).length,
  lessthan: (a, b) => number(a!) < number(b!),
  lessthanorequalto: (a, b) => number(a!) <= number(b!),
  lookup: (a, b, c) => (Object.hasOwn(object(a!), text(b!)) ? object(a!)[text(b!)]! : (c ?? null)),
  lower: (a) => text(a!).toLowerCase(),
  max: (...values) => Math.max(...values.map(number)),
  md5: hash('md5'),
  merge: (...values) => Object.assign(Object.create(null), ...values.map((value) => object(value))) as Value,
  min: (...values) => Math.min(...values.map(number)),
  modulo: (a, b) => number(a!) % number(b!),
  multiply: (a, b) => number(a!) * number(b!),
  negate: (a) => -number(a!),
  not: (a) => !truth(a!),
  notequal: (a, b) => !same(a!, b!),
  or: (a, b) => truth(a!) || truth(b!),
  pow: (a, b) => number(a!) ** number(b!),
  range: (...values) => {
    const [from, to, step] =
      values.length === 1
        ? [0, number(values[0]!), 1]
        : [number(values[0]!), number(values[1]!), number(values[2] ?? 1)];
    if (step === 0 || Math.abs((to - from) / step) > 10_000) throw new Error('the range is too long');
    return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, at) => from + at * step);
  },
  regex: (a, b) => new RegExp(text(a!)).exec(text(b!))?.[0] ?? null,
  regex_replace: (a, b, c) => text(a!).replace(new RegExp(text(b!), 'g'), text(c!).replace(/\$\{(\d+)\}/g, '$$$1')),
  replace: (a, b, c) => text(a!).replaceAll(text(b!), () => text(c!)),
  reverse: (a) => Array.from(text(a!)).reverse().join(''),
  reverselist: (a) => [...list(a!)].reverse(),
  sanitize: (a) => text(a!).replace(/[^a-zA-Z0-9_-]/g, '_'),
  sha1: hash('sha1'),
  sha256: hash('sha256'),
  sha512: hash('sha512'),
  signum: (a) => Math.sign(number(a!)),
  slice: (a, b, c) => list(a!).slice(number(b!), number(c!)),
  sort: (a) => list(a!).map(text).sort(),
  split: (a, b) => text(b!).split(text(a!)),
  strlen: (a) => Array.from(text(a!)).length,
  substr: (a, b, c) => {
    const chars = Array.from(text(a!));
    const from = number(b!) < 0 ? chars.length + number(b!) : number(b!);
    return chars.slice(from, number(c!) < 0 ? undefined : from + number(c!)).join('');
  },
  subtract: (a, b) => number(a!) - number(b!),
  timestamp: () => new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
  title: (a) => text(a!).replace(/(^|\s)(\S)/g, (_, space: string, char: string) => space + char.toUpperCase()),
  tobool: (a) => truth(a!),
  tolist: (a) => list(a!),
  tonumber: (a) => number(a!),
  toset: (a) => list(a!).filter((item, at, all) => all.findIndex((other) => same(other, item)) === at),
  tostring: (a) => text(a!),
  trim: (a, b) => text(a!).replace(new RegExp(`^${trimSet(text(b!))}|${trimSet(text(b!))}$`, 'g'), ''),
  trimprefix: (a, b) => (text(a!).startsWith(text(b!)) ? text(a!).slice(text(b!).length) : text(a!)),
  trimspace: (a) => text(a!).trim(),
  trimsuffix: (a, b) =>
    text(b!) !== '' && text(a!).endsWith(text(b!)) ? text(a!).slice(0, -text(b!).length) : text(a!),
  upper: (a) => text(a!).toUpperCase(),
  urlencode: (a) => encodeURIComponent(text(a!)),
  uuidv4: () => randomUUID(),
  values: (a) =>
    Object.entries(object(a!))
      .sort(([x], [y]) => (x < y ? -1 : 1))
      .map(([, value]) => value),
  zipmap: (a, b) => Object.fromEntries(list(a!).map((key, at) => [text(key), list(b!)[at] ?? null])),
};

/** `%s`, `%d`, `%q`, `%v`, `%f`, `%t`, `%x`, `%%`, with a width and zeros. */
function format(pattern: string, values: readonly Value[]): string {
  let at = 0;
  return pattern.replace(
    /%(-?)(0?)(\d*)(?:\.(\d+))?([sdqvftx%])/g,
    (_, left: string, zero: string, width: string, digits: string | undefined, verb: string) => {
      if (verb === '%') return '%';
      const value = values[at++];
      if (value === undefined) throw new Error(`not enough arguments for ${JSON.stringify(pattern)}`);
      const shown =
        verb === 'q'
          ? JSON.stringify(text(value))
          : verb === 'd'
            ? String(Math.trunc(number(value)))
            : verb === 'x'
              ? typeof value === 'number'
                ? value.toString(16)
                : Buffer.from(text(value)).toString('hex')
              : verb === 'f'
                ? number(value).toFixed(digits === undefined ? 6 : Number(digits))
                : typeof value === 'object'
                  ? JSON.stringify(value)
                  : text(value);
      const size = Number(width || 0);
      return left === '-' ? shown.padEnd(size) : shown.padStart(size, zero === '0' ? '0' : ' ');
    },
  );
}

/**
 * Decodes JSON as Go's `encoding/json` does for the documents of the API: keys match whatever their case, unknown keys
 * are ignored, `null` is the same as absent, and a wrong type is refused in Go's words, which clients show.
 *
 * A shape is written down once for each request document (`json/container.ts`, …) and is checked against the document's
 * type: a field that is missing there does not compile.
 */
import { EngineError } from '../../base/errors.ts';

export interface Shape<T> {
  /** Go's name of the type, for messages. */
  readonly type: string;
  /** What `null` decodes to inside a list or a map. */
  readonly zero: T | null;
  decode(value: unknown, path: string): T;
}

/** A shape for each field of the document. */
export type Fields<T> = { readonly [K in keyof T]-?: Shape<NonNullable<T[K]>> };

export const string: Shape<string> = scalar('string', '', (value) => typeof value === 'string');
export const bool: Shape<boolean> = scalar('bool', false, (value) => typeof value === 'boolean');
export const int: Shape<number> = integer('int');
export const int64: Shape<number> = integer('int64');
export const uint: Shape<number> = scalar('uint', 0, (value) => isInteger(value) && (value as number) >= 0);
export const duration: Shape<number> = integer('time.Duration');
/** Any JSON, as it is. */
export const anything: Shape<unknown> = { type: 'interface {}', zero: null, decode: (value) => value };
/** `{}`, the value of Go's sets. */
export const nothing: Shape<Record<string, never>> = {
  type: 'struct {}',
  get zero() {
    return {};
  },
  decode: (value, path) => {
    if (!isObject(value)) throw mismatch(value, path, 'struct {}');
    return {};
  },
};

/** A string that may be one of a few; which ones, the engine says. */
export function word<T extends string>(): Shape<T> {
  return string as Shape<string> as Shape<T>;
}

export function list<T>(of: Shape<T>): Shape<T[]> {
  const type = `[]${of.type}`;
  return {
    type,
    zero: null,
    decode: (value, path) => {
      if (!Array.isArray(value)) throw mismatch(value, path, type);
      return value.map((item, index) => (item === null ? (of.zero as T) : of.decode(item, `${path}.${index}`)));
    },
  };
}

/** A list of strings that old clients send as one string (`Cmd`, `Entrypoint`). */
export const words: Shape<string[]> = {
  type: '[]string',
  zero: null,
  decode: (value, path) => (typeof value === 'string' ? [value] : list(string).decode(value, path)),
};

export function pair(of: Shape<number>): Shape<[number, number]> {
  return {
    type: `[2]${of.type}`,
    zero: [0, 0],
    decode: (value, path) => {
      const [first, second] = list(of).decode(value, path);
      return [first ?? 0, second ?? 0];
    },
  };
}

/** Keys are the user's: the map has no prototype, so that `__proto__` is a key as any other. */
export function map<T>(of: Shape<T>, type = `map[string]${of.type}`): Shape<Record<string, T>> {
  return {
    type,
    zero: null,
    decode: (value, path) => {
      if (!isObject(value)) throw mismatch(value, path, type);
      const decoded = Object.create(null) as Record<string, T>;
      for (const [key, item] of Object.entries(value)) {
        decoded[key] = item === null ? (of.zero as T) : of.decode(item, `${path}.${escape(key)}`);
      }
      return decoded;
    },
  };
}

/** Go's pointer: `null` in a list or map stays `null`. */
export function nullable<T>(of: Shape<T>): Shape<T | null> {
  return { type: `*${of.type}`, zero: null, decode: (value, path) => of.decode(value, path) };
}

/** `always` are the fields that Go writes with their zero values when they were not sent, as `inspect` shows them. */
export function struct<T extends object>(type: string, fields: Fields<T>, always: Partial<T> = {}): Shape<T> {
  const byFoldedName = new Map<string, [string, Shape<unknown>]>(
    Object.entries<Shape<unknown>>(fields).map(([name, shape]) => [name.toLowerCase(), [name, shape]]),
  );
  return {
    type,
    get zero() {
      return { ...always } as T;
    },
    decode: (value, path) => {
      if (!isObject(value)) throw mismatch(value, path, type);
      const decoded: Record<string, unknown> = { ...always };
      for (const [key, item] of Object.entries(value)) {
        const field = byFoldedName.get(key.toLowerCase());
        if (!field || item === null) continue;
        decoded[field[0]] = field[1].decode(item, `${path}.${escape(key)}`);
      }
      return decoded as T;
    },
  };
}

function scalar<T>(type: string, zero: T, test: (value: unknown) => boolean): Shape<T> {
  return {
    type,
    zero,
    decode: (value, path) => {
      if (!test(value)) throw mismatch(value, path, type);
      return value as T;
    },
  };
}

function integer(type: string): Shape<number> {
  return scalar(type, 0, isInteger);
}

/** Within 64 bits; beyond 2⁵³ the value is the nearest number, which is near enough for 'no limit'. */
function isInteger(value: unknown): boolean {
  return Number.isInteger(value) && Math.abs(value as number) <= 2 ** 63;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function escape(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** `path` begins with the document's Go name; alone it means the document as a whole. */
function mismatch(value: unknown, path: string, type: string): EngineError {
  const where = path.includes('.') ? `Go struct field ${path}` : 'Go value';
  return new EngineError(
    'invalid-argument',
    `invalid JSON: json: cannot unmarshal ${given(value, type)} into ${where} of type ${type}`,
  );
}

const NUMERIC: readonly string[] = ['int', 'int64', 'uint', 'time.Duration'];

function given(value: unknown, type: string): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'number' && NUMERIC.includes(type) ? `number ${value}` : typeof value;
}

import type { AuthConfig } from '../api/auth.ts';
import { type Filters, parseFilters } from '../api/filters.ts';
import { EngineError, errorCode, errorMessage } from '../base/errors.ts';
import { parseJson } from './json/parse.ts';
import type { Shape } from './json/shape.ts';

/** The query of a request, read as Docker reads it. */
export class Query {
  readonly #values: URLSearchParams;

  constructor(text: string) {
    this.#values = new URLSearchParams(text);
  }

  /** Empty is absent. */
  text(name: string): string | undefined {
    return this.#values.get(name) || undefined;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  all(name: string): string[] {
    return this.#values.getAll(name).filter((value) => value !== '');
  }

  /** Anything but ``, `0`, `no`, `false` and `none` is true. */
  flag(name: string, absent = false): boolean {
    const value = this.#values.get(name);
    if (value === null) return absent;
    return !['', '0', 'no', 'false', 'none'].includes(value.trim().toLowerCase());
  }

  /** Throws `invalid-argument`. */
  integer(name: string): number | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : parseInteger(value);
  }

  /** What is no number is as good as none, as with Docker. */
  integerOrNone(name: string): number | undefined {
    const value = this.text(name) ?? '';
    return /^[+-]?\d{1,19}$/.test(value) ? Number(value) : undefined;
  }

  filters(): Filters {
    return parseFilters(this.text('filters'));
  }

  /** A parameter that is itself JSON (`buildargs`, `labels`); `what` is how Docker calls it. Throws `invalid-argument`. */
  json<T>(name: string, shape: Shape<T>, what?: string): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    try {
      const value = parseJson(Buffer.from(text));
      return value === null ? undefined : shape.decode(value, what === undefined ? name : '');
    } catch (error) {
      if (what === undefined) throw error;
      const words = errorMessage(error).replace(/^invalid JSON: /, '');
      throw new EngineError(errorCode(error), `error reading ${what}: ${words}`, { cause: error });
    }
  }

  /** `seconds[.nanoseconds]` to nanoseconds. Throws `invalid-argument`. */
  time(name: string): bigint | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const match = /^(\d{1,11})(?:\.(\d{1,9})\d*)?$/.exec(text);
    if (!match) throw new EngineError('invalid-argument', `strconv.ParseInt: parsing "${text}": invalid syntax`);
    return BigInt(match[1]!) * 1_000_000_000n + BigInt((match[2] ?? '').padEnd(9, '0'));
  }
}

/** Throws `invalid-argument` in Go's words. */
export function parseInteger(text: string): number {
  const value = /^[+-]?\d{1,19}$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(value)) throw new EngineError('invalid-argument', `strconv.Atoi: parsing "${text}": invalid syntax`);
  return value;
}

/** `X-Registry-Auth`: base64url of JSON. What does not decode is as good as none, as with Docker. */
export function decodeAuthHeader<T = AuthConfig>(
  header: string | string[] | undefined,
  shape: Shape<T>,
): T | undefined {
  if (typeof header !== 'string' || header === '') return undefined;
  try {
    const value = parseJson(Buffer.from(header, 'base64url'));
    return value === null ? undefined : shape.decode(value, 'AuthConfig');
  } catch {
    return undefined;
  }
}

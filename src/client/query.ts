import { EngineError } from '../base/errors.ts';

export type QueryValue = string | number | boolean | readonly string[] | undefined;

/** The whole of a body that is known to be small. */
export async function collect(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of body) parts.push(part);
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

/** `filters=` in the form every engine from 1.22 takes; undefined when there are none. */
export function filtersQuery(filters: ReadonlyMap<string, readonly string[]> | undefined): string | undefined {
  if (!filters || filters.size === 0) return undefined;
  return JSON.stringify(
    Object.fromEntries(
      [...filters].map(([key, values]) => [key, Object.fromEntries(values.map((value) => [value, true]))]),
    ),
  );
}

/** `1.9` is older than `1.24`. */
export function olderVersion(one: string, other: string): string {
  const [a, b] = [one, other].map((version) => version.split('.').map(Number));
  return (a![0]! - b![0]! || a![1]! - b![1]!) <= 0 ? one : other;
}

/** `?…`, or nothing. Lists repeat their name; booleans are 1 and 0. */
export function queryString(query: Readonly<Record<string, QueryValue>> | undefined): string {
  if (!query) return '';
  const parts: string[] = [];
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const item of Array.isArray(value) ? (value as readonly string[]) : [value]) {
      const text = item === true ? '1' : item === false ? '0' : String(item);
      parts.push(`${encodeURIComponent(name)}=${encodeURIComponent(text)}`);
    }
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

/** Encodes a name for a path; an id or name with a slash stays one segment. */
export function segment(name: string): string {
  if (name === '') throw new EngineError('invalid-argument', 'a name may not be empty');
  return encodeURIComponent(name);
}

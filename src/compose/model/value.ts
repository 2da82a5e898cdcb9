/** What a Compose file is made of. Keys are strangers' words: dictionaries have no prototype, so `__proto__` is a plain key. */
export type Scalar = string | number | boolean | null;
export type Value = Scalar | Value[] | Dict;
export interface Dict {
  [key: string]: Value;
}

export function dict(entries: Iterable<readonly [string, Value | undefined]> = []): Dict {
  const out = Object.create(null) as Dict;
  for (const [key, value] of entries) if (value !== undefined) out[key] = value;
  return out;
}

export function isDict(value: Value | undefined): value is Dict {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The dictionary, or an empty one for null, nothing, or anything else. */
export function asDict(value: Value | undefined): Dict {
  return isDict(value) ? value : dict();
}

export function asList(value: Value | undefined): Value[] {
  return Array.isArray(value) ? value : [];
}

/** Scalars as text; undefined for null, nothing, and containers. */
export function asText(value: Value | undefined): string | undefined {
  return value === undefined || value === null || typeof value === 'object' ? undefined : String(value);
}

/** As `asText`, and empty where that has none: for what the schema or an earlier check made sure of. */
export function textOf(value: Value | undefined): string {
  return asText(value) ?? '';
}

export function asTexts(value: Value | undefined): string[] {
  return asList(value).map((item) => asText(item) ?? '');
}

export function clone(value: Value): Value {
  if (Array.isArray(value)) return value.map(clone);
  return isDict(value) ? dict(Object.entries(value).map(([key, item]) => [key, clone(item)])) : value;
}

export function sameValue(a: Value | undefined, b: Value | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => sameValue(item, b[i]));
  if (!isDict(a) || !isDict(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && sameValue(a[key], b[key]));
}

/** By bytes, as Go sorts the keys of maps. */
export function sortedKeys(value: Dict): string[] {
  return Object.keys(value).sort(byText);
}

export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

import { EngineError } from '../base/errors.ts';

/** What `filters=` carries: key → the values asked for. Both wire forms, `{"k":["v"]}` and the old `{"k":{"v":true}}`, end here. */
export type Filters = ReadonlyMap<string, readonly string[]>;

export const NO_FILTERS: Filters = new Map();

/** Throws `invalid-argument`, in Docker's words. */
export function parseFilters(text: string | undefined): Filters {
  if (text === undefined || text === '') return NO_FILTERS;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new EngineError('invalid-argument', 'invalid filter');
  }
  if (value === null) return NO_FILTERS;
  if (typeof value !== 'object' || Array.isArray(value)) throw new EngineError('invalid-argument', 'invalid filter');
  const filters = new Map<string, string[]>();
  for (const [key, given] of Object.entries(value)) {
    const values = Array.isArray(given)
      ? given
      : typeof given === 'object' && given !== null
        ? Object.keys(given).filter((name) => (given as Record<string, unknown>)[name] === true)
        : undefined;
    if (!values || !values.every((item) => typeof item === 'string')) {
      throw new EngineError('invalid-argument', `invalid filter '${key}'`);
    }
    filters.set(key, values);
  }
  return filters;
}

/** Throws `invalid-argument` (`invalid filter 'x'`) when a key is not among `known`. */
export function checkFilters(filters: Filters, known: readonly string[]): void {
  for (const key of filters.keys()) {
    if (!known.includes(key)) throw new EngineError('invalid-argument', `invalid filter '${key}'`);
  }
}

/** Docker's label filter: `key` or `key=value`, all of them must match. */
export function matchesLabels(
  filters: Filters,
  labels: Readonly<Record<string, string>> | null | undefined,
  key = 'label',
): boolean {
  return (filters.get(key) ?? []).every((wanted) => hasLabel(labels, wanted));
}

export function hasLabel(labels: Readonly<Record<string, string>> | null | undefined, wanted: string): boolean {
  const cut = wanted.indexOf('=');
  const name = cut < 0 ? wanted : wanted.slice(0, cut);
  if (!labels || !Object.hasOwn(labels, name)) return false;
  return cut < 0 || labels[name] === wanted.slice(cut + 1);
}

import type { Cli } from '../cli.ts';

/** The filters of a prune: those of the command line, and those that the configuration always adds (`pruneFilters`). */
export function pruneFilters(cli: Cli, given: ReadonlyMap<string, readonly string[]>): Map<string, readonly string[]> {
  const filters = new Map(given);
  const always = cli.config.document['pruneFilters'];
  if (!Array.isArray(always)) return filters;
  for (const item of always) {
    const [key, ...rest] = String(item).split('=');
    const value = rest.join('=');
    if (!filters.get(key!)?.includes(value)) filters.set(key!, [...(filters.get(key!) ?? []), value]);
  }
  return filters;
}

/** A cache to read or to write, as the protocol has it. */
export interface CacheEntry {
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** The same as the engine takes it: `type=registry,ref=…`. */
export function cacheText({ type, attributes }: CacheEntry): string {
  return [`type=${type}`, ...Object.entries(attributes).map(([key, value]) => `${key}=${value}`)].join(',');
}

export function cacheEntries(
  entries: readonly { readonly Type: string; readonly Attrs: Readonly<Record<string, string>> }[],
): CacheEntry[] {
  return entries.map(({ Type, Attrs }) => ({ type: Type, attributes: Attrs }));
}

/** Go's `filepath.Match` for one path component: `*`, `?`, `[a-z]`, `[^x]`, `\x`. */
export function matchName(pattern: string, name: string): boolean {
  return compiled(pattern).test(name);
}

const cache = new Map<string, RegExp>();

function compiled(pattern: string): RegExp {
  let regexp = cache.get(pattern);
  if (!regexp) {
    if (cache.size > 1000) cache.clear();
    regexp = new RegExp(`^${source(pattern)}$`, 's');
    cache.set(pattern, regexp);
  }
  return regexp;
}

function source(pattern: string): string {
  return pattern.replace(
    /\\(.)|\[(\^?)((?:\\.|[^\]\\])+)\]|([*?])|([^\w])/gs,
    (_, escaped?: string, not?: string, set?: string, wild?: string, other?: string) => {
      if (escaped !== undefined) return RegExp.escape(escaped);
      if (set !== undefined) return `[${not}${set.replace(/[[\]^]/g, '\\$&')}]`;
      if (wild !== undefined) return wild === '*' ? '.*' : '.';
      return RegExp.escape(other!);
    },
  );
}

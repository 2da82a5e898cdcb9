/**
 * Go's `filepath.Match` for one path component: `*`, `?`, `[a-z]`, `[^x]`, `\\x`. A star that turns out too short is
 * taken up again, and only the last one: hostile patterns and names take their lengths' product at most.
 */
export function matchName(pattern: string, name: string): boolean {
  const tokens = tokensOf(pattern);
  let token = 0;
  let at = 0;
  let star = -1;
  let starAt = 0;
  while (at < name.length) {
    const expected = tokens[token];
    if (expected === '*') {
      star = token++;
      starAt = at;
    } else if (expected?.(name[at]!) === true) {
      token++;
      at++;
    } else if (star >= 0) {
      token = star + 1;
      at = ++starAt;
    } else return false;
  }
  while (tokens[token] === '*') token++;
  return token === tokens.length;
}

type Token = '*' | ((character: string) => boolean);

const cache = new Map<string, readonly Token[]>();

function tokensOf(pattern: string): readonly Token[] {
  let tokens = cache.get(pattern);
  if (!tokens) {
    if (cache.size > 1000) cache.clear();
    tokens = [...pattern.matchAll(/\\(.)|\[(\^?)((?:\\.|[^\]\\])+)\]|([^])/g)].map(
      ([, escaped, not, set, other]): Token => {
        if (set !== undefined) return setOf(set, not === '^');
        if (escaped === undefined && other === '*') return '*';
        if (escaped === undefined && other === '?') return () => true;
        const wanted = escaped ?? other;
        return (character) => character === wanted;
      },
    );
    cache.set(pattern, tokens);
  }
  return tokens;
}

/** `a-z_` */
function setOf(text: string, negated: boolean): Token {
  const ranges = [...text.matchAll(/(?:\\(.)|([^]))(?:-(?:\\(.)|([^])))?/g)].map(
    ([, escaped, plain, escapedEnd, plainEnd]) => {
      const from = escaped ?? plain!;
      return [from, escapedEnd ?? plainEnd ?? from] as const;
    },
  );
  return (character) => ranges.some(([from, to]) => character >= from && character <= to) !== negated;
}

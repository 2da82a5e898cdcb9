/** What a place of a pattern takes: any text, any character, this character. */
type Token = { readonly kind: 'any' | 'one' } | { readonly kind: 'character'; readonly character: string };

/**
 * A shell pattern of a substitution: `*`, `?`, `\x`. All its places are followed at once, so that no pattern, however
 * hostile, takes more than its length times the text's.
 */
export class ShellPattern {
  readonly #tokens: readonly Token[];

  constructor(pattern: string) {
    const tokens: Token[] = [];
    for (let i = 0; i < pattern.length; i++) {
      const character = pattern[i]!;
      if (character === '*') {
        if (tokens.at(-1)?.kind !== 'any') tokens.push({ kind: 'any' });
      } else if (character === '?') tokens.push({ kind: 'one' });
      else if (character === '\\' && i + 1 < pattern.length)
        tokens.push({ kind: 'character', character: pattern[++i]! });
      else tokens.push({ kind: 'character', character });
    }
    this.#tokens = tokens;
  }

  /** How much of `text` from `start` on it matches, the shortest or the longest; undefined when nothing. */
  prefix(text: string, start: number, which: 'shortest' | 'longest'): number | undefined {
    return follow(this.#tokens, (index) => text[start + index], which);
  }

  /** The same at the end of `text`. */
  suffix(text: string, which: 'shortest' | 'longest'): number | undefined {
    return follow(this.#tokens.toReversed(), (index) => text[text.length - 1 - index], which);
  }

  /** `text` with the longest match replaced: the first one, or each. */
  replace(text: string, replacement: string, { all }: { readonly all: boolean }): string {
    let out = '';
    for (let at = 0; at < text.length;) {
      const length = this.prefix(text, at, 'longest');
      if (length === undefined || length === 0) {
        out += text[at++]!;
        continue;
      }
      out += replacement;
      at += length;
      if (!all) return out + text.slice(at);
    }
    return out;
  }
}

function follow(
  tokens: readonly Token[],
  characterAt: (index: number) => string | undefined,
  which: 'shortest' | 'longest',
): number | undefined {
  let places = new Set([0]);
  let found: number | undefined;
  for (let index = 0; ; index++) {
    // `*` takes nothing too; places are added while they are walked.
    for (const place of places) if (tokens[place]?.kind === 'any') places.add(place + 1);
    if (places.has(tokens.length)) {
      found = index;
      if (which === 'shortest') return found;
    }
    const character = characterAt(index);
    if (character === undefined || places.size === 0) return found;
    const next = new Set<number>();
    for (const place of places) {
      const token = tokens[place];
      if (!token) continue;
      if (token.kind === 'any') next.add(place);
      else if (token.kind === 'one' || (token.kind === 'character' && token.character === character))
        next.add(place + 1);
    }
    places = next;
  }
}

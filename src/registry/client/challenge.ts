/** What a registry asks for in `WWW-Authenticate` (RFC 9110 §11.6.1). */
export interface Challenge {
  /** Lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** By lower-case name: `realm`, `service`, `scope`, `error`. */
  readonly parameters: ReadonlyMap<string, string>;
}

const MAX_LENGTH = 16 << 10;
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const PARAMETER = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\[^])*)"|([^\s,"]*))/y;
const GAP = /[ \t,]*/y;

/** The challenges of one or several headers in their order; what cannot be read ends the list. */
export function parseChallenges(header: string | undefined): Challenge[] {
  const challenges: Challenge[] = [];
  if (header === undefined || header.length > MAX_LENGTH) return challenges;
  let at = skip(header, 0);
  while (at < header.length) {
    const scheme = take(TOKEN, header, at);
    if (!scheme) break;
    at = skip(header, at + scheme[0].length);
    const parameters = new Map<string, string>();
    for (let found = take(PARAMETER, header, at); found; found = take(PARAMETER, header, at)) {
      const value = found[2]?.replaceAll(/\\([^])/g, '$1') ?? found[3]!;
      parameters.set(found[1]!.toLowerCase(), value);
      at = skip(header, at + found[0].length);
    }
    challenges.push({ scheme: scheme[0].toLowerCase(), parameters });
  }
  return challenges;
}

function take(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function skip(text: string, at: number): number {
  return at + take(GAP, text, at)![0].length;
}

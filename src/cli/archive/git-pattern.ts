/**
 * One line of a gitignore file (gitignore(5), "PATTERN FORMAT"). Patterns and names are strings of bytes (latin1), as git
 * matches bytes: `?` is one of them.
 */
export interface GitPattern {
  /** As written, without the line's end. */
  readonly text: string;
  /** It takes back in. */
  readonly negated: boolean;
  /** It is for directories alone. */
  readonly directories: boolean;
  /** It is held against the name alone, not against the path from where its file is. */
  readonly anywhere: boolean;
  readonly matches: (name: string) => boolean;
}

/** Undefined for a line that says nothing. */
export function readGitPattern(line: string): GitPattern | undefined {
  const text = withoutTrailingSpaces(line.endsWith('\r') ? line.slice(0, -1) : line);
  if (text === '' || text.startsWith('#')) return undefined;
  const negated = text.startsWith('!');
  let pattern = negated ? text.slice(1) : text;
  const directories = pattern.endsWith('/');
  if (directories) pattern = pattern.slice(0, -1);
  const anywhere = !pattern.includes('/');
  if (pattern.startsWith('/')) pattern = pattern.slice(1);
  if (pattern === '') return undefined;
  return { text, negated, directories, anywhere, matches: matcherOf(pattern) };
}

/** Spaces at the end do not count unless a backslash stands before them; tabs do. */
function withoutTrailingSpaces(line: string): string {
  let end = line.length;
  while (end > 0 && line[end - 1] === ' ') end--;
  let escapes = 0;
  while (end - escapes > 0 && line[end - 1 - escapes] === '\\') escapes++;
  return escapes % 2 === 1 ? line.slice(0, end + 1) : line.slice(0, end);
}

/** A byte of some kind, or any number of them in a component or across, or nothing or directories with their slash. */
type Token = ((byte: string) => boolean) | 'component' | 'any' | 'directories';

function matcherOf(pattern: string): (name: string) => boolean {
  const special = pattern.search(/[*?[\\]/);
  if (special < 0) return (name) => name === pattern;
  const prefix = pattern.slice(0, special);
  const rest = pattern.slice(special);
  if (/^\*[^*?[\\/]*$/.test(rest)) {
    const end = rest.slice(1);
    return (name) =>
      name.length >= special + end.length &&
      name.startsWith(prefix) &&
      name.endsWith(end) &&
      !name.includes('/', special);
  }
  const parts = tokensOf(rest);
  if (!parts) return () => false;
  return (name) => name.startsWith(prefix) && follow(parts, name, special);
}

/** All ways through at once: it takes pattern times name, whatever is in them. */
function follow(parts: readonly Token[], name: string, from: number): boolean {
  const end = parts.length;
  let at = new Uint8Array(end + 1);
  let next = new Uint8Array(end + 1);
  // A part may stand for nothing: then one is before the next as well.
  const enter = (set: Uint8Array, part: number): void => {
    for (let n = part; set[n] === 0; n++) {
      set[n] = 1;
      if (typeof parts[n] === 'function' || n === end) return;
    }
  };
  // Within directories whose slash is still to come.
  const inside = new Uint8Array(end);
  enter(at, 0);
  for (let index = from; index < name.length; index++) {
    const byte = name[index]!;
    next.fill(0);
    let alive = false;
    for (let n = 0; n < end; n++) {
      const part = parts[n]!;
      if (part === 'directories') {
        if (at[n] === 1) inside[n] = 1;
        if (inside[n] === 0) continue;
        alive = true;
        if (byte === '/') enter(next, n + 1);
      } else if (at[n] === 0) continue;
      else if (typeof part === 'function') {
        if (part(byte)) enter(next, n + 1);
      } else if (part === 'any' || byte !== '/') enter(next, n);
    }
    if (!alive && !next.includes(1)) return false;
    [at, next] = [next, at];
  }
  return at[end] === 1;
}

/** Undefined for a pattern that matches nothing, as with a bracket that is not closed. */
function tokensOf(pattern: string): Token[] | undefined {
  const parts: Token[] = [];
  for (let index = 0; index < pattern.length; index++) {
    const char = pattern[index]!;
    if (char === '*') {
      const start = index;
      while (pattern[index + 1] === '*') index++;
      const after = pattern.slice(index + 1);
      // What stands before the first special character was compared already, and git looks no further back.
      const alone = (start === 0 || pattern[start - 1] === '/') && /^(?:$|\\?\/)/.test(after);
      if (index === start || !alone) parts.push('component');
      else if (after.startsWith('/')) {
        parts.push('directories');
        index++;
      } else parts.push('any');
    } else if (char === '?') parts.push((byte) => byte !== '/');
    else if (char === '[') {
      const read = readBracket(pattern, index);
      if (!read) return undefined;
      parts.push(read.test);
      index = read.end;
    } else {
      const literal = char === '\\' ? pattern[++index] : char;
      if (literal === undefined) return undefined;
      parts.push((byte) => byte === literal);
    }
  }
  return parts;
}

const CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /[a-zA-Z0-9]/,
  alpha: /[a-zA-Z]/,
  blank: /[ \t]/,
  cntrl: /[^\x20-\x7e\x80-\xff]/,
  digit: /[0-9]/,
  graph: /[\x21-\x7e]/,
  lower: /[a-z]/,
  print: /[\x20-\x7e]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t-\r]/,
  upper: /[A-Z]/,
  xdigit: /[a-fA-F0-9]/,
};

/** `[a-z]`, `[!a]`, `[^a]`, `[[:digit:]]`; a `]` that comes first is one of those meant. */
function readBracket(
  pattern: string,
  start: number,
): { readonly test: (byte: string) => boolean; readonly end: number } | undefined {
  let index = start + 1;
  const negated = pattern[index] === '!' || pattern[index] === '^';
  if (negated) index++;
  const members: ((byte: string) => boolean)[] = [];
  // Of a range that may begin with it; none behind a range or a class.
  let previous: string | undefined;
  for (let first = true; first || pattern[index] !== ']'; index++, first = false) {
    let char = pattern[index];
    if (char === undefined) return undefined;
    const upper = pattern[index + 1];
    const low = previous;
    if (char === '-' && low !== undefined && upper !== undefined && upper !== ']') {
      const high = upper === '\\' ? pattern[index + 2] : upper;
      if (high === undefined) return undefined;
      index += upper === '\\' ? 2 : 1;
      members.push((byte) => byte >= low && byte <= high);
      previous = undefined;
      continue;
    }
    if (char === '[' && upper === ':') {
      const close = pattern.indexOf(']', index + 2);
      if (close < 0) return undefined;
      if (close > index + 2 && pattern[close - 1] === ':') {
        const named = CLASSES[pattern.slice(index + 2, close - 1)];
        if (!named) return undefined;
        members.push((byte) => named.test(byte));
        index = close;
        previous = undefined;
        continue;
      }
    }
    if (char === '\\') char = pattern[++index];
    if (char === undefined) return undefined;
    const member = char;
    members.push((byte) => byte === member);
    previous = member;
  }
  return { test: (byte) => byte !== '/' && members.some((member) => member(byte)) !== negated, end: index };
}

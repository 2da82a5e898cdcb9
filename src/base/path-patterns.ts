import { EngineError } from './errors.ts';

/**
 * The pattern language of `.dockerignore` (Docker's build reference): Go's `filepath.Match` per component, `**` across
 * components, `!` to take a path back in; the last line that matches decides, and what matches a directory matches all in it.
 */
export class PathPatterns {
  readonly #patterns: readonly Pattern[];
  /** Whether some pattern takes paths back in: then a matched directory must still be walked. */
  readonly hasExceptions: boolean;

  /** Throws `invalid-argument` for a pattern that is no pattern. */
  constructor(lines: readonly string[]) {
    this.#patterns = lines.map(compile).filter((pattern) => pattern !== undefined);
    this.hasExceptions = this.#patterns.some((pattern) => pattern.negated);
  }

  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  /** Reads the lines of an ignore file: comments and blank lines dropped. */
  static parse(text: string): PathPatterns {
    const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
    return new PathPatterns(
      lines
        .filter((line) => !line.startsWith('#'))
        .map((line) => line.trim())
        .filter((line) => line !== ''),
    );
  }

  /** Whether `path` (relative, `/` between components) is matched in the end. */
  matches(path: string): boolean {
    return this.decide(path)?.negated === false;
  }

  /** The pattern that decides for `path`, as written; undefined when none matches. */
  decide(path: string): { readonly source: string; readonly negated: boolean } | undefined {
    let decided: Pattern | undefined;
    const parents = parentsOf(path);
    for (const pattern of this.#patterns) {
      // A pattern that would not change the outcome so far need not be tried.
      if (pattern.negated === (decided === undefined || decided.negated)) continue;
      if (pattern.matches(path, parents)) decided = pattern;
    }
    return decided;
  }
}

interface Pattern {
  readonly source: string;
  readonly negated: boolean;
  /** The path, or a directory above it. */
  readonly matches: (path: string, parents: readonly string[]) => boolean;
}

/** One character by an expression, any number of them in a component or across, or nothing or directories with their slash. */
type Token = { readonly kind: 'one'; readonly source: string } | { readonly kind: 'component' | 'any' | 'directories' };

function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1)) parents.push(path.slice(0, cut));
  return parents;
}

function compile(line: string): Pattern | undefined {
  const negated = line.startsWith('!');
  const text = clean(negated ? line.slice(1).trim() : line);
  if (text === '' && negated) throw new EngineError('invalid-argument', 'illegal exclusion pattern: "!"');
  if (text === '' || text === '.') return undefined;
  return { source: line, negated, matches: matcher(tokens(text, line)) };
}

const SOURCES = { component: '[^/]*', any: '.*', directories: '(?:.*/)?' };
/** What an expression tries out grows with the length of the path to the power of its open parts. */
const MOST_OPEN = 2;
const LONG = 256;

function matcher(parts: readonly Token[]): Pattern['matches'] {
  const simple = parts.filter(({ kind }) => kind !== 'one').length <= MOST_OPEN;
  const text = parts.map((part) => (part.kind === 'one' ? part.source : SOURCES[part.kind])).join('');
  const whole = simple ? new RegExp(`^${text}$`, 'su') : undefined;
  let tests: CharacterTests | undefined;
  return (path, parents) =>
    whole && path.length <= LONG
      ? whole.test(path) || parents.some((parent) => whole.test(parent))
      : follow(parts, (tests ??= characterTests(parts)), path);
}

/** For each part that stands for one character, what that may be. */
type CharacterTests = readonly (RegExp | undefined)[];

function characterTests(parts: readonly Token[]): CharacterTests {
  return parts.map((part) => (part.kind === 'one' ? new RegExp(`^${part.source}$`, 'su') : undefined));
}

/** Whether the path or a directory above it matches: all ways through at once, so that it takes path times pattern, whatever is in them. */
function follow(parts: readonly Token[], tests: CharacterTests, path: string): boolean {
  // before which part one can be; in which directories
  let [at, inside] = [new Set<number>(), new Set<number>()];
  const enter = (set: Set<number>, part: number): void => {
    for (let n = part; !set.has(n); n++) {
      set.add(n);
      if (n === parts.length || parts[n]!.kind === 'one') return;
    }
  };
  enter(at, 0);
  for (const char of path) {
    if (char === '/' && at.has(parts.length)) return true;
    const [nextAt, nextInside] = [new Set<number>(), new Set(inside)];
    if (char === '/') for (const n of inside) enter(nextAt, n + 1);
    for (const n of at) {
      const kind = parts[n]?.kind;
      if (kind === 'one' ? tests[n]!.test(char) : kind === 'directories' && char === '/') enter(nextAt, n + 1);
      if (kind === 'any' || (kind === 'component' && char !== '/')) enter(nextAt, n);
      if (kind === 'directories') nextInside.add(n);
    }
    [at, inside] = [nextAt, nextInside];
  }
  return at.has(parts.length);
}

/** Go's filepath.Clean without its leading slash. */
function clean(path: string): string {
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..' && kept.length > 0 && kept.at(-1) !== '..') kept.pop();
    else if (part !== '..' || !path.startsWith('/')) kept.push(part);
  }
  return kept.join('/');
}

function tokens(pattern: string, line: string): Token[] {
  const out: Token[] = [];
  const wrong = (): EngineError =>
    new EngineError('invalid-argument', `syntax error in pattern ${JSON.stringify(line)}`);
  for (let i = 0; i < pattern.length; i++) {
    const char = String.fromCodePoint(pattern.codePointAt(i)!);
    if (char === '*' && pattern[i + 1] === '*') {
      const directories = pattern[i + 2] === '/';
      i += directories ? 2 : 1;
      out.push({ kind: directories ? 'directories' : 'any' });
    } else if (char === '*') out.push({ kind: 'component' });
    else if (char === '?') out.push({ kind: 'one', source: '[^/]' });
    else if (char === '\\') {
      const code = pattern.codePointAt(++i);
      if (code === undefined) throw wrong();
      const next = String.fromCodePoint(code);
      i += next.length - 1;
      out.push({ kind: 'one', source: RegExp.escape(next) });
    } else if (char === '[') {
      const end = classEnd(pattern, i);
      if (end < 0) throw wrong();
      out.push({ kind: 'one', source: characterClass(pattern.slice(i + 1, end)) });
      i = end;
    } else {
      out.push({ kind: 'one', source: RegExp.escape(char) });
      i += char.length - 1;
    }
  }
  return out;
}

/** What stands between the brackets, with Go's rules: a range that runs backwards has nothing in it. */
function characterClass(inside: string): string {
  const negated = inside.startsWith('^');
  const chars: { readonly char: string; readonly escaped: boolean }[] = [];
  for (let i = negated ? 1 : 0; i < inside.length; i++) {
    const escaped = inside[i] === '\\' && i + 1 < inside.length;
    if (escaped) i++;
    const char = String.fromCodePoint(inside.codePointAt(i)!);
    i += char.length - 1;
    chars.push({ char, escaped });
  }
  let out = '';
  for (let i = 0; i < chars.length; i++) {
    const low = chars[i]!.char;
    const dash = chars[i + 1];
    const high = dash?.char === '-' && !dash.escaped ? chars[i + 2]?.char : undefined;
    if (high === undefined) {
      out += RegExp.escape(low);
      continue;
    }
    i += 2;
    if (low <= high) out += `${RegExp.escape(low)}-${RegExp.escape(high)}`;
  }
  if (out === '') return negated ? '[^/]' : '(?!)';
  return negated ? `[^/${out}]` : `(?!/)[${out}]`;
}

function classEnd(pattern: string, start: number): number {
  let i = start + 1;
  if (pattern[i] === '^') i++;
  if (pattern[i] === ']') return -1;
  for (; i < pattern.length; i++) {
    if (pattern[i] === '\\') i++;
    else if (pattern[i] === ']') return i;
  }
  return -1;
}

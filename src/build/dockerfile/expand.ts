import { EngineError } from '../../base/errors.ts';
import { ShellPattern } from './shell-pattern.ts';

/** Looks a variable up; undefined is unset. */
export type Lookup = (name: string) => string | undefined;

export interface ExpandOptions {
  readonly escape?: string;
  /** Keep quotes as they are (heredoc bodies); an escape goes, and what follows it stays. */
  readonly raw?: boolean;
  /** Of text that is only shown: quotes, and variables that are not set stay. */
  readonly shown?: boolean;
  /** Told of a variable that is used as it is, without a default, and is not set. */
  readonly onUnset?: (name: string) => void;
}

/**
 * Expands `$name` and `${name…}` and removes quotes, as one word (Dockerfile reference, "Environment replacement").
 * Forms: `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//`. Throws `invalid-argument`.
 */
export function expandWord(text: string, lookup: Lookup, options: ExpandOptions = {}): string {
  return new Expander(text, lookup, options).whole().join(' ');
}

/** The same, splitting at unquoted white space: the words of `EXPOSE`, `ENV`, `COPY`. Text that an expansion brought is split only by `splitValues`. */
export function expandWords(text: string, lookup: Lookup, options: ExpandOptions = {}): string[] {
  return new Expander(text, lookup, options).words();
}

/** Of substitutions in defaults of substitutions. */
const MAX_DEPTH = 500;

class Expander {
  readonly #text: string;
  readonly #lookup: Lookup;
  readonly #escape: string;
  readonly #raw: boolean;
  readonly #shown: boolean;
  readonly #onUnset: ((name: string) => void) | undefined;
  #at = 0;
  #depth = 0;
  /** Escapes stay, for a pattern to read. */
  #keepsEscapes = false;

  constructor(text: string, lookup: Lookup, options: ExpandOptions) {
    this.#text = text;
    this.#lookup = lookup;
    this.#escape = options.escape ?? '\\';
    this.#raw = options.raw ?? false;
    this.#shown = options.shown ?? false;
    this.#onUnset = options.onUnset;
  }

  whole(): string[] {
    return [this.#read(() => false)];
  }

  words(): string[] {
    const words: string[] = [];
    for (;;) {
      while (this.#at < this.#text.length && /\s/.test(this.#text[this.#at]!)) this.#at++;
      if (this.#at >= this.#text.length) return words;
      words.push(this.#read((char) => /\s/.test(char)));
    }
  }

  #read(ends: (char: string) => boolean): string {
    let out = '';
    let quoted = false;
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at]!;
      if (ends(char)) break;
      if (char === '$') out += this.#variable();
      else if (this.#shown) {
        if (char === '"') quoted = !quoted;
        const end = char === "'" && !quoted ? this.#text.indexOf("'", this.#at + 1) + 1 : 0;
        const goes = char === this.#escape && (!quoted || /["$\\`]/.test(this.#text[this.#at + 1] ?? ''));
        const next = Math.max(end, this.#at + (goes ? 2 : 1));
        out += this.#text.slice(this.#at + (goes ? 1 : 0), next);
        this.#at = next;
      } else if (this.#raw) {
        if (char === this.#escape) this.#at++;
        out += this.#text[this.#at++] ?? '';
      } else if (char === "'") out += this.#single();
      else if (char === '"') out += this.#double();
      else if (char === this.#escape) {
        if (this.#keepsEscapes) out += char;
        this.#at++;
        if (this.#at < this.#text.length) out += this.#text[this.#at++]!;
      } else {
        out += char;
        this.#at++;
      }
    }
    return out;
  }

  #single(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0)
      throw new EngineError('invalid-argument', 'unexpected end of statement while looking for matching single-quote');
    const text = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return text;
  }

  #double(): string {
    let out = '';
    this.#at++;
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at]!;
      if (char === '"') {
        this.#at++;
        return out;
      }
      if (char === '$') out += this.#variable();
      else if (char === this.#escape) {
        const next = this.#text[this.#at + 1];
        if (next === '"' || next === '$' || next === this.#escape) {
          out += this.#keepsEscapes ? char + next : next;
          this.#at += 2;
        } else {
          out += char;
          this.#at++;
        }
      } else {
        out += char;
        this.#at++;
      }
    }
    throw new EngineError('invalid-argument', 'unexpected end of statement while looking for matching double-quote');
  }

  #variable(): string {
    if (++this.#depth > MAX_DEPTH)
      throw new EngineError('invalid-argument', `substitutions are nested more than ${MAX_DEPTH} deep`);
    try {
      return this.#substitution();
    } finally {
      this.#depth--;
    }
  }

  #substitution(): string {
    const start = this.#at;
    this.#at++; // $
    if (this.#text[this.#at] !== '{') {
      const name = /^(?:[a-zA-Z_][a-zA-Z0-9_]*|[0-9@*#?!$-])/.exec(this.#text.slice(this.#at, this.#at + 256))?.[0];
      if (name === undefined) return '$';
      this.#at += name.length;
      return this.#plain(name, start);
    }
    this.#at++; // {
    const name = /^[a-zA-Z_][a-zA-Z0-9_]*|^[0-9]+/.exec(this.#text.slice(this.#at))?.[0] ?? '';
    this.#at += name.length;
    if (name === '') throw new EngineError('invalid-argument', `bad substitution: ${this.#text}`);
    const next = this.#text[this.#at];
    if (next === '}') {
      this.#at++;
      return this.#plain(name, start);
    }
    const value = this.#lookup(name);
    let operator = next ?? '';
    if (
      operator === ':' ||
      ((operator === '#' || operator === '%' || operator === '/') && this.#text[this.#at + 1] === operator)
    ) {
      operator += this.#text[this.#at + 1] ?? '';
    }
    this.#at += operator.length;
    if (operator === '') throw new EngineError('invalid-argument', 'syntax error: missing }');
    const modify = MODIFIERS[operator];
    if (!modify) throw new EngineError('invalid-argument', `unsupported modifier (${operator}) in substitution`);
    const replaces = operator.startsWith('/');
    const before = this.#keepsEscapes;
    this.#keepsEscapes = /^[#%/]/.test(operator);
    const word = this.#read((char) => char === '}' || (replaces && char === '/'));
    this.#keepsEscapes = before;
    let replacement = '';
    if (replaces) {
      if (this.#text[this.#at] !== '/')
        throw new EngineError('invalid-argument', `syntax error: missing replacement in \${${name}${operator}${word}}`);
      this.#at++;
      replacement = this.#read((char) => char === '}');
    }
    if (this.#text[this.#at] !== '}') throw new EngineError('invalid-argument', 'syntax error: missing }');
    this.#at++;
    if (this.#shown && value === undefined) return this.#text.slice(start, this.#at);
    return modify(value, word, { name, replacement });
  }

  /** @param start where it is written */
  #plain(name: string, start: number): string {
    const value = this.#lookup(name);
    if (value === undefined) this.#onUnset?.(name);
    return value ?? (this.#shown ? this.#text.slice(start, this.#at) : '');
  }
}

type Modifier = (value: string | undefined, word: string, more: { name: string; replacement: string }) => string;

const MODIFIERS: Readonly<Record<string, Modifier | undefined>> = {
  ':-': (value, word) => value || word,
  '-': (value, word) => value ?? word,
  ':+': (value, word) => (value ? word : ''),
  '+': (value, word) => (value === undefined ? '' : word),
  ':?': (value, word, { name }) => value || refuse(name, word, 'is not allowed to be empty'),
  '?': (value, word, { name }) => value ?? refuse(name, word, 'is not allowed to be unset'),
  '#': (value = '', word) => value.slice(new ShellPattern(word).prefix(value, 0, 'shortest') ?? 0),
  '##': (value = '', word) => value.slice(new ShellPattern(word).prefix(value, 0, 'longest') ?? 0),
  '%': (value = '', word) => value.slice(0, value.length - (new ShellPattern(word).suffix(value, 'shortest') ?? 0)),
  '%%': (value = '', word) => value.slice(0, value.length - (new ShellPattern(word).suffix(value, 'longest') ?? 0)),
  '/': (value = '', word, { replacement }) => new ShellPattern(word).replace(value, replacement, { all: false }),
  '//': (value = '', word, { replacement }) => new ShellPattern(word).replace(value, replacement, { all: true }),
};

function refuse(name: string, word: string, otherwise: string): never {
  throw new EngineError('invalid-argument', `${name}: ${word || otherwise}`);
}

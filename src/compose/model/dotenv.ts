import { EngineError } from '../../base/errors.ts';
import { interpolate, type Lookup } from './interpolate.ts';

/**
 * Reads `.env` and `env_file` texts: `KEY=value`, `export KEY=value`, `KEY: value`, comments, quotes (single: as they
 * stand; double: escapes and variables; both may span lines). A name alone takes its value from `lookup`. Variables in
 * values are looked up in `lookup` first, then among the file's earlier ones, then in `earlier`: those of files before.
 */
export function parseDotenv(
  text: string,
  file: string,
  lookup: Lookup,
  more: {
    readonly earlier?: ReadonlyMap<string, string>;
    /** Called for a variable that is not set and has no default. */
    readonly onMissing?: (name: string) => void;
  } = {},
): Map<string, string> {
  const found = new Map<string, string>();
  const options = {
    lookup: (name: string): string | undefined => lookup(name) ?? found.get(name) ?? more.earlier?.get(name),
    onMissing: more.onMissing,
  };
  const source = text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');
  const fail = (at: number, message: string): EngineError =>
    new EngineError(
      'invalid-argument',
      `failed to read ${file}: line ${source.slice(0, at).split('\n').length}: ${message}`,
    );
  let at = 0;
  while (at < source.length) {
    const blank = /^(?:[ \t\n]|#[^\n]*)+/.exec(source.slice(at));
    if (blank) {
      at += blank[0].length;
      continue;
    }
    const start = at;
    const head = /^(?:export[ \t]+)?([^\s=:#'"]+)[ \t]*(?:([=:])[ \t]*|(?=\n|$|#))/.exec(source.slice(at));
    if (!head) {
      const line = source.slice(at).split('\n')[0]!;
      throw fail(start, `unexpected character in variable name near ${JSON.stringify(line)}`);
    }
    at += head[0].length;
    const name = head[1]!;
    if (head[2] === undefined) {
      const inherited = lookup(name);
      if (inherited !== undefined) found.set(name, inherited);
      at = lineEnd(source, at);
      continue;
    }
    const quote = source[at];
    if (quote === "'" || quote === '"') {
      const end = closingQuote(source, at + 1, quote);
      if (end < 0) throw fail(start, `unterminated quoted value ${source.slice(at).split('\n')[0]!}`);
      const rest = source.slice(end + 1, lineEnd(source, end + 1));
      if (!/^[ \t]*(#.*)?$/.test(rest))
        throw fail(end, `unexpected character ${JSON.stringify(rest.trim()[0])} after the value of ${name}`);
      const raw = source.slice(at + 1, end);
      found.set(name, quote === "'" ? raw : interpolate(unescape(raw), options));
      at = lineEnd(source, end + 1);
    } else {
      const end = lineEnd(source, at);
      const raw = source.slice(at, end);
      const comment = /[ \t]#/.exec(raw);
      found.set(name, interpolate((comment ? raw.slice(0, comment.index) : raw).trim(), options));
      at = end;
    }
  }
  return found;
}

/** `format: raw`: every line is `KEY=value`, and nothing in the value means anything. */
export function parseRawEnv(text: string, file: string, lookup: Lookup): Map<string, string> {
  const found = new Map<string, string>();
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const cut = line.indexOf('=');
    const name = (cut < 0 ? line : line.slice(0, cut)).trim();
    if (name === '')
      throw new EngineError('invalid-argument', `failed to read ${file}: line ${i + 1}: no variable name`);
    const value = cut < 0 ? lookup(name) : line.slice(cut + 1);
    if (value !== undefined) found.set(name, value);
  }
  return found;
}

function lineEnd(source: string, from: number): number {
  const end = source.indexOf('\n', from);
  return end < 0 ? source.length : end;
}

function closingQuote(source: string, from: number, quote: string): number {
  for (let at = from; at < source.length; at++) {
    if (source[at] === '\\') at++;
    else if (source[at] === quote) return at;
  }
  return -1;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$$' };

function unescape(raw: string): string {
  return raw.replace(/\\(.)/gs, (whole, letter: string) => ESCAPES[letter] ?? whole);
}

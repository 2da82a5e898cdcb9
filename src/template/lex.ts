/** The words of Go's text/template. */
export type Token =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'open' | 'close' }
  | { readonly kind: 'field' | 'variable' | 'word'; readonly text: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: '.' | '|' | '(' | ')' | ':=' | '=' | ',' | 'space' };

/** A template that cannot be read; `message` is in Go's words, without its `template: …` prefix. */
export class TemplateSyntaxError extends Error {}

/** Splits a template. Throws TemplateSyntaxError. */
export function lex(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let trimNext = false;
  for (;;) {
    const open = source.indexOf('{{', at);
    let text = open < 0 ? source.slice(at) : source.slice(at, open);
    if (trimNext) text = text.trimStart();
    trimNext = false;
    if (open < 0) {
      if (text !== '') tokens.push({ kind: 'text', text });
      return tokens;
    }
    at = open + 2;
    if (/^-\s/.test(source.slice(at, at + 2))) {
      text = text.trimEnd();
      at += 1;
    }
    if (text !== '') tokens.push({ kind: 'text', text });
    const comment = /^\s*\/\*[^]*?\*\/\s*(-?)\}\}/.exec(source.slice(at));
    if (comment) {
      at += comment[0].length;
      trimNext = comment[1] === '-';
      continue;
    }
    tokens.push({ kind: 'open' });
    const end = lexAction(source, at, tokens);
    at = end.at;
    trimNext = end.trim;
    tokens.push({ kind: 'close' });
  }
}

const WORD = /[\p{L}\p{N}_]/u;

function lexAction(source: string, from: number, tokens: Token[]): { at: number; trim: boolean } {
  let at = from;
  for (;;) {
    if (at >= source.length) throw new TemplateSyntaxError('unclosed action');
    if (source.startsWith('}}', at)) return { at: at + 2, trim: false };
    if (/^\s+-\}\}/.test(source.slice(at))) return { at: source.indexOf('}}', at) + 2, trim: true };
    const char = source[at]!;
    if (/\s/.test(char)) {
      if (tokens.at(-1)?.kind !== 'space') tokens.push({ kind: 'space' });
      at++;
    } else if (char === '"' || char === '`') {
      const end = stringEnd(source, at);
      tokens.push({ kind: 'string', value: unquote(source.slice(at, end)) });
      at = end;
    } else if (char === "'") {
      const match = /^'(\\.|[^'\\])'/u.exec(source.slice(at));
      if (!match) throw new TemplateSyntaxError('unterminated character constant');
      tokens.push({ kind: 'number', value: unquote(`"${match[1]}"`).codePointAt(0)! });
      at += match[0].length;
    } else if (source.startsWith(':=', at)) {
      tokens.push({ kind: ':=' });
      at += 2;
    } else if ('|(),='.includes(char)) {
      tokens.push({ kind: char as '|' | '(' | ')' | ',' | '=' });
      at++;
    } else if (char === '.' && !/\d/.test(source[at + 1] ?? '')) {
      const name = take(source, at + 1);
      tokens.push(name === '' ? { kind: '.' } : { kind: 'field', text: name });
      at += 1 + name.length;
    } else if (char === '$') {
      const name = take(source, at + 1);
      tokens.push({ kind: 'variable', text: `$${name}` });
      at += 1 + name.length;
    } else if (/[\d.+-]/.test(char)) {
      const match = /^[+-]?(0[xX][\da-fA-F]+|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)/.exec(source.slice(at));
      if (!match) throw new TemplateSyntaxError(`bad number syntax: ${JSON.stringify(char)}`);
      tokens.push({ kind: 'number', value: Number(match[0]) });
      at += match[0].length;
    } else if (WORD.test(char)) {
      const text = take(source, at);
      tokens.push({ kind: 'word', text });
      at += text.length;
    } else {
      throw new TemplateSyntaxError(`unexpected ${JSON.stringify(char)} in command`);
    }
  }
}

function take(source: string, from: number): string {
  let end = from;
  while (end < source.length && WORD.test(source[end]!)) end++;
  return source.slice(from, end);
}

function stringEnd(source: string, from: number): number {
  const quote = source[from]!;
  for (let at = from + 1; at < source.length; at++) {
    if (quote === '"' && source[at] === '\\') at++;
    else if (source[at] === quote) return at + 1;
    else if (quote === '"' && source[at] === '\n') break;
  }
  throw new TemplateSyntaxError(quote === '"' ? 'unterminated quoted string' : 'unterminated raw quoted string');
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' };

/** The value of a Go string literal. */
function unquote(literal: string): string {
  if (literal.startsWith('`')) return literal.slice(1, -1);
  return literal
    .slice(1, -1)
    .replace(/\\(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{3}|.)/gs, (_, code: string) => {
      if (/^[xuU]./.test(code)) return String.fromCodePoint(Number.parseInt(code.slice(1), 16));
      if (/^[0-7]{3}$/.test(code)) return String.fromCodePoint(Number.parseInt(code, 8));
      return ESCAPES[code] ?? code;
    });
}

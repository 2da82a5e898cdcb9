import { closing, HclError } from './template-end.ts';

export interface Token {
  readonly kind: 'name' | 'number' | 'template' | 'punctuation' | 'newline' | 'end';
  /** Of a template, what stands between its quotes or in its lines. */
  readonly text: string;
  readonly line: number;
  /** A heredoc: backslashes mean nothing in it. */
  readonly raw?: boolean;
}

const PUNCTUATION = ['...', '=>', '==', '!=', '<=', '>=', '&&', '||', ...Array.from('{}[]()=:,.?+-*/%<>!')];

/** The words of a text in HCL's native syntax, an `end` behind them. Throws `HclError`. */
export function tokenize(text: string, firstLine = 1): Token[] {
  const tokens: Token[] = [];
  let line = firstLine;
  for (let at = 0; at < text.length;) {
    const rest = text.slice(at, at + 512);
    const skip = /^(?:[ \t\r]+|#[^\n]*|\/\/[^\n]*)/.exec(rest);
    if (skip) {
      at += /^[#/]/.test(skip[0]) ? endOfLine(text, at) - at : skip[0].length;
      continue;
    }
    if (rest.startsWith('/*')) {
      const end = text.indexOf('*/', at + 2);
      if (end < 0) throw new HclError(line, 'a comment is not closed');
      line += text.slice(at, end).split('\n').length - 1;
      at = end + 2;
      continue;
    }
    if (rest[0] === '\n') {
      tokens.push({ kind: 'newline', text: '\n', line: line++ });
      at++;
      continue;
    }
    const heredoc = /^<<(-?)([A-Za-z_][\w-]*)\r?\n/.exec(rest);
    if (heredoc) {
      const found = readHeredoc(text, at + heredoc[0].length, heredoc[2]!, heredoc[1] === '-', line);
      tokens.push({ kind: 'template', text: found.text, line, raw: true });
      line += text.slice(at, found.end).split('\n').length - 1;
      at = found.end;
      continue;
    }
    if (rest[0] === '"') {
      const end = endOfQuote(text, at + 1, line);
      tokens.push({ kind: 'template', text: text.slice(at + 1, end), line });
      at = end + 1;
      continue;
    }
    const word = /^(?:([\p{L}_][\p{L}\p{N}_-]*)|(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))/u.exec(rest);
    if (word) {
      tokens.push({ kind: word[1] === undefined ? 'number' : 'name', text: word[0], line });
      at += word[0].length;
      continue;
    }
    const mark = PUNCTUATION.find((one) => rest.startsWith(one));
    if (mark === undefined) throw new HclError(line, `unexpected ${JSON.stringify(rest[0])}`);
    tokens.push({ kind: 'punctuation', text: mark, line });
    at += mark.length;
  }
  return [...tokens, { kind: 'end', text: '', line }];
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

function endOfQuote(text: string, from: number, line: number): number {
  for (let at = from; at < text.length && text[at] !== '\n'; at++) {
    if (text[at] === '"') return at;
    if (text[at] === '\\') at++;
    else if ((text[at] === '$' || text[at] === '%') && text[at + 1] === '{' && text[at - 1] !== text[at])
      at = closing(text, at + 2, line);
  }
  throw new HclError(line, 'a text is not closed');
}

function readHeredoc(
  text: string,
  from: number,
  name: string,
  flush: boolean,
  line: number,
): { readonly text: string; readonly end: number } {
  const lines: string[] = [];
  for (let at = from; at < text.length;) {
    const end = endOfLine(text, at);
    const one = text.slice(at, end);
    if (one.trim() === name) {
      const indent = flush
        ? Math.min(...lines.filter((each) => each.trim() !== '').map((each) => /^[ \t]*/.exec(each)![0].length), 1000)
        : 0;
      return { text: lines.map((each) => `${each.slice(indent)}\n`).join(''), end };
    }
    lines.push(one);
    at = end + 1;
  }
  throw new HclError(line, `the heredoc ${name} is not closed`);
}

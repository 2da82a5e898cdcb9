/** What is wrong in a bake file, with its line. */
export class HclError extends Error {
  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.name = 'HclError';
  }
}

/** Where the brace closes that was opened before `from`; quoted texts and inner braces skipped. */
export function closing(text: string, from: number, line: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '"') {
      for (at++; at < text.length && text[at] !== '"'; at++) {
        if (text[at] === '\\') at++;
        else if (text[at] === '$' && text[at + 1] === '{') at = closing(text, at + 2, line);
      }
    } else if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  throw new HclError(line, 'a template is not closed');
}

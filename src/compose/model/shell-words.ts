import { EngineError } from '../../base/errors.ts';

/** Splits a command as a shell would, without expanding anything. Throws `invalid-argument` for an open quote. */
export function shellWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]!;
    if (letter === "'" || letter === '"') {
      word ??= '';
      for (at++; text[at] !== letter; at++) {
        if (at >= text.length)
          throw new EngineError('invalid-argument', `invalid command line string: a quote is not closed in ${text}`);
        if (letter === '"' && text[at] === '\\' && at + 1 < text.length) at++;
        word += text[at];
      }
    } else if (letter === '\\') {
      if (++at < text.length) word = (word ?? '') + text[at]!;
    } else if (/\s/.test(letter)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + letter;
  }
  if (word !== undefined) words.push(word);
  return words;
}

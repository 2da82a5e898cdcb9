/**
 * Indents JSON as it stands: numbers beyond 2⁵³ and escapes keep their digits and form, which a parse and a stringify
 * would not. The text is taken to be valid.
 */
export function indentJson(text: string, step: string): string {
  const parts: string[] = [];
  let depth = 0;
  const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs;
  let previous = '';
  for (const [word] of text.matchAll(token)) {
    const line = (): string => `\n${step.repeat(depth)}`;
    if (word === '}' || word === ']') {
      depth--;
      if (previous !== '{' && previous !== '[') parts.push(line());
    } else if (previous === '{' || previous === '[' || previous === ',') {
      parts.push(line());
    }
    parts.push(word === ':' ? ': ' : word);
    if (word === '{' || word === '[') depth++;
    previous = word;
  }
  return parts.join('');
}

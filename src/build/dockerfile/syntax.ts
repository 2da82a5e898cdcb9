/** A file's own word for who is to read it: `# syntax=IMAGE`, with what may follow the image's name. */
export interface SyntaxDirective {
  readonly image: string;
  /** The whole value. */
  readonly text: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * Finds the directive in a file of any language, as BuildKit does: among the first lines behind `#`, among the first
 * lines behind `//`, or as the first key of a JSON object.
 */
export function findSyntax(source: string): SyntaxDirective | undefined {
  const lines = source.replace(/^\uFEFF/, '').split(/\r?\n/);
  const first = lines[0]!.startsWith('#!') ? 1 : 0;
  return inComments(lines, first, '#') ?? inComments(lines, first, '//') ?? inJson(lines, first);
}

function inComments(lines: readonly string[], first: number, mark: string): SyntaxDirective | undefined {
  for (let index = first; index < lines.length; index++) {
    const line = lines[index]!.trim();
    const match = line.startsWith(mark) ? /^\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+)$/.exec(line.slice(mark.length)) : null;
    const key = match?.[1]!.toLowerCase();
    if (key === 'syntax') return directive(match![2]!, index + 1);
    if (key !== 'escape' && key !== 'check') return undefined;
  }
  return undefined;
}

function inJson(lines: readonly string[], first: number): SyntaxDirective | undefined {
  const text = lines.slice(first).join('\n');
  const match = /^\s*\{\s*"syntax"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(text);
  if (!match) return undefined;
  try {
    return directive(JSON.parse(match[1]!) as string, first + match[0].split('\n').length);
  } catch {
    return undefined;
  }
}

function directive(value: string, line: number): SyntaxDirective | undefined {
  const text = value.trim();
  return text === '' ? undefined : { image: text.split(' ', 1)[0]!, text, line };
}

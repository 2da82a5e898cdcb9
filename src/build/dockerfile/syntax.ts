/** A file's own word for who is to read it: `# syntax=IMAGE`, with what may follow the image's name. */
export interface SyntaxDirective {
  readonly image: string;
  /** The whole value. */
  readonly text: string;
  /** Counted from 1. */
  readonly line: number;
}

/** Docker's language with INCLUDE and ENV --from-cmd. No image has it: it is built in as well. */
export const GANTRY_SYNTAX = 'gantry/dockerfile:1';

const OWN = /^(gantry\/dockerfile:1|dockerfile\.v0|(docker\.io\/)?docker\/dockerfile(-upstream)?([:@].*)?)$/;

/** Docker's own frontends are the language that is built in, and ours is an extension of it. */
export function isDockerfileFrontend(image: string): boolean {
  return OWN.test(image);
}

/**
 * The frontend that a file is for, where it is another than Docker's own.
 * @param chosen the build's argument BUILDKIT_SYNTAX, which counts more than what the file says
 */
export function otherFrontend(source: string, chosen: string | undefined): string | undefined {
  const given = chosen?.trim() ?? '';
  const image = given === '' ? findSyntax(source)?.image : given.split(' ', 1)[0];
  return image === undefined || isDockerfileFrontend(image) ? undefined : image;
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

import { EngineError } from '../../base/errors.ts';
import { GANTRY_SYNTAX } from './syntax.ts';

/** One instruction as written: its parts are still text, see instructions.ts for their meaning. */
export interface Node {
  /** Upper case: `RUN`. */
  readonly name: string;
  /** As the author wrote it: `run`. */
  readonly written: string;
  /** `--from=builder`, in order; the rest of the line is in `text`. */
  readonly flags: readonly Flag[];
  /** Everything behind the flags, continuation lines joined, as Docker joins them. */
  readonly text: string;
  readonly heredocs: readonly Heredoc[];
  readonly range: SourceRange;
  /** The whole instruction, for messages and history: name, flags and text. */
  readonly original: string;
}

export interface Flag {
  readonly name: string;
  /** Undefined for a flag without `=`. */
  readonly value: string | undefined;
}

export interface Heredoc {
  readonly name: string;
  /** Unquoted delimiter: variables in `content` are expanded where the instruction expands at all. */
  readonly expand: boolean;
  readonly content: string;
  /** File descriptor in front of `<<`, 0 when there is none. */
  readonly fd: number;
}

/** Lines counted from 1, both included. */
export interface SourceRange {
  readonly start: number;
  readonly end: number;
}

export interface ParsedDockerfile {
  readonly nodes: readonly Node[];
  readonly directives: Readonly<Record<string, string>>;
  readonly escape: '\\' | '`';
  readonly warnings: readonly ParseWarning[];
  /** The line of an instruction that the file ends in the middle of: its last line is to be continued. */
  readonly unfinished: number | undefined;
}

export interface ParseOptions {
  /** It is a part of a file of our own language: it has no directives, and the escape character of the whole. */
  readonly part?: { readonly escape: '\\' | '`' };
}

export interface ParseWarning {
  readonly rule: string;
  readonly message: string;
  readonly range: SourceRange;
}

const MAX_BYTES = 16 * 1024 * 1024;
const DIRECTIVE = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;
const HEREDOC = /(?<!\d)(\d*)<<(-?)(?:"([^"\s]+)"|'([^'\s]+)'|([a-zA-Z_][a-zA-Z0-9_.]*))/g;
const TAKES_HEREDOC = new Set(['RUN', 'COPY', 'ADD']);

/**
 * Splits a Dockerfile into instructions (Dockerfile reference, "Format", "Parser directives", "Here-Documents").
 * Throws `invalid-argument` with the line.
 */
export function parseDockerfile(source: string, { part }: ParseOptions = {}): ParsedDockerfile {
  if (source.length > MAX_BYTES) throw new EngineError('too-large', `dockerfile is larger than ${MAX_BYTES} bytes`);
  if (source.includes('\0'))
    throw new EngineError('invalid-argument', 'dockerfile parse error: the file has NUL bytes: it is not text');
  const text = source.replace(/^\uFEFF/, '');
  const lines = text.split(/\r?\n/);
  const { directives, next } = readDirectives(lines);
  const escape = directives['escape'] ?? part?.escape ?? '\\';
  if (part && escape !== part.escape)
    throw new EngineError(
      'invalid-argument',
      `dockerfile parse error on line 1: an included file has the escape character of the one that includes it (${part.escape})`,
    );
  const extended = part !== undefined || directives['syntax']?.split(' ', 1)[0] === GANTRY_SYNTAX;
  if (escape !== '\\' && escape !== '`') {
    throw new EngineError(
      'invalid-argument',
      `dockerfile parse error: invalid escape token '${escape}': it is \\ or \``,
    );
  }
  // Docker refuses text after a base image; where it would, and the text is a comment, comments at line ends are accepted everywhere.
  const inlineComments = lines.some((line) => /^\s*FROM\s+\S+(\s+AS\s+\S+)?\s+#/i.test(line));

  const nodes: Node[] = [];
  const warnings: ParseWarning[] = [];
  let index = next;
  let unfinished: number | undefined;
  while (index < lines.length) {
    if (isBlank(lines[index]!) || isComment(lines[index]!)) {
      index++;
      continue;
    }
    const start = index;
    let joined = '';
    let emptyContinuation = false;
    for (;;) {
      const piece = continuation(lines[index]!, escape);
      joined += piece.text;
      index++;
      unfinished = piece.continues ? start + 1 : undefined;
      if (!piece.continues) break;
      while (index < lines.length && (isComment(lines[index]!) || isBlank(lines[index]!))) {
        if (isBlank(lines[index]!)) emptyContinuation = true;
        index++;
      }
      if (index >= lines.length) break;
    }
    if (emptyContinuation) {
      warnings.push({
        rule: 'NoEmptyContinuation',
        message: 'Empty continuation line',
        range: { start: start + 1, end: index },
      });
    }
    let line = joined.trim();
    if (line === '') continue; // nothing but continuations
    if (inlineComments) {
      // In a RUN the shell takes the comment off by itself.
      const cut = /\s+#\s.*$/.exec(line);
      if (cut && !/^(RUN|COPY\s+<<|ADD\s+<<)/i.test(line) && !line.includes('<<')) {
        warnings.push({
          rule: 'InlineComment',
          message: `comment at the end of an instruction: Docker reads it as arguments; put ${JSON.stringify(cut[0].trim())} on a line of its own`,
          range: { start: start + 1, end: index },
        });
        line = line.slice(0, cut.index).trimEnd();
      }
    }
    const { name, written, flags, rest } = splitInstruction(line, start + 1, extended);
    const heredocs: Heredoc[] = [];
    if (TAKES_HEREDOC.has(name) || (name === 'ONBUILD' && /^(RUN|COPY|ADD)\b/i.test(rest))) {
      for (const opening of heredocOpenings(rest)) {
        const body: string[] = [];
        const opened = index;
        for (;;) {
          if (index >= lines.length) {
            throw new EngineError(
              'invalid-argument',
              `dockerfile parse error on line ${opened}: unterminated heredoc ${opening.name}`,
            );
          }
          const candidate = opening.stripTabs ? lines[index]!.replace(/^\t+/, '') : lines[index]!;
          index++;
          if (candidate === opening.name) break;
          body.push(candidate);
        }
        heredocs.push({
          name: opening.name,
          expand: opening.expand,
          fd: opening.fd,
          content: body.length === 0 ? '' : `${body.join('\n')}\n`,
        });
      }
    }
    nodes.push({ name, written, flags, text: rest, heredocs, range: { start: start + 1, end: index }, original: line });
  }
  return { nodes, directives, escape, warnings, unfinished };
}

function readDirectives(lines: readonly string[]): { directives: Record<string, string>; next: number } {
  const directives: Record<string, string> = Object.create(null) as Record<string, string>;
  let next = lines[0]?.startsWith('#!') ? 1 : 0;
  while (next < lines.length) {
    const match = DIRECTIVE.exec(lines[next]!);
    const key = match?.[1]!.toLowerCase();
    if (!match || (key !== 'syntax' && key !== 'escape' && key !== 'check')) break;
    if (key in directives)
      throw new EngineError(
        'invalid-argument',
        `dockerfile parse error on line ${next + 1}: only one ${key} parser directive can be used`,
      );
    directives[key] = match[2]!;
    next++;
  }
  return { directives, next };
}

function isComment(line: string): boolean {
  return /^\s*#/.test(line);
}

function isBlank(line: string): boolean {
  return line.trim() === '';
}

function continuation(line: string, escape: string): { text: string; continues: boolean } {
  const trimmed = line.trimEnd();
  if (trimmed.endsWith(escape)) {
    return { text: trimmed.slice(0, -1), continues: true };
  }
  return { text: line, continues: false };
}

function splitInstruction(
  line: string,
  number: number,
  extended: boolean,
): { name: string; written: string; flags: Flag[]; rest: string } {
  const match = /^(\S+)(?:\s+([\s\S]*))?$/.exec(line)!;
  const written = match[1]!;
  const name = written.toUpperCase();
  let rest = (match[2] ?? '').trim();
  if (name === 'INCLUDE' && !extended) {
    throw new EngineError(
      'invalid-argument',
      `dockerfile parse error on line ${number}: unknown instruction: ${written} (${OF_OUR_LANGUAGE})`,
    );
  }
  if (name !== 'INCLUDE' && !KNOWN.has(name)) {
    const [near] = [...KNOWN]
      .filter((known) => distance(known, name) <= 2)
      .sort((a, b) => distance(a, name) - distance(b, name));
    throw new EngineError(
      'invalid-argument',
      `dockerfile parse error on line ${number}: unknown instruction: ${written}${near ? ` (did you mean ${near}?)` : ''}`,
    );
  }
  const flags: Flag[] = [];
  if (FLAGGED.has(name)) {
    for (;;) {
      const flag = /^--([a-zA-Z][a-zA-Z0-9-]*)(?:=((?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\])*))?(?:\s+|$)/.exec(rest);
      if (!flag) break;
      flags.push({ name: flag[1]!, value: flag[2] === undefined ? undefined : unquote(flag[2]) });
      rest = rest.slice(flag[0].length);
    }
    if (name === 'ENV' && !extended && flags.some((flag) => flag.name === 'from-cmd')) {
      throw new EngineError(
        'invalid-argument',
        `dockerfile parse error on line ${number}: unknown flag: --from-cmd (${OF_OUR_LANGUAGE})`,
      );
    }
    if (rest.startsWith('-- ')) rest = rest.slice(3).trimStart();
  }
  return { name, written, flags, rest };
}

function unquote(text: string): string {
  return text.replace(
    /"((?:[^"\\]|\\.)*)"|'([^']*)'/g,
    (_, double?: string, single?: string) => double?.replace(/\\(.)/g, '$1') ?? single ?? '',
  );
}

function heredocOpenings(text: string): { name: string; expand: boolean; stripTabs: boolean; fd: number }[] {
  const found = [];
  for (const match of text.matchAll(HEREDOC)) {
    // `<<<` is a here-string of the shell, and a quoted `<<` is text.
    if (text[match.index - 1] === '<' || text[match.index + match[0].length] === '<' || isQuoted(text, match.index))
      continue;
    const quoted = match[3] ?? match[4];
    found.push({
      name: quoted ?? match[5]!,
      expand: quoted === undefined,
      stripTabs: match[2] === '-',
      fd: match[1] === '' ? 0 : Number(match[1]),
    });
  }
  return found;
}

function isQuoted(text: string, at: number): boolean {
  let quote = '';
  for (let i = 0; i < at; i++) {
    const char = text[i]!;
    if (char === '\\' && quote !== "'") i++;
    else if (quote === '' && (char === '"' || char === "'")) quote = char;
    else if (char === quote) quote = '';
  }
  return quote !== '';
}

const KNOWN = new Set([
  'ADD',
  'ARG',
  'CMD',
  'COPY',
  'ENTRYPOINT',
  'ENV',
  'EXPOSE',
  'FROM',
  'HEALTHCHECK',
  'LABEL',
  'MAINTAINER',
  'ONBUILD',
  'RUN',
  'SHELL',
  'STOPSIGNAL',
  'USER',
  'VOLUME',
  'WORKDIR',
]);
const FLAGGED = new Set(['ADD', 'COPY', 'ENV', 'FROM', 'HEALTHCHECK', 'INCLUDE', 'RUN']);
const OF_OUR_LANGUAGE = `it is of another language than the file: # syntax=${GANTRY_SYNTAX} as its first line has it`;

/** Edits between two words, for suggestions. */
export function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      current.push(Math.min(previous[j]! + 1, current[j - 1]! + 1, previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    previous = current;
  }
  return previous[b.length]!;
}

import { posix } from 'node:path';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import { type Node, parseDockerfile, type ParsedDockerfile } from './parse.ts';
import { DockerfileSource, lineOfMessage, notePlace, type SourceFile, type SourcePlace } from './source.ts';
import { findSyntax, GANTRY_SYNTAX } from './syntax.ts';

export interface IncludeOptions {
  /** The build's argument BUILDKIT_SYNTAX, which counts more than what the file says. */
  readonly chosen: string | undefined;
  /** Whether the file is one of the build context by its name: then including it is a circle. */
  readonly inContext: boolean;
  /** The text of a file of the build context, or of the context `from`. Throws `invalid-argument` when there is none. */
  readonly read: (path: string, from: string | undefined) => Promise<string>;
}

const MAX_DEPTH = 20;
const MAX_FILES = 500;
const MAX_CHARACTERS = 16 * 1024 * 1024;

/** A file on the way to the one that is read. */
interface Including {
  readonly file: SourceFile;
  /** The context that it is of; undefined is the build context. */
  readonly from: string | undefined;
  readonly path: string | undefined;
}

interface Line {
  readonly text: string;
  readonly place: SourcePlace;
}

/**
 * Puts the files that a Dockerfile includes into the places of its INCLUDE lines, where it is of the language that has
 * them (`# syntax=gantry/dockerfile:1`). Throws `invalid-argument` with the file and line, `too-large`.
 */
export async function assembleDockerfile(file: SourceFile, options: IncludeOptions): Promise<DockerfileSource> {
  const own = linesOf(file);
  const lines = inChosenLanguage(own, file, options.chosen?.trim() ?? '');
  const text = lines === own ? file.text : lines.map((line) => line.text).join('\n');
  if (findSyntax(text)?.image !== GANTRY_SYNTAX)
    return lines === own ? DockerfileSource.of(file) : DockerfileSource.joined(file, lines);
  const path = options.inContext ? posix.normalize(file.name) : undefined;
  const parsed = parsedLines(lines, false, () => parseDockerfile(text));
  return DockerfileSource.joined(
    file,
    await new Assembly(options).lines(lines, parsed, [{ file, from: undefined, path }]),
  );
}

/** Whose language was chosen for the build is read as if the file said it, where one of the two is ours. */
function inChosenLanguage(lines: readonly Line[], file: SourceFile, chosen: string): readonly Line[] {
  const image = chosen.split(' ', 1)[0]!;
  const own = findSyntax(file.text);
  if (chosen === '' || (image !== GANTRY_SYNTAX && own?.image !== GANTRY_SYNTAX)) return lines;
  const text = `# syntax=${image}`;
  const at = own ? own.line - 1 : lines[0]?.text.startsWith('#!') ? 1 : 0;
  return lines.toSpliced(at, own ? 1 : 0, { text, place: { file, line: own?.line ?? 1 } });
}

function linesOf(file: SourceFile): Line[] {
  return file.text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((text, index) => ({ text, place: { file, line: index + 1 } }));
}

class Assembly {
  readonly #options: IncludeOptions;
  #files = 0;
  #characters = 0;

  constructor(options: IncludeOptions) {
    this.#options = options;
  }

  /** `lines` with those of the included files. `chain` ends with the file that they are of. */
  async lines(lines: readonly Line[], parsed: ParsedDockerfile, chain: readonly Including[]): Promise<Line[]> {
    const joined: Line[] = [];
    let at = 0;
    for (const node of parsed.nodes) {
      if (node.name !== 'INCLUDE') continue;
      const { start, end } = node.range;
      const line = lines[start - 1]!;
      if (start !== end) throw fail(line.place, chain, 'INCLUDE is one line');
      joined.push(...lines.slice(at, start - 1));
      at = end;
      // As a comment it ends the directives, and an empty line below it keeps it from describing what follows.
      joined.push({ ...line, text: `# ${line.text.trim()}` }, { ...line, text: '' });
      for (const one of await this.#included(node, line.place, { chain, parsed })) joined.push(one);
    }
    joined.push(...lines.slice(at));
    return joined;
  }

  async #included(
    node: Node,
    place: SourcePlace,
    { chain, parsed }: { readonly chain: readonly Including[]; readonly parsed: ParsedDockerfile },
  ): Promise<Line[]> {
    const { path, from: given } = readInclude(node, place, chain);
    // What belongs together stays together: a file of another context includes those beside it.
    const from = given ?? chain.at(-1)!.from;
    const circle = chain.findIndex((one) => one.path === path && one.from === from);
    if (circle >= 0) {
      const names = [...chain.slice(circle).map((one) => one.file.name), chain[circle]!.file.name];
      throw fail(place, chain, `INCLUDE goes round in a circle: ${names.join(' → ')}`);
    }
    if (chain.length > MAX_DEPTH)
      throw fail(
        place,
        chain,
        `INCLUDE is more than ${MAX_DEPTH} files deep: ${chain.map((one) => one.file.name).join(' → ')}`,
      );
    if (++this.#files > MAX_FILES) throw fail(place, chain, `more than ${MAX_FILES} files are included`);
    const name = from === undefined ? path : `${from}:${path}`;
    let text: string;
    try {
      text = await this.#options.read(path, from);
    } catch (error) {
      if (errorCode(error) !== 'invalid-argument') throw error;
      throw fail(place, chain, `INCLUDE ${name}: ${errorMessage(error)}`, error);
    }
    this.#characters += text.length;
    if (this.#characters > MAX_CHARACTERS)
      throw fail(place, chain, `what is included has more than ${MAX_CHARACTERS} characters`);
    const file = { name, text };
    const lines = linesOf(file);
    const inner = parsedLines(lines, true, () => {
      const part = parseDockerfile(text, { part: { escape: parsed.escape } });
      if (part.unfinished !== undefined)
        throw new EngineError(
          'invalid-argument',
          `dockerfile line ${part.unfinished}: the file ends in the middle of an instruction`,
        );
      return part;
    });
    return this.lines(lines, inner, [...chain, { file, from, path }]);
  }
}

/** `INCLUDE [--from=CONTEXT] PATH` */
function readInclude(
  { flags, text }: Node,
  place: SourcePlace,
  chain: readonly Including[],
): { readonly path: string; readonly from: string | undefined } {
  for (const { name, value } of flags) {
    if (name !== 'from') throw fail(place, chain, `unknown flag: --${name}`);
    if (!value) throw fail(place, chain, 'INCLUDE --from needs the name of a context');
  }
  if (flags.length > 1) throw fail(place, chain, 'duplicate flag specified: from');
  const from = flags[0]?.value?.toLowerCase();
  if (text === '' || /\s/.test(text)) throw fail(place, chain, 'INCLUDE takes one path, of a file in the context');
  if (/\$/.test(text + (from ?? '')))
    throw fail(place, chain, 'variables are not expanded in INCLUDE: the file is put together before any has a value');
  const path = posix.normalize(text);
  if (path.startsWith('/') || path === '..' || path.startsWith('../'))
    throw fail(place, chain, `INCLUDE ${text} leaves the context: its path is relative to where the context begins`);
  return { path, from };
}

/** Errors of the parser are about lines of the one text that it reads. */
function parsedLines(lines: readonly Line[], included: boolean, parse: () => ParsedDockerfile): ParsedDockerfile {
  try {
    return parse();
  } catch (error) {
    const line = lineOfMessage(errorMessage(error));
    const place = line === undefined ? undefined : lines[line - 1]?.place;
    if (!(error instanceof EngineError) || !place) throw error;
    const message = error.message.replace(/line \d+/, `line ${lineName(place, included)}`);
    throw notePlace(new EngineError(error.code, message, { cause: error }), place);
  }
}

function lineName({ file, line }: SourcePlace, included: boolean): string {
  return included ? `${line} of ${file.name}` : String(line);
}

function fail(place: SourcePlace, chain: readonly Including[], message: string, cause?: unknown): EngineError {
  const where = lineName(place, chain.length > 1);
  return notePlace(new EngineError('invalid-argument', `dockerfile line ${where}: ${message}`, { cause }), place);
}

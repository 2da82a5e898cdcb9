import { sourceExcerpt } from '../excerpt.ts';
import type { SourceRange } from './parse.ts';

/** A file that a Dockerfile's lines come from. */
export interface SourceFile {
  /** As messages call it. */
  readonly name: string;
  readonly text: string;
}

/** A line of one of them, counted from 1. */
export interface SourcePlace {
  readonly file: SourceFile;
  readonly line: number;
}

/** A Dockerfile with what it includes in its place: one text, of which each line knows where it comes from. */
export class DockerfileSource {
  readonly text: string;
  /** The Dockerfile itself, then what it includes. */
  readonly files: readonly SourceFile[];
  /** Undefined: the lines are those of the first file. */
  readonly #places: readonly SourcePlace[] | undefined;

  private constructor(text: string, files: readonly SourceFile[], places?: readonly SourcePlace[]) {
    this.text = text;
    this.files = files;
    this.#places = places;
  }

  /** A file that includes nothing. */
  static of(file: SourceFile): DockerfileSource {
    return new DockerfileSource(file.text, [file]);
  }

  static joined(
    main: SourceFile,
    lines: readonly { readonly text: string; readonly place: SourcePlace }[],
  ): DockerfileSource {
    const files = new Set([main, ...lines.map(({ place }) => place.file)]);
    return new DockerfileSource(
      lines.map(({ text }) => text).join('\n'),
      [...files],
      lines.map(({ place }) => place),
    );
  }

  /** Where a line of the whole text comes from. */
  at(line: number): SourcePlace {
    return this.#places?.[line - 1] ?? { file: this.files[0]!, line };
  }

  /** Instructions are whole in their files: so are ranges of lines. */
  rangeOf({ start, end }: SourceRange): SourceRange {
    const first = this.at(start).line;
    return { start: first, end: first + end - start };
  }

  /** The lines as they are in their file, with its name. */
  excerpt(range: SourceRange): string {
    const { file } = this.at(range.start);
    return sourceExcerpt(file.name, file.text, this.rangeOf(range));
  }

  /** `3`, or `3 of common.dockerfile`. */
  lineName(line: number): string {
    const place = this.at(line);
    return place.file === this.files[0] ? String(place.line) : `${place.line} of ${place.file.name}`;
  }

  /** A message that begins with a line of the whole text, with that of the file. */
  named(message: string): string {
    return message.replace(LINE, (_, words: string, line: string) => words + this.lineName(Number(line)));
  }
}

const LINE = /^(dockerfile (?:parse error on )?line )(\d+)/;

/** The line that a message about a Dockerfile begins with. */
export function lineOfMessage(message: string): number | undefined {
  const line = LINE.exec(message)?.[2];
  return line === undefined ? undefined : Number(line);
}

const places = new WeakMap<object, SourcePlace>();

/** Remembers the file and line that an error is about, whose message names them already. */
export function notePlace<T extends Error>(error: T, place: SourcePlace): T {
  places.set(error, place);
  return error;
}

export function placeOf(error: unknown): SourcePlace | undefined {
  return error instanceof Error ? places.get(error) : undefined;
}

/** What became of one test file. */
export interface FileResult {
  readonly file: string;
  readonly seconds: number;
  readonly passed: number;
  readonly skipped: readonly Skipped[];
  /** Names of those that failed. */
  readonly failed: readonly string[];
}

export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** A result goes out of the machine as one line among the others, which no test prints. */
const MARK = '@@ result ';

export function resultLine(result: FileResult): string {
  return `\n${MARK}${JSON.stringify(result)}\n`;
}

/** Takes the results out of a machine's output, which comes in pieces. */
export class ResultReader {
  readonly results: FileResult[] = [];
  readonly #write: (text: string) => void;
  #line = '';

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  read(text: string): void {
    const lines = (this.#line + text).split('\n');
    this.#line = lines.pop()!;
    for (const line of lines) this.#take(line, '\n');
  }

  /** What came after the last line's end. */
  end(): void {
    this.#take(this.#line, '');
    this.#line = '';
  }

  #take(line: string, end: string): void {
    if (!line.startsWith(MARK)) return this.#write(line + end);
    try {
      this.results.push(JSON.parse(line.slice(MARK.length)) as FileResult);
    } catch {
      this.#write(line + end); // cut off where the machine was stopped
    }
  }
}

/** One row a file, then what was skipped and why, then what failed; `files` are those that were to be run. */
export function table(files: readonly string[], results: readonly FileResult[]): string {
  const rows = files.map((file): string[] => {
    const result = results.find((each) => each.file === file);
    if (!result) return [file, '-', '-', '-', 'not run: the machine ended before'];
    const { passed, skipped, failed, seconds } = result;
    return [file, String(passed), String(skipped.length), String(failed.length), `${Math.round(seconds)} s`];
  });
  const sum = (count: (result: FileResult) => number): string =>
    String(results.reduce((total, result) => total + count(result), 0));
  const total = [
    `${results.length} of ${files.length} files`,
    sum(({ passed }) => passed),
    sum(({ skipped }) => skipped.length),
    sum(({ failed }) => failed.length),
    `${Math.round(results.reduce((seconds, result) => seconds + result.seconds, 0))} s`,
  ];
  const all = [['suite', 'passed', 'skipped', 'failed', 'time'], ...rows, total];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]!.length)));
  const lines = all.map(([file, ...rest]) =>
    [file!.padEnd(widths[0]!), ...rest.map((cell, column) => cell.padStart(widths[column + 1] ?? 0))].join('  '),
  );
  for (const { file, skipped } of results)
    for (const { name, reason } of skipped) lines.push(`skipped  ${file}: ${name}: ${reason}`);
  for (const { file, failed } of results) for (const name of failed) lines.push(`failed   ${file}: ${name}`);
  return `${lines.join('\n')}\n`;
}

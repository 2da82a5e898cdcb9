/**
 * Cases of the Compose model, many to a file:
 *
 *     === what it shows
 *     $ --profile x config --format json      the command line; `config` when there is none
 *     @ NAME=value                            the environment
 *     ! compose.yaml:3:5: services.web        what the error must say (a case that must fail has at least one)
 *     ? is obsolete                           what a warning must say
 *     --- compose.yaml                        the files of its directory
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface ModelCase {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Substrings of the error. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  readonly files: ReadonlyMap<string, string>;
}

/** What Docker's Compose answered. */
export interface Recorded {
  readonly code: number;
  readonly stdout: string;
  /** Of a failure only. */
  readonly stderr: string;
  /** `config --hash '*'`, where no path of the case's directory goes into it. */
  readonly hashes: string;
}

const CASES = join(import.meta.dirname, 'cases');
const RECORDED = join(import.meta.dirname, 'recorded');

export function caseGroups(): string[] {
  return readdirSync(CASES)
    .map((name) => name.replace(/\.txt$/, ''))
    .sort();
}

export function readCases(group: string): ModelCase[] {
  return sections(readFileSync(join(CASES, `${group}.txt`), 'utf8'), '=== ').map(([name, text]) => {
    const cut = text.indexOf('--- ');
    const head = (cut < 0 ? text : text.slice(0, cut)).split('\n');
    const marked = (mark: string): string[] =>
      head.filter((line) => line.startsWith(`${mark} `)).map((line) => line.slice(2));
    return {
      name,
      args: (marked('$')[0] ?? 'config').split(' ').map((word) => (word === "''" ? '' : word)),
      env: Object.fromEntries(
        marked('@').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
      ),
      errors: marked('!'),
      warnings: marked('?'),
      files: new Map(cut < 0 ? [] : sections(text.slice(cut), '--- ')),
    };
  });
}

export function writeFiles(item: ModelCase, directory: string): void {
  for (const [path, text] of item.files) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
}

export function readRecorded(group: string): Map<string, Recorded> {
  return new Map(
    sections(readFileSync(join(RECORDED, `${group}.txt`), 'utf8'), '=== ').map(([name, text]) => {
      const parts = new Map(sections(text.slice(text.indexOf('\n') + 1), '--- '));
      return [
        name,
        {
          code: Number(/^exit (\d+)/.exec(text)?.[1]),
          stdout: parts.get('stdout') ?? '',
          stderr: parts.get('stderr') ?? '',
          hashes: parts.get('hashes') ?? '',
        },
      ];
    }),
  );
}

export function writeRecorded(group: string, found: ReadonlyMap<string, Recorded>): void {
  const text = [...found]
    .map(
      ([name, { code, stdout, stderr, hashes }]) =>
        `=== ${name}\nexit ${code}\n${part('stdout', stdout)}${part('stderr', stderr)}${part('hashes', hashes)}`,
    )
    .join('');
  mkdirSync(RECORDED, { recursive: true });
  writeFileSync(join(RECORDED, `${group}.txt`), text);
}

function part(name: string, text: string): string {
  return text === '' ? '' : `--- ${name}\n${text}${text.endsWith('\n') ? '' : '\n'}`;
}

/** Cuts a text at the lines that begin with `mark`: the rest of that line, and what follows it. */
function sections(text: string, mark: string): [string, string][] {
  const found: [string, string][] = [];
  for (const line of text.split(/(?<=\n)/)) {
    if (line.startsWith(mark)) found.push([line.slice(mark.length).trim(), '']);
    else if (found.length > 0) found.at(-1)![1] += line;
  }
  return found;
}

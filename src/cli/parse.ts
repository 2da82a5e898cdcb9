import { UsageError } from './command.ts';
import { type Flag, type Flags, quote } from './flag.ts';
import { nearest } from '../base/nearest.ts';

export interface ParsedLine {
  readonly values: Readonly<Record<string, unknown>>;
  readonly given: ReadonlySet<string>;
  readonly args: readonly string[];
  /** `--help` was among them. */
  readonly help: boolean;
  /** Names of deprecated flags that were used. */
  readonly deprecated: readonly string[];
}

/**
 * Reads a command line by the rules of Go's pflag: `--flag value`, `--flag=value`, `-p8080:80`, `-p=x`, clusters of
 * switches (`-it`), `--` ends the flags. With `interspersed` false they end at the first argument.
 */
export function parseLine(
  flags: Flags,
  line: readonly string[],
  options: { interspersed: boolean; shortHelp?: boolean },
): ParsedLine {
  const shorts = new Map<string, string>();
  const values: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [name, flag] of Object.entries(flags)) {
    values[name] = flag.initial;
    if (flag.short !== undefined) shorts.set(flag.short, name);
  }
  const given = new Set<string>();
  const deprecated: string[] = [];
  const args: string[] = [];
  let help = false;

  const set = (name: string, text: string): void => {
    const flag = flags[name]!;
    try {
      values[name] = flag.parse(text, values[name]);
    } catch (error) {
      throw new UsageError(
        `invalid argument ${quote(text)} for "${flagTitle(name, flag)}" flag: ${(error as Error).message}`,
      );
    }
    given.add(name);
    if (flag.deprecated !== undefined && !deprecated.includes(name)) deprecated.push(name);
  };

  for (let i = 0; i < line.length; i++) {
    const word = line[i]!;
    if (word === '--') {
      args.push(...line.slice(i + 1));
      break;
    }
    if (word.startsWith('--')) {
      const cut = word.indexOf('=');
      const name = cut < 0 ? word.slice(2) : word.slice(2, cut);
      if (name === '' || name.startsWith('-')) throw new UsageError(`bad flag syntax: ${word}`);
      if (name === 'help' && !Object.hasOwn(flags, 'help')) {
        help = true;
        continue;
      }
      const flag = Object.hasOwn(flags, name) ? flags[name] : undefined;
      if (!flag) throw new UsageError(`unknown flag: --${name}${hint(name, flags)}`);
      if (cut >= 0) set(name, word.slice(cut + 1));
      else if (flag.implied !== undefined) set(name, flag.implied);
      else if (i + 1 < line.length) set(name, line[++i]!);
      else throw new UsageError(`flag needs an argument: --${name}`);
      continue;
    }
    if (word.startsWith('-') && word.length > 1) {
      for (let at = 1; at < word.length; at++) {
        const letter = word[at]!;
        const name = shorts.get(letter);
        if (name === undefined) {
          if (letter === 'h' && options.shortHelp !== false) {
            help = true;
            continue;
          }
          throw new UsageError(`unknown shorthand flag: '${letter}' in -${word.slice(at)}`);
        }
        const flag = flags[name]!;
        const rest = word.slice(at + 1);
        if (rest.startsWith('=')) {
          set(name, rest.slice(1));
          break;
        }
        if (flag.implied !== undefined) {
          set(name, flag.implied);
          continue;
        }
        if (rest !== '') set(name, rest);
        else if (i + 1 < line.length) set(name, line[++i]!);
        else throw new UsageError(`flag needs an argument: '${letter}' in -${word.slice(at)}`);
        break;
      }
      continue;
    }
    if (!options.interspersed) {
      args.push(...line.slice(i));
      break;
    }
    args.push(word);
  }
  return { values, given, args, help, deprecated };
}

function flagTitle(name: string, flag: Flag<unknown>): string {
  return flag.short === undefined ? `--${name}` : `-${flag.short}, --${name}`;
}

function hint(name: string, flags: Flags): string {
  const visible = Object.keys(flags).filter((key) => !flags[key]!.hidden);
  const found = nearest(name, visible)[0];
  return found === undefined ? '' : `\n\nDid you mean --${found}?`;
}

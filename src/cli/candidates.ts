import type { Flag, Flags } from './flag.ts';

/** What may stand for the word that is being typed. */
export interface Candidate {
  /** `:files` when the shell should offer file names. */
  readonly word: string;
  readonly about: string;
}

/** Candidates, or the flag whose value comes next. */
export type Candidates = readonly Candidate[] | { readonly awaits: Flag<unknown> };

/** What is behind us: arguments so far, and the flag whose value comes next. */
export function readWords(
  flags: Flags,
  words: readonly string[],
  interspersed: boolean,
): { args: string[]; awaits?: Flag<unknown> } {
  const args: string[] = [];
  const shorts = new Map(
    Object.values(flags).flatMap((flag) => (flag.short === undefined ? [] : [[flag.short, flag] as const])),
  );
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (!word.startsWith('-') || word === '-') {
      if (!interspersed) return { args: [...args, ...words.slice(i)] };
      args.push(word);
      continue;
    }
    const flag = word.startsWith('--') ? flags[word.slice(2)] : shorts.get(word.at(-1)!);
    if (!flag || flag.implied !== undefined || word.includes('=')) continue;
    if (i === words.length - 1) return { args, awaits: flag };
    i++;
  }
  return { args };
}

export function flagNames(flags: Flags): Candidate[] {
  return Object.entries(flags)
    .filter(([, flag]) => !flag.hidden)
    .map(([name, flag]) => ({ word: `--${name}`, about: flag.help.split('\n')[0]! }));
}

import { type Candidates, flagNames, readWords } from '../../candidates.ts';
import type { Cli } from '../../cli.ts';
import { parseLine } from '../../parse.ts';
import { Compose, type ComposeCommand, PROJECT_FLAGS } from './context.ts';

interface Sub {
  readonly summary: string;
  load(): Promise<ComposeCommand>;
}

/** What may stand for `last` in `compose WORDS LAST`: flags, commands, and the services that the files name. */
export async function composeCandidates(
  cli: Cli,
  commands: Readonly<Record<string, Sub>>,
  words: readonly string[],
  last: string,
): Promise<Candidates> {
  const outer = readWords(PROJECT_FLAGS, words, false);
  if (outer.awaits) return { awaits: outer.awaits };
  const [name, ...rest] = outer.args;
  if (name === undefined) {
    if (last.startsWith('-')) return flagNames(PROJECT_FLAGS);
    return Object.entries(commands)
      .filter(([word]) => !word.includes(' '))
      .map(([word, { summary }]) => ({ word, about: summary }));
  }
  const spec = await (Object.hasOwn(commands, name) ? commands[name] : undefined)?.load();
  if (!spec) return [];
  const ends = spec.interspersed === false;
  const inner = readWords(spec.flags, rest, !ends);
  if (inner.awaits) return { awaits: inner.awaits };
  if (last.startsWith('-') && !(ends && inner.args.length > 0)) return flagNames(spec.flags);
  // What follows the service in `exec` and `run` is the container's.
  if (!spec.usage.includes('SERVICE') || (ends && inner.args.length > 0)) return [];
  return services(cli, words.slice(0, words.length - outer.args.length));
}

/** None where there is no file, or one with mistakes. */
async function services(cli: Cli, words: readonly string[]): Promise<Candidates> {
  try {
    const { values } = parseLine(PROJECT_FLAGS, words, { interspersed: false, shortHelp: false });
    const { project } = await new Compose(cli, { ...(values as Compose['flags']), profile: ['*'] }).projectOrName();
    return [...(project?.services.values() ?? [])].map((service) => ({ word: service.name, about: service.image }));
  } catch {
    return [];
  }
}

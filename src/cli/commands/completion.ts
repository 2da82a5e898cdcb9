import { command, CommandError, type Command } from '../command.ts';
import { completionScript, SHELLS } from '../completion-script.ts';
import { type Candidate, flagNames, readWords } from '../candidates.ts';
import type { Cli } from '../cli.ts';
import { openClient } from '../engine-client.ts';
import type { Flag } from '../flag.ts';
import { GLOBAL_FLAGS } from '../global.ts';
import { commandsIn, findCommand, findGroup, GROUPS, topCommands } from '../registry.ts';
import { ContextStore, DEFAULT_CONTEXT } from '../contexts.ts';

export const completion = command({
  usage: 'bash|zsh|fish',
  description: 'Generate the autocompletion script for the shell that is named.',
  examples: `# For this shell
source <(gantry completion bash)

# For every bash
gantry completion bash > /etc/bash_completion.d/gantry`,
  flags: {},
  args: { min: 1, max: 1 },
  async run(cli, { args }) {
    const shell = args[0]!;
    if (!SHELLS.includes(shell))
      throw new CommandError(`no completion for ${JSON.stringify(shell)}: use ${SHELLS.join(', ')}`);
    cli.io.stdout.write(completionScript(shell));
    return 0;
  },
});

/** Prints what may stand for the last word: `word<TAB>explanation`, and `:files` when the shell should offer file names. */
export const complete = command({
  usage: 'WORDS...',
  flags: {},
  args: { min: 0 },
  interspersed: false,
  async run(cli, { args }) {
    const words = [...args];
    const last = words.pop() ?? '';
    for (const { word, about } of await candidates(cli, words, last)) {
      if (word === ':files' || word.startsWith(last)) cli.print(about === '' ? word : `${word}\t${about}`);
    }
    return 0;
  },
});

async function candidates(cli: Cli, words: readonly string[], last: string): Promise<readonly Candidate[]> {
  const position = readWords(GLOBAL_FLAGS, words, false);
  if (position.awaits) return values(cli, position.awaits);
  const [first, second] = position.args;
  if (first === undefined) {
    if (last.startsWith('-')) return flagNames(GLOBAL_FLAGS);
    return [
      ...topCommands().map(({ name, entry }) => ({ word: name, about: entry.summary })),
      ...GROUPS.map(({ name, summary }) => ({ word: name, about: summary })),
    ];
  }
  const group = findGroup(first);
  if (group && second === undefined)
    return commandsIn(group.name).map(({ name, entry }) => ({ word: name, about: entry.summary }));
  const entry = findCommand(group ? `${first} ${second}` : first);
  if (!entry) return [];
  const loaded = await entry.load();
  const rest = position.args.slice(group ? 2 : 1);
  const own = await loaded.candidates?.(cli, rest, last);
  if (own) return 'awaits' in own ? values(cli, own.awaits) : own;
  const inner = readWords(loaded.flags, rest, loaded.interspersed !== false);
  if (inner.awaits) return values(cli, inner.awaits);
  if (last.startsWith('-') && (loaded.interspersed !== false || inner.args.length === 0))
    return flagNames(loaded.flags);
  return argumentsOf(cli, loaded, inner.args.length);
}

async function values(cli: Cli, flag: Flag<unknown>): Promise<Candidate[]> {
  if (typeof flag.complete === 'string') return names(cli, flag.complete);
  return (flag.complete ?? []).map((word) => ({ word, about: '' }));
}

function argumentsOf(cli: Cli, loaded: Command, count: number): Promise<Candidate[]> | Candidate[] {
  const { max } = loaded.args;
  if (loaded.complete === undefined || (max !== undefined && count >= max && max > 0)) return [];
  if (loaded.interspersed === false && count > 0) return [{ word: ':files', about: '' }];
  return names(cli, loaded.complete);
}

/** Names of things; none when the engine does not answer, and it is not started for this. */
async function names(cli: Cli, kind: string): Promise<Candidate[]> {
  if (kind === 'file') return [{ word: ':files', about: '' }];
  if (kind === 'context')
    return [DEFAULT_CONTEXT, ...new ContextStore(cli.configDirectory).list().map(({ Name }) => Name)].map((word) => ({
      word,
      about: '',
    }));
  try {
    const client = await openClient(cli, { start: false });
    switch (kind) {
      case 'container':
        return (await client.containers.list({ all: true })).map((item) => ({
          word: (item.Names[0] ?? item.Id).replace(/^\//, ''),
          about: item.Image,
        }));
      case 'image':
        return (await client.images.list()).flatMap((item) =>
          (item.RepoTags ?? []).map((word) => ({ word, about: '' })),
        );
      case 'network':
        return (await client.networks.list()).map((item) => ({ word: item.Name, about: item.Driver }));
      case 'secret':
        return (await client.secrets.list()).map(({ Spec }) => ({ word: Spec.Name, about: '' }));
      default:
        return ((await client.volumes.list()).Volumes ?? []).map((item) => ({ word: item.Name, about: item.Driver }));
    }
  } catch {
    return [];
  }
}

import type { Candidates } from './candidates.ts';
import type { Cli } from './cli.ts';
import type { Flags, FlagValues } from './flag.ts';

/** What one use of a command was given. */
export interface Invocation<F extends Flags = Flags> {
  /** `gantry run`: as the user called it. */
  readonly path: string;
  readonly flags: FlagValues<F>;
  /** Flags that were written, whatever their value. */
  readonly given: ReadonlySet<string>;
  readonly args: readonly string[];
}

export interface CommandSpec<F extends Flags> {
  /** What follows its name in the usage: `[OPTIONS] IMAGE [COMMAND] [ARG...]`. Several lines for several forms. */
  readonly usage: string;
  /** Instead of the summary, where that is not enough. */
  readonly description?: string;
  /** `# comment` and command lines. */
  readonly examples?: string;
  readonly flags: F;
  /** How many arguments; `max` undefined is any number. */
  readonly args: { readonly min: number; readonly max?: number };
  /** False: flags end at the first argument, as in `run IMAGE COMMAND --its-own-flag`. */
  readonly interspersed?: boolean;
  /** Its failures look as those of `docker run` do: `docker: …` with a pointer to help, exit code 125. */
  readonly failsAsRun?: boolean;
  /** What its arguments are, for completion: `container`, `image`, `network`, `volume`, `context`, `file`. */
  readonly complete?: string;
  /** For a command with commands of its own: what may stand for `last` after `words`. */
  candidates?(cli: Cli, words: readonly string[], last: string): Promise<Candidates>;
  /** Gives the exit code. */
  run(cli: Cli, invocation: Invocation<F>): Promise<number>;
}

/** A command with its types put away, so that all of them fit in one table. */
export type Command = CommandSpec<Flags>;

export function command<F extends Flags>(spec: CommandSpec<F>): Command {
  return spec as unknown as Command;
}

/** A failure that is already worded for people. `code` is the exit code; an empty message prints nothing. */
export class CommandError extends Error {
  readonly code: number;

  constructor(message: string, code = 1, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandError';
    this.code = code;
  }
}

/** The command line itself is wrong: shown with the usage. */
export class UsageError extends CommandError {
  constructor(message: string, code = 125) {
    super(message, code);
    this.name = 'UsageError';
  }
}

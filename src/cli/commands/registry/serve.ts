import { command, type Command, CommandError } from '../../command.ts';

/** The launcher starts these as programs of their own; they get here only behind options of the command line. */
function ownProgram(name: string): Command {
  return command({
    usage: '[OPTIONS]',
    flags: {},
    args: { min: 0 },
    async run() {
      throw new CommandError(
        `write it as "gantry registry ${name} [OPTIONS]": it takes no options of the gantry command`,
      );
    },
  });
}

export const serve = ownProgram('serve');
export const prune = ownProgram('prune');

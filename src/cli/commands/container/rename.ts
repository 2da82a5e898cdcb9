import { command, CommandError } from '../../command.ts';
import { describeError } from '../../describe-error.ts';

export const rename = command({
  usage: 'CONTAINER NEW_NAME',
  flags: {},
  args: { min: 2, max: 2 },
  complete: 'container',
  async run(cli, { args }) {
    const client = await cli.client();
    const [name, wanted] = args.map((text) => text.trim());
    if (!name || !wanted) throw new CommandError('Error: Neither old nor new names may be empty');
    try {
      await client.containers.rename(name, wanted);
    } catch (error) {
      cli.warn(describeError(error));
      throw new CommandError(`Error: failed to rename container named ${name}`, 1, { cause: error });
    }
    return 0;
  },
});

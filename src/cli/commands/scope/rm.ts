import { command } from '../../command.ts';
import { describeError } from '../../describe-error.ts';

export const rm = command({
  usage: 'NAME [NAME...]',
  description:
    'Remove scopes: who is connected through one is cut off, its token is worth nothing. What was made stays.',
  flags: {},
  args: { min: 1 },
  async run(cli, { args }) {
    const client = await cli.client();
    let code = 0;
    for (const name of args) {
      try {
        await client.scopes.remove(name);
        cli.print(cli.clean(name));
      } catch (error) {
        cli.warn(describeError(error));
        code = 1;
      }
    }
    return code;
  },
});

import { ResponseError } from '../../../client/response-error.ts';
import { clientOf, TRASH_FLAG } from '../../options/trash.ts';
import { command } from '../../command.ts';
import { describeError } from '../../describe-error.ts';
import { bool } from '../../flag.ts';

export const rm = command({
  usage: 'NETWORK [NETWORK...]',
  flags: { force: bool('Do not error if the network does not exist', { short: 'f' }), ...TRASH_FLAG },
  args: { min: 1 },
  complete: 'network',
  async run(cli, { flags, args }) {
    const client = await clientOf(() => cli.client(), flags);
    let code = 0;
    for (const name of args) {
      try {
        await client.networks.remove(name);
        cli.print(cli.clean(name));
      } catch (error) {
        if (flags.force && error instanceof ResponseError && error.status === 404) continue;
        cli.warn(describeError(error));
        code = 1;
      }
    }
    if (code !== 0) cli.warn('exit status 1');
    return code;
  },
});

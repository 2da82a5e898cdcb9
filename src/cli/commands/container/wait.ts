import { command } from '../../command.ts';
import { describeError } from '../../describe-error.ts';

export const wait = command({
  usage: 'CONTAINER [CONTAINER...]',
  flags: {},
  args: { min: 1 },
  complete: 'container',
  async run(cli, { args }) {
    const client = await cli.client();
    let failed = 0;
    for (const name of args) {
      try {
        const { outcome } = await client.containers.wait(name);
        const { StatusCode, Error: failure } = await outcome;
        if (failure?.Message) throw new Error(failure.Message);
        cli.print(String(StatusCode));
      } catch (error) {
        cli.warn(describeError(error));
        failed = 1;
      }
    }
    return failed;
  },
});

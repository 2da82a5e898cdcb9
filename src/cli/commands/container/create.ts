import { command } from '../../command.ts';
import { createContainer } from '../../create-container.ts';
import { CONTAINER_FLAGS } from '../../options/container-flags.ts';
import { containerRequest } from '../../options/container-request.ts';

export const create = command({
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  flags: CONTAINER_FLAGS,
  args: { min: 1 },
  interspersed: false,
  failsAsRun: true,
  complete: 'image',
  async run(cli, { flags, given, args }) {
    const request = containerRequest(flags, given, args, cli.env);
    const { Id } = await createContainer(cli, request, flags);
    cli.print(Id);
    return 0;
  },
});

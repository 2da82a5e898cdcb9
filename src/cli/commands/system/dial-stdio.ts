import { connect } from '../../../client/transport.ts';
import { command } from '../../command.ts';

export const dialStdio = command({
  usage: '',
  flags: {},
  args: { min: 0, max: 0 },
  async run(cli) {
    const client = await cli.client();
    const socket = await connect(client.endpoint);
    const stdin = cli.io.stdin();
    stdin.pipe(socket); // its end is passed on; the other direction stays open
    for await (const chunk of socket) cli.io.stdout.write(chunk as Buffer);
    return 0;
  },
});

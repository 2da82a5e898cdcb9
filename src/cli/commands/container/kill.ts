import { command } from '../../command.ts';
import { string } from '../../flag.ts';
import { forEachName } from '../../names.ts';

export const kill = command({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: { signal: string('Signal to send to the container', { short: 's' }) },
  args: { min: 1 },
  complete: 'container',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    return forEachName(cli, args, (name) => client.containers.kill(name, flags.signal || undefined));
  },
});

import { shortId } from '../../../base/ids.ts';
import { command } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { readValue } from './value.ts';

export const rotate = command({
  usage: '[OPTIONS] SECRET [file|-]',
  description:
    'Give a secret a new value. Containers have it from their next start; with --reload running ones have it at once: below /run/secrets the new file takes the place of the old in one step.',
  examples: `# For containers that start from now on
gantry secret rotate db_password ./new-password.txt

# In running containers as well, which are told by a signal
gantry secret rotate --reload --signal HUP api_key ./new-key.txt`,
  flags: {
    reload: bool('Replace it in running containers, too'),
    signal: string('Send this signal to each container in which it was replaced'),
  },
  args: { min: 1, max: 2 },
  complete: 'secret',
  async run(cli, { flags, args }) {
    const Data = await readValue(cli, args[1]);
    const client = await cli.client();
    const done = await client.secrets.rotate(args[0]!, {
      Data,
      Reload: flags.reload,
      ...(flags.signal && { Signal: flags.signal }),
    });
    cli.print(cli.clean(args[0]!));
    for (const id of done.Reloaded) cli.warn(`replaced in container ${shortId(id)}`);
    if (done.Stale.length > 0)
      cli.warn(
        `running with the old value until restarted: ${done.Stale.map(shortId).join(', ')} (--reload replaces it at once)`,
      );
    return 0;
  },
});

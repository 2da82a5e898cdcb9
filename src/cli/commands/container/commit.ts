import { parseReference } from '../../../oci/reference.ts';
import { command } from '../../command.ts';
import { bool, list, string } from '../../flag.ts';

export const commit = command({
  usage: '[OPTIONS] CONTAINER [REPOSITORY[:TAG]]',
  flags: {
    author: string('Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")', { short: 'a' }),
    change: list('Apply Dockerfile instruction to the created image', { short: 'c' }),
    message: string('Commit message', { short: 'm' }),
    'no-pause': bool('Do not pause the container during commit'),
    pause: bool('Pause container during commit', { short: 'p', initial: true }),
  },
  args: { min: 1, max: 2 },
  complete: 'container',
  async run(cli, { flags, args }) {
    const reference = args[1] === undefined ? undefined : parseReference(args[1]);
    const client = await cli.client();
    const { Id } = await client.containers.commit(args[0]!, {
      repo: reference?.repository,
      tag: reference?.tag,
      comment: flags.message || undefined,
      author: flags.author || undefined,
      changes: flags.change,
      pause: flags.pause && !flags['no-pause'],
    });
    cli.print(Id);
    return 0;
  },
});

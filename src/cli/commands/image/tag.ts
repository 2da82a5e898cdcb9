import { parseReference } from '../../../oci/reference.ts';
import { command, CommandError } from '../../command.ts';

export const tag = command({
  usage: 'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
  flags: {},
  args: { min: 2, max: 2 },
  complete: 'image',
  async run(cli, { args }) {
    const target = parseReference(args[1]!);
    if (target.digest !== undefined) throw new CommandError('refusing to create a tag with a digest reference');
    const client = await cli.client();
    await client.images.tag(args[0]!, target.repository, target.tag ?? 'latest');
    return 0;
  },
});

import { parseReference, type Reference } from '../../../oci/reference.ts';
import { command, CommandError } from '../../command.ts';

export const tag = command({
  usage: 'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
  flags: {},
  args: { min: 2, max: 2 },
  complete: 'image',
  async run(cli, { args }) {
    const target = parseTarget(args[1]!);
    if (target.digest !== undefined) throw new CommandError('refusing to create a tag with a digest reference');
    const client = await cli.client();
    await client.images.tag(args[0]!, target.repository, target.tag ?? 'latest');
    return 0;
  },
});

function parseTarget(text: string): Reference {
  try {
    return parseReference(text);
  } catch (error) {
    throw new CommandError(
      `Error parsing reference: ${JSON.stringify(text)} is not a valid repository/tag: ${(error as Error).message}`,
      1,
      { cause: error },
    );
  }
}

import { errorCode } from '../../../base/errors.ts';
import type { Client } from '../../../client/client.ts';
import { command, CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { INSPECT_FORMAT_HELP } from '../../output/format-help.ts';
import { printInspect } from '../../output/inspect.ts';

const TYPES = ['container', 'image', 'network', 'volume'];
const ALL_TYPES = ['config', 'container', 'image', 'network', 'node', 'plugin', 'secret', 'service', 'task', 'volume'];

export const inspect = command({
  usage: '[OPTIONS] NAME|ID [NAME|ID...]',
  flags: {
    format: string(INSPECT_FORMAT_HELP, { short: 'f' }),
    size: bool('Display total file sizes if the type is container', { short: 's' }),
    type: string('Only inspect objects of the given type', { complete: TYPES }),
  },
  args: { min: 1 },
  complete: 'container',
  async run(cli, { flags, given, args }) {
    if (given.has('type') && !ALL_TYPES.includes(flags.type)) {
      const known = ALL_TYPES.map((type) => JSON.stringify(type)).join(', ');
      throw new CommandError(
        flags.type === ''
          ? 'type is empty: must be one of ' + known
          : `unknown type: ${JSON.stringify(flags.type)}: must be one of ${known}`,
      );
    }
    if (flags.type !== '' && !TYPES.includes(flags.type))
      throw new CommandError(`this engine has no objects of type ${flags.type}`);
    const client = await cli.client();
    const types = flags.type === '' ? TYPES : [flags.type];
    return printInspect(cli, args, flags.format, (name) => find(client, types, name, flags.size));
  },
});

/** The first kind of object that has this name. */
async function find(client: Client, types: readonly string[], name: string, size: boolean): Promise<Buffer> {
  for (const type of types) {
    try {
      return await inspectOne(client, type, name, size);
    } catch (error) {
      const code = errorCode(error);
      // A name that cannot be an image's may still be a volume's.
      if (types.length === 1 || (code !== 'not-found' && code !== 'invalid-argument')) throw error;
    }
  }
  throw new CommandError(`Error: No such object: ${name}`);
}

function inspectOne(client: Client, type: string, name: string, size: boolean): Promise<Buffer> {
  switch (type) {
    case 'container':
      return client.containers.inspectRaw(name, { size });
    case 'image':
      return client.images.inspectRaw(name);
    case 'network':
      return client.networks.inspectRaw(name);
    default:
      return client.volumes.inspectRaw(name);
  }
}

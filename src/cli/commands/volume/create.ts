import { command, CommandError } from '../../command.ts';
import { each, map, string } from '../../flag.ts';
import { checkLabel, toRecord } from '../../options/environment.ts';

export const create = command({
  usage: '[OPTIONS] [VOLUME]',
  flags: {
    driver: string('Specify volume driver name', { short: 'd', initial: 'local' }),
    label: each('list', 'Set metadata for a volume', checkLabel),
    name: string('Specify volume name', { hidden: true }),
    opt: map('Set driver specific options', { short: 'o' }),
  },
  args: { min: 0, max: 1 },
  async run(cli, { flags, args }) {
    if (args[0] !== undefined && flags.name !== '')
      throw new CommandError(
        'conflicting options: cannot specify a volume-name through both --name and as a positional arg',
      );
    const client = await cli.client();
    const { Name } = await client.volumes.create({
      Name: args[0] ?? flags.name,
      Driver: flags.driver,
      DriverOpts: Object.fromEntries(flags.opt),
      Labels: toRecord(flags.label),
    });
    cli.print(Name);
    return 0;
  },
});

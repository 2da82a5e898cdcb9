import { command, CommandError } from '../../command.ts';
import { list } from '../../flag.ts';
import { toRecord } from '../../options/environment.ts';

export const update = command({
  usage: '[OPTIONS] SECRET',
  description: 'Change the labels of a secret. Its value is changed by `gantry secret rotate`.',
  flags: {
    'label-add': list('Add or change a label'),
    'label-rm': list('Remove a label'),
  },
  args: { min: 1, max: 1 },
  complete: 'secret',
  async run(cli, { flags, args }) {
    if (flags['label-add'].length + flags['label-rm'].length === 0)
      throw new CommandError('nothing to change: give --label-add or --label-rm (a new value: gantry secret rotate)');
    const client = await cli.client();
    const { Version, Spec } = await client.secrets.inspect(args[0]!);
    const labels = { ...Spec.Labels, ...toRecord(flags['label-add']) };
    for (const name of flags['label-rm']) delete labels[name];
    await client.secrets.update(args[0]!, Version.Index, { Name: Spec.Name, Labels: labels });
    cli.print(cli.clean(args[0]!));
    return 0;
  },
});

import { command, CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { INSPECT_FORMAT_HELP } from '../../output/format-help.ts';
import { printInspect } from '../../output/inspect.ts';

export const inspect = command({
  usage: '[OPTIONS] SECRET [SECRET...]',
  flags: {
    format: string(INSPECT_FORMAT_HELP, { short: 'f' }),
    pretty: bool('Print the information in a human friendly format'),
  },
  args: { min: 1 },
  complete: 'secret',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    if (!flags.pretty) return printInspect(cli, args, flags.format, (name) => client.secrets.inspectRaw(name));
    if (flags.format !== '') throw new CommandError('--format is incompatible with human friendly format');
    for (const name of args) {
      const { ID, CreatedAt, UpdatedAt, Version, Spec, Leaks } = await client.secrets.inspect(name);
      cli.print(`ID:              ${ID}`);
      cli.print(`Name:            ${cli.clean(Spec.Name)}`);
      const labels = Object.entries(Spec.Labels);
      if (labels.length > 0) cli.print('Labels:');
      for (const [key, value] of labels) cli.print(cli.clean(` - ${key}=${value}`));
      cli.print(`Version:         ${Version.Index}`);
      cli.print(`Created at:      ${CreatedAt}`);
      cli.print(`Updated at:      ${UpdatedAt}`);
      if (Leaks) cli.print('Seen where it should not be:');
      for (const { At, Where } of Leaks ?? []) cli.print(cli.clean(` - ${At} ${Where}`));
    }
    return 0;
  },
});

import { command } from '../../command.ts';
import { list, string } from '../../flag.ts';
import { toRecord } from '../../options/environment.ts';
import { readValue } from './value.ts';

export const create = command({
  usage: '[OPTIONS] SECRET [file|-]',
  examples: `# From a file, or from a pipe: never on the command line, which others can see
gantry secret create db_password ./password.txt
openssl rand -hex 16 | gantry secret create api_key -

# As the file /run/secrets/db_password of a container
gantry run --secret db_password postgres:16`,
  flags: {
    driver: string('Secret driver', { short: 'd' }),
    label: list('Secret labels', { short: 'l' }),
    'template-driver': string('Template driver'),
  },
  args: { min: 1, max: 2 },
  async run(cli, { flags, args }) {
    const Data = await readValue(cli, args[1]);
    const client = await cli.client();
    const { ID } = await client.secrets.create({
      Name: args[0]!,
      Labels: toRecord(flags.label),
      Data,
      ...(flags.driver && { Driver: { Name: flags.driver } }),
      ...(flags['template-driver'] && { Templating: { Name: flags['template-driver'] } }),
    });
    cli.print(ID);
    return 0;
  },
});

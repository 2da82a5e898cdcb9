import { command } from '../../command.ts';
import { describeError } from '../../describe-error.ts';
import { bool, string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { printRows } from '../../output/rows.ts';

const FROM = { client: 'a command', kept: 'kept', daemon: 'settings' } as const;

export const ls = command({
  usage: '[OPTIONS]',
  description: 'List the registries over the images of the engine',
  flags: { format: string(FORMAT_HELP), quiet: bool('Only display addresses', { short: 'q' }) },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const client = await cli.client();
    const registries = await client.registries.list();
    printRows(
      cli,
      {
        columns: ['Address', 'TLS', 'Logins', 'From', 'Status'],
        headers: { From: 'OPENED BY' },
        typeName: '*formatter.registryContext',
        quiet: 'Address',
      },
      registries.map(({ Address, Tls, Logins, From, Error }) => ({
        Address,
        TLS: Tls ? 'yes' : 'no',
        Logins: Logins ? 'yes' : 'no',
        From: FROM[From],
        Status: Error === undefined ? 'open' : `not served: ${cli.clean(Error)}`,
      })),
      { template: flags.format, quiet: flags.quiet },
    );
    return 0;
  },
});

export const stop = command({
  usage: 'ADDRESS [ADDRESS...]',
  description: 'Close registries over the images of the engine; requests have ten seconds to end. The images stay.',
  examples: `gantry registry ls
gantry registry stop 127.0.0.1:5000`,
  flags: {},
  args: { min: 1 },
  async run(cli, { args }) {
    const client = await cli.client();
    let code = 0;
    for (const address of args) {
      try {
        await client.registries.stop(address);
        cli.print(cli.clean(address));
      } catch (error) {
        cli.warn(describeError(error));
        code = 1;
      }
    }
    return code;
  },
});

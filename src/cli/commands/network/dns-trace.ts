import { command } from '../../command.ts';
import { string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { printRows } from '../../output/rows.ts';

/** Every question on the way to a name's addresses, and who answered it how. The exit code is 1 when there are none. */
export const dnsTrace = command({
  usage: '[OPTIONS] NAME',
  flags: {
    container: string('As this container resolves it; without, as the host does', { short: 'c' }),
    format: string(FORMAT_HELP),
  },
  args: { min: 1, max: 1 },
  async run(cli, { flags, args }) {
    const client = await cli.client();
    const trace = await client.networks.traceName(args[0]!, flags.container === '' ? undefined : flags.container);
    printRows(
      cli,
      { columns: ['Question', 'Source', 'Result', 'Time'], headers: {}, typeName: '*network.traceContext' },
      trace.Steps.map(({ Milliseconds, ...step }) => ({ ...step, Time: `${Milliseconds.toFixed(1)}ms` })),
      { template: flags.format },
    );
    if (flags.format === '') {
      cli.print(
        trace.Addresses.length > 0
          ? `\n${trace.Name} is ${trace.Addresses.join(' ')}`
          : `\n${trace.Name} was not found`,
      );
    }
    return trace.Addresses.length > 0 ? 0 : 1;
  },
});

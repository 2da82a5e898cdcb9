import type { Cli } from '../../cli.ts';
import { command } from '../../command.ts';
import { int, string } from '../../flag.ts';
import { forEachName } from '../../names.ts';

const FLAGS = {
  signal: string('Signal to send to the container', { short: 's' }),
  time: int('Seconds to wait before killing the container', { hidden: true, deprecated: 'use --timeout instead' }),
  timeout: int('Seconds to wait before killing the container', { short: 't' }),
};

export const stop = command({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: FLAGS,
  args: { min: 1 },
  complete: 'container',
  async run(cli, invocation) {
    const client = await cli.client();
    const options = stopOptions(invocation);
    return forEachName(cli, invocation.args, (name) => client.containers.stop(name, options));
  },
});

export const restart = command({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: FLAGS,
  args: { min: 1 },
  complete: 'container',
  async run(cli: Cli, invocation) {
    const client = await cli.client();
    const options = stopOptions(invocation);
    return forEachName(cli, invocation.args, (name) => client.containers.restart(name, options), { atOnce: 1 });
  },
});

function stopOptions(invocation: {
  flags: { signal: string; time: number; timeout: number };
  given: ReadonlySet<string>;
}): { signal: string | undefined; timeoutSeconds: number | undefined } {
  const { flags, given } = invocation;
  return {
    signal: flags.signal || undefined,
    timeoutSeconds: given.has('timeout') ? flags.timeout : given.has('time') ? flags.time : undefined,
  };
}

import { all } from '../../../compose/project/parallel.ts';
import { bool, int, string } from '../../flag.ts';
import { parseMoment } from '../../options/time.ts';
import { composeCommand } from './context.ts';
import { LogPrinter } from './log-printer.ts';
import { shortName } from './up.ts';

export const logs = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    follow: bool('Follow log output', { short: 'f' }),
    index: int('index of the container if service has multiple replicas'),
    'no-color': bool('Produce monochrome output'),
    'no-log-prefix': bool("Don't print prefix in logs"),
    since: string('Show logs since timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)'),
    tail: string('Number of lines to show from the end of the logs for each container', { short: 'n', initial: 'all' }),
    timestamps: bool('Show timestamps', { short: 't' }),
    until: string('Show logs before a timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)'),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    const { containers, name } = await compose.containers(args);
    const shown = containers.filter((item) => flags.index <= 0 || item.number === flags.index);
    const client = await compose.client();
    const printer = new LogPrinter(compose.cli, {
      prefix: !flags['no-log-prefix'],
      color: !flags['no-color'] && compose.flags.ansi !== 'never',
    });
    for (const item of shown) printer.register(shortName(name, item.name));
    await all(shown, async (item) => {
      const { Config: config } = await client.containers.inspect(item.id);
      const parts = await client.containers.logs(
        item.id,
        {
          follow: flags.follow,
          since: flags.since === '' ? undefined : parseMoment(flags.since),
          until: flags.until === '' ? undefined : parseMoment(flags.until),
          timestamps: flags.timestamps,
          tail: flags.tail,
        },
        config.Tty === true,
      );
      const short = shortName(name, item.name);
      const sinks = { stdout: printer.sink(short, 'stdout'), stderr: printer.sink(short, 'stderr') };
      for await (const part of parts) sinks[part.stream].write(part.data);
      sinks.stdout.end();
      sinks.stderr.end();
    });
    return 0;
  },
});

import { command } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { parseMoment } from '../../options/time.ts';

export const logs = command({
  usage: '[OPTIONS] CONTAINER',
  flags: {
    details: bool('Show extra details provided to logs'),
    follow: bool('Follow log output', { short: 'f' }),
    since: string('Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'),
    tail: string('Number of lines to show from the end of the logs', { short: 'n', initial: 'all' }),
    timestamps: bool('Show timestamps', { short: 't' }),
    until: string('Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'),
  },
  args: { min: 1, max: 1 },
  complete: 'container',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    const { Id: id, Config } = await client.containers.inspect(args[0]!);
    const output = await client.containers.logs(
      id,
      {
        follow: flags.follow,
        since: flags.since === '' ? undefined : parseMoment(flags.since),
        until: flags.until === '' ? undefined : parseMoment(flags.until),
        timestamps: flags.timestamps,
        details: flags.details,
        tail: flags.tail,
      },
      Config.Tty === true,
    );
    const { stdout, stderr } = cli.io;
    for await (const part of output) (part.stream === 'stderr' ? stderr : stdout).write(part.data);
    return 0;
  },
});

import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { describeError } from '../../describe-error.ts';
import { bool, string } from '../../flag.ts';
import { followSize } from '../../terminal/resize.ts';
import { runSession } from '../../terminal/session.ts';
import { forwardSignals } from '../../terminal/signals.ts';

export const start = command({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: {
    attach: bool('Attach STDOUT/STDERR and forward signals', { short: 'a' }),
    'detach-keys': string('Override the key sequence for detaching a container'),
    interactive: bool("Attach container's STDIN", { short: 'i' }),
  },
  args: { min: 1 },
  complete: 'container',
  async run(cli, { flags, args }) {
    if (flags.attach || flags.interactive) {
      if (args.length > 1) throw new CommandError('you cannot start and attach multiple containers at once');
      return startAttached(cli, args[0]!, { stdin: flags.interactive, detachKeys: flags['detach-keys'] });
    }
    const client = await cli.client();
    const failed: string[] = [];
    for (const name of args) {
      try {
        await client.containers.start(name);
        cli.print(cli.clean(name));
      } catch (error) {
        cli.warn(describeError(error));
        failed.push(name);
      }
    }
    if (failed.length > 0) throw new CommandError(`Error: failed to start containers: ${failed.join(', ')}`);
    return 0;
  },
});

async function startAttached(cli: Cli, name: string, options: { stdin: boolean; detachKeys: string }): Promise<number> {
  const client = await cli.client();
  const { Id: id, Config, HostConfig } = await client.containers.inspect(name);
  const tty = Config.Tty === true;
  const stdin = options.stdin && Config.OpenStdin === true;
  if (stdin && tty && !cli.io.stdinIsTTY) throw new CommandError('the input device is not a TTY');
  const [stream, { outcome }] = await Promise.all([
    client.containers.attach(id, {
      stdin,
      stdout: true,
      stderr: true,
      stream: true,
      detachKeys: options.detachKeys || undefined,
    }),
    client.containers.wait(id, HostConfig.AutoRemove === true ? 'removed' : 'next-exit'),
  ]);
  const stopSignals = tty ? () => {} : forwardSignals((signal) => client.containers.kill(id, signal));
  let stopSize = (): void => {};
  try {
    const session = runSession(cli, stream, { tty, stdin, detachKeys: options.detachKeys });
    session.catch(() => {}); // looked at below, after the start
    try {
      await client.containers.start(id);
    } catch (error) {
      stream.close();
      throw error;
    }
    if (tty) stopSize = followSize(cli, (size) => client.containers.resize(id, size));
    if ((await session) === 'detached') return 0;
    const result = await outcome;
    if (result.Error?.Message) throw new Error(result.Error.Message);
    return result.StatusCode;
  } finally {
    stopSize();
    stopSignals();
  }
}

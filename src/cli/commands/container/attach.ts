import { command, CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { followSize } from '../../terminal/resize.ts';
import { runSession } from '../../terminal/session.ts';
import { forwardSignals } from '../../terminal/signals.ts';

export const attach = command({
  usage: '[OPTIONS] CONTAINER',
  flags: {
    'detach-keys': string('Override the key sequence for detaching a container'),
    'no-stdin': bool('Do not attach STDIN'),
    'sig-proxy': bool('Proxy all received signals to the process', { initial: true }),
  },
  args: { min: 1, max: 1 },
  complete: 'container',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    const { Id: id, State, Config } = await client.containers.inspect(args[0]!);
    if (!State.Running) throw new CommandError('cannot attach to a stopped container, start it first');
    if (State.Paused) throw new CommandError('cannot attach to a paused container, unpause it first');
    if (State.Restarting) throw new CommandError('cannot attach to a restarting container, wait until it is running');
    const tty = Config.Tty === true;
    const stdin = !flags['no-stdin'] && Config.OpenStdin === true;
    if (stdin && tty && !cli.io.stdinIsTTY) throw new CommandError('the input device is not a TTY');
    const [stream, { outcome }] = await Promise.all([
      client.containers.attach(id, {
        stdin,
        stdout: true,
        stderr: true,
        stream: true,
        detachKeys: flags['detach-keys'] || undefined,
      }),
      client.containers.wait(id, 'not-running'),
    ]);
    const stopSignals =
      flags['sig-proxy'] && !tty ? forwardSignals((signal) => client.containers.kill(id, signal)) : () => {};
    const stopSize = tty ? followSize(cli, (size) => client.containers.resize(id, size)) : () => {};
    try {
      const end = await runSession(cli, stream, { tty, stdin, detachKeys: flags['detach-keys'] });
      if (end === 'detached') throw new CommandError('read escape sequence');
      const result = await outcome;
      if (result.Error?.Message) throw new Error(result.Error.Message);
      return result.StatusCode;
    } finally {
      stopSize();
      stopSignals();
    }
  },
});

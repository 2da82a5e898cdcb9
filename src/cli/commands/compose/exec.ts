import { CommandError } from '../../command.ts';
import { bool, int, list, string } from '../../flag.ts';
import { readEnvironment } from '../../options/environment.ts';
import { followSize } from '../../terminal/resize.ts';
import { runSession } from '../../terminal/session.ts';
import { composeCommand } from './context.ts';

export const exec = composeCommand({
  usage: '[OPTIONS] SERVICE COMMAND [ARGS...]',
  flags: {
    detach: bool('Detached mode: Run command in the background', { short: 'd' }),
    env: list('Set environment variables', { short: 'e' }),
    index: int('Index of the container if service has multiple replicas'),
    interactive: bool('Keep STDIN open even if not attached', { short: 'i', initial: true, hidden: true }),
    'no-tty': bool('Disable pseudo-TTY allocation', { short: 'T' }),
    privileged: bool('Give extended privileges to the process'),
    tty: bool('Allocate a pseudo-TTY', { short: 't', initial: true, hidden: true }),
    user: string('Run the command as this user', { short: 'u' }),
    workdir: string('Path to workdir directory for this command', { short: 'w' }),
  },
  args: { min: 2 },
  interspersed: false,
  async run(compose, { flags, args }) {
    const { cli } = compose;
    const [service, ...words] = args;
    const container = await compose.container(service!, flags.index);
    const client = await compose.client();
    const tty = flags.tty && !flags['no-tty'] && cli.io.stdout.isTTY && cli.io.stdinIsTTY;
    const stdin = flags.interactive && !flags.detach;
    const { Id: id } = await client.execs.create(container.id, {
      User: flags.user,
      Privileged: flags.privileged,
      Tty: tty,
      AttachStdin: stdin,
      AttachStdout: !flags.detach,
      AttachStderr: !flags.detach,
      Env: readEnvironment([], flags.env, cli.env),
      WorkingDir: flags.workdir,
      Cmd: words,
    });
    if (flags.detach) {
      await client.execs.startDetached(id, { Tty: tty });
      return 0;
    }
    const stream = await client.execs.start(id, { Tty: tty });
    const stopSize = tty ? followSize(cli, (now) => client.execs.resize(id, now)) : () => {};
    try {
      if ((await runSession(cli, stream, { tty, stdin, detachKeys: '' })) === 'detached')
        throw new CommandError('read escape sequence');
    } finally {
      stopSize();
    }
    return (await client.execs.inspect(id)).ExitCode ?? 0;
  },
});

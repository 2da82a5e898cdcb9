import type { ExecCreateRequest } from '../../../api/exec.ts';
import { command, CommandError } from '../../command.ts';
import { bool, each, list, string } from '../../flag.ts';
import { checkVariable, readEnvironment } from '../../options/environment.ts';
import { parseExecSecret } from '../../options/secret.ts';
import { followSize } from '../../terminal/resize.ts';
import { runSession } from '../../terminal/session.ts';

export const exec = command({
  usage: '[OPTIONS] CONTAINER COMMAND [ARG...]',
  examples: `# A shell in a running container
gantry exec -it web sh

# One command, as another user
gantry exec -u www-data web id

# With a secret that only this command has, as the file that DB_PASSWORD_FILE names
gantry exec --secret db_password web sh -c 'cat "$DB_PASSWORD_FILE"'`,
  flags: {
    detach: bool('Detached mode: run command in the background', { short: 'd' }),
    'detach-keys': string('Override the key sequence for detaching a container'),
    env: each('list', 'Set environment variables', checkVariable, { short: 'e' }),
    'env-file': list('Read in a file of environment variables', { complete: 'file' }),
    interactive: bool('Keep STDIN open even if not attached', { short: 'i' }),
    privileged: bool('Give extended privileges to the command'),
    secret: each('list', 'Secret for this command alone (NAME[,env=VARIABLE])', parseExecSecret),
    tty: bool('Allocate a pseudo-TTY', { short: 't' }),
    user: string('Username or UID (format: "<name|uid>[:<group|gid>]")', { short: 'u' }),
    workdir: string('Working directory inside the container', { short: 'w' }),
  },
  args: { min: 2 },
  interspersed: false,
  complete: 'container',
  async run(cli, { flags, args }) {
    const [container, ...words] = args;
    const env = readEnvironment(flags['env-file'], flags.env, cli.env);
    const client = await cli.client();
    if (flags.secret.length > 0) await client.secrets.require();
    const { stdout } = cli.io;
    const size: { ConsoleSize?: [number, number] } =
      flags.tty && stdout.isTTY ? { ConsoleSize: [stdout.rows, stdout.columns] } : {};
    const request: ExecCreateRequest = {
      User: flags.user,
      Privileged: flags.privileged,
      Tty: flags.tty,
      AttachStdin: flags.interactive && !flags.detach,
      AttachStdout: !flags.detach,
      AttachStderr: !flags.detach,
      DetachKeys: flags['detach-keys'] || cli.config.document.detachKeys || '',
      Env: env,
      WorkingDir: flags.workdir,
      Cmd: words,
      ...(flags.secret.length > 0 && { Secrets: [...flags.secret] }),
      ...size,
    };
    if (!flags.detach && flags.interactive && flags.tty && !cli.io.stdinIsTTY) {
      await client.containers.inspect(container!); // a container that is not there is the better reason
      throw new CommandError('the input device is not a TTY');
    }
    const { Id: id } = await client.execs.create(container!, request);
    if (flags.detach) {
      await client.execs.startDetached(id, { Tty: flags.tty, ...size });
      return 0;
    }
    const stream = await client.execs.start(id, { Tty: flags.tty, ...size });
    const stopSize = flags.tty ? followSize(cli, (now) => client.execs.resize(id, now)) : () => {};
    try {
      const end = await runSession(cli, stream, {
        tty: flags.tty,
        stdin: flags.interactive,
        detachKeys: flags['detach-keys'],
      });
      if (end === 'detached') throw new CommandError('read escape sequence');
    } finally {
      stopSize();
    }
    const { ExitCode } = await client.execs.inspect(id);
    return ExitCode ?? 0;
  },
});

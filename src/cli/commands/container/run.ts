import type { ContainerCreateRequest } from '../../../api/container.ts';
import type { Client } from '../../../client/client.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { createContainer } from '../../create-container.ts';
import { bool, string } from '../../flag.ts';
import { CONTAINER_FLAGS } from '../../options/container-flags.ts';
import { containerRequest } from '../../options/container-request.ts';
import { followSize } from '../../terminal/resize.ts';
import { runSession } from '../../terminal/session.ts';
import { forwardSignals } from '../../terminal/signals.ts';

export const run = command({
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  examples: `# A shell in a container that leaves nothing behind
gantry run -it --rm busybox sh

# A web server in the background, its port 80 on the host's 8080
gantry run -d --name web -p 8080:80 nginx:1.23

# With as few rights as it can do with; when that is not enough it says what is missing
gantry run --rm --hardened --user 1000 myapp:1.0

# With settings from outside, a volume, and no more memory than it needs
gantry run -d -e DB_HOST=db -v data:/var/lib/data -m 256m myapp:1.0`,
  flags: {
    ...CONTAINER_FLAGS,
    detach: bool('Run container in background and print container ID', { short: 'd' }),
    'detach-keys': string('Override the key sequence for detaching a container'),
    'sig-proxy': bool('Proxy received signals to the process', { initial: true }),
  },
  args: { min: 1 },
  interspersed: false,
  failsAsRun: true,
  complete: 'image',
  async run(cli, { flags, given, args }) {
    const request = containerRequest(flags, given, args, cli.env);
    if (flags.detach) {
      if (flags.attach.length > 0)
        throw new CommandError('conflicting options: cannot specify both --attach and --detach');
      Object.assign(request, { AttachStdin: false, AttachStdout: false, AttachStderr: false, StdinOnce: false });
    }
    if (request.AttachStdin === true && flags.tty && !cli.io.stdinIsTTY)
      throw new CommandError('the input device is not a TTY');
    if (flags.tty && cli.io.stdout.isTTY) request.HostConfig!.ConsoleSize = [cli.io.stdout.rows, cli.io.stdout.columns];
    const { Id: id } = await createContainer(cli, request, flags);
    const client = await cli.client();
    if (flags.detach) {
      await client.containers.start(id);
      cli.print(id);
      return 0;
    }
    const code = await attachAndStart(cli, client, id, request, {
      detachKeys: flags['detach-keys'],
      remove: flags.rm,
      proxy: flags['sig-proxy'],
    });
    if (code !== 0 && flags.hardened) await tellNeeds(cli, client, id);
    return code;
  },
});

/** What a hardened container lacked, as far as its end shows it. */
async function tellNeeds(cli: Cli, client: Client, id: string): Promise<void> {
  const findings = await client.containers.why(id).then(
    ({ Findings }) => Findings,
    () => [],
  );
  for (const { Kind, Text, Hint } of findings) {
    if (!['read-only', 'capability-missing', 'permission-denied'].includes(Kind)) continue;
    cli.warn(cli.clean(`hardened: ${Text}${Hint === undefined ? '' : ` → ${Hint}`}`));
  }
}

/** Attached and waiting before the start, so that no byte and no exit is missed. Gives the container's exit code. */
async function attachAndStart(
  cli: Cli,
  client: Client,
  id: string,
  request: ContainerCreateRequest,
  options: { detachKeys: string; remove: boolean; proxy: boolean },
): Promise<number> {
  const tty = request.Tty === true;
  const streams = {
    stdin: request.AttachStdin === true,
    stdout: request.AttachStdout === true,
    stderr: request.AttachStderr === true,
  };
  const attached = streams.stdin || streams.stdout || streams.stderr;
  const [stream, { outcome }] = await Promise.all([
    attached
      ? client.containers.attach(id, { ...streams, stream: true, detachKeys: options.detachKeys || undefined })
      : undefined,
    client.containers.wait(id, options.remove ? 'removed' : 'next-exit'),
  ]);
  const stopSignals = options.proxy && !tty ? forwardSignals((signal) => client.containers.kill(id, signal)) : () => {};
  let stopSize = (): void => {};
  try {
    const session = stream
      ? runSession(cli, stream, { tty, ...streams, detachKeys: options.detachKeys })
      : Promise.resolve('ended' as const);
    session.catch(() => {}); // looked at below, after the start
    try {
      await client.containers.start(id);
    } catch (error) {
      stream?.close();
      await session.catch(() => {});
      // The engine removes what never ran; the command ends when that is done.
      if (options.remove) await outcome.catch(() => {});
      throw error;
    }
    if (tty) stopSize = followSize(cli, (size) => client.containers.resize(id, size));
    if ((await session) === 'detached') return 0;
    if (!attached) cli.print(id);
    const result = await outcome;
    if (result.Error?.Message) throw new Error(result.Error.Message);
    return result.StatusCode;
  } finally {
    stopSize();
    stopSignals();
  }
}

import { logPath, startEngine } from '../../autostart.ts';
import { command } from '../../command.ts';
import { localHost } from '../../engine-client.ts';
import { answers } from '../../socket-probe.ts';

export const start = command({
  usage: '',
  description:
    'Start the engine of this machine in the background, without root the engine of this user. Nothing happens when it runs already.',
  flags: {},
  args: { min: 0, max: 0 },
  async run(cli) {
    const host = localHost(cli);
    const socket = host.replace(/^unix:\/\//, '');
    if (await answers(socket)) {
      cli.print(`The gantry engine runs already, at ${host}`);
      return 0;
    }
    const pid = await startEngine(cli, socket, logPath(cli));
    cli.print(`Started the gantry engine (pid ${pid}) at ${host}; its log is ${logPath(cli)}`);
    return 0;
  },
});

import { setTimeout as delay } from 'node:timers/promises';
import { command, CommandError } from '../../command.ts';
import { findEngine } from '../../engine-process.ts';
import { answers } from '../../socket-probe.ts';

export const stop = command({
  usage: '',
  description:
    'Stop the engine of this machine that runs in the background. Containers go on running; the next engine takes them over.',
  flags: {},
  args: { min: 0, max: 0 },
  async run(cli) {
    const engine = await findEngine(cli);
    if (!engine.answers) {
      cli.print('The gantry engine does not run');
      return 0;
    }
    if (engine.pid === undefined)
      throw new CommandError(
        `the engine at ${engine.host} does not tell its process; if systemd runs it: systemctl stop gantry.socket gantry.service`,
      );
    process.kill(engine.pid, 'SIGTERM');
    for (const deadline = Date.now() + 15_000; Date.now() < deadline; await delay(50)) {
      if (!(await answers(engine.socket))) {
        cli.print(`Stopped the gantry engine (pid ${engine.pid}); containers go on`);
        return 0;
      }
    }
    throw new CommandError(
      `the engine (pid ${engine.pid}) was asked to stop and still answers after 15 s; its log may say why`,
    );
  },
});

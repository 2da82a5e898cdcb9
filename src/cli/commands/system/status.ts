import { command } from '../../command.ts';
import { findEngine } from '../../engine-process.ts';
import { VERSION } from '../../../base/version.ts';

export const status = command({
  usage: '',
  description: 'Say whether the engine of this machine runs, and where. The exit code is 3 when it does not.',
  flags: {},
  args: { min: 0, max: 0 },
  async run(cli) {
    const engine = await findEngine(cli);
    if (!engine.answers) {
      cli.print(`The gantry engine does not run (no answer at ${engine.host})`);
      cli.print('Start it with: gantry system start');
      return 3;
    }
    cli.print(`The gantry engine runs at ${engine.host}`);
    if (engine.pid !== undefined) cli.print(`  process     ${engine.pid}`);
    if (engine.version !== undefined)
      cli.print(`  version     ${engine.version}${engine.version === VERSION ? '' : ` (this command: ${VERSION})`}`);
    if (engine.containers !== undefined)
      cli.print(`  containers  ${engine.containers.running} running, ${engine.containers.all} in all`);
    return 0;
  },
});

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { command, CommandError } from '../../command.ts';
import { bool } from '../../flag.ts';
import { socketUnit, serviceUnit } from '../../systemd-units.ts';

export const install = command({
  usage: '[OPTIONS]',
  description: `Install the engine as a systemd service that starts with the machine, with a socket that starts it when first used.`,
  examples: `# What would be written
gantry system install --dry-run`,
  flags: { 'dry-run': bool('Print the units, write nothing') },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const units = new Map([
      ['/etc/systemd/system/gantry.service', serviceUnit(cli.self.launcher)],
      ['/etc/systemd/system/gantry.socket', socketUnit()],
    ]);
    if (flags['dry-run']) {
      for (const [path, text] of units) cli.print(`# ${path}\n${text}`);
      return 0;
    }
    if (!cli.root) throw new CommandError('installing needs root: sudo gantry system install');
    if (!fs.existsSync('/run/systemd/system')) {
      throw new CommandError(
        'systemd does not run on this machine. Start the engine with: gantry system start (or by your own init: gantry daemon)',
      );
    }
    for (const [path, text] of units) fs.writeFileSync(path, text, { mode: 0o644 });
    for (const args of [['daemon-reload'], ['enable', '--now', 'gantry.socket', 'gantry.service']]) {
      const { status, error } = spawnSync('systemctl', args, { stdio: ['ignore', 'inherit', 'inherit'] });
      if (error || status !== 0)
        throw new CommandError(
          `systemctl ${args.join(' ')} failed${error ? `: ${error.message}` : ` with exit code ${status}`}`,
        );
    }
    cli.print('Installed and started gantry.service and gantry.socket');
    return 0;
  },
});

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { command, CommandError } from '../../command.ts';
import { bool } from '../../flag.ts';
import { socketUnit, serviceUnit, userServiceUnit } from '../../systemd-units.ts';

export const install = command({
  usage: '[OPTIONS]',
  description: `Install the engine as a systemd service that starts with the machine, with a socket that starts it when first used. Without root it is a service of this user, with an engine of its own.`,
  examples: `# What would be written
gantry system install --dry-run`,
  flags: { 'dry-run': bool('Print the units, write nothing') },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const ofUser = join(cli.env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'systemd', 'user');
    const units = cli.root
      ? new Map([
          ['/etc/systemd/system/gantry.service', serviceUnit(cli.self.launcher)],
          ['/etc/systemd/system/gantry.socket', socketUnit()],
        ])
      : new Map([[join(ofUser, 'gantry.service'), userServiceUnit(cli.self.launcher)]]);
    if (flags['dry-run']) {
      for (const [path, text] of units) cli.print(`# ${path}\n${text}`);
      return 0;
    }
    if (!fs.existsSync('/run/systemd/system')) {
      throw new CommandError(
        'systemd does not run on this machine. Start the engine with: gantry system start (or by your own init: gantry daemon)',
      );
    }
    for (const [path, text] of units) {
      fs.mkdirSync(dirname(path), { recursive: true });
      fs.writeFileSync(path, text, { mode: 0o644 });
    }
    const names = [...units.keys()].map((path) => basename(path)).toSorted((a, b) => (a < b ? 1 : -1));
    const manager = cli.root ? [] : ['--user'];
    for (const args of [
      [...manager, 'daemon-reload'],
      [...manager, 'enable', '--now', ...names],
    ]) {
      const { status, error } = spawnSync('systemctl', args, { stdio: ['ignore', 'inherit', 'inherit'] });
      if (error || status !== 0)
        throw new CommandError(
          `systemctl ${args.join(' ')} failed${error ? `: ${error.message}` : ` with exit code ${status}`}`,
        );
    }
    cli.print(`Installed and started ${names.toReversed().join(' and ')}`);
    if (!cli.root) cli.print('It ends with your last session, unless: loginctl enable-linger');
    return 0;
  },
});
